package server

import (
	"context"
	"fmt"
	"sync"

	"connectrpc.com/connect"
	"connectrpc.com/validate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// call is a read on its way: the request as it was read, what it is bound to, and the
// answer as it will be sent. Connect reads into it and sends from it, in whichever of its
// protocols, through readCodec, so no message is ever built of one.
type call struct {
	request wire.Read
	json    bool                         // the request came as JSON, and so goes the answer
	refused *unskewv1.GetFeaturesRequest // set when the request breaks the contract's rules
	query   query
	answer  []byte
}

// readRequest and readAnswer are the types that Connect sees.
type (
	readRequest struct{ *call }
	readAnswer  struct{ *call }
)

// calls are those that no request has at the moment.
var calls = sync.Pool{New: func() any { return new(call) }}

// keptBytes bounds the memory that a call keeps for the next one, so that one large
// request does not hold memory for ever.
const keptBytes = 1 << 20

// release gives a call back when nothing of it is used any more.
func (c *call) release() {
	if cap(c.answer) > keptBytes || c.query.n*len(c.query.keys) > keptBytes/64 {
		return
	}
	c.request.Clear()
	c.refused = nil
	c.answer = c.answer[:0]
	c.query.forget()
	calls.Put(c)
}

// readCodec reads requests straight into columns and writes answers that are encoded
// already. Every other message is left to the codec of the name that Connect has or that
// strictJSON is.
type readCodec struct {
	connect.Codec
	json bool
}

// withReadCodecs replaces the codecs of the procedure that reads features.
func withReadCodecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(readCodec{Codec: binaryCodec{}}),
		connect.WithCodec(readCodec{Codec: strictJSON{"json"}, json: true}),
		connect.WithCodec(readCodec{Codec: strictJSON{"json; charset=utf-8"}, json: true}),
	)
}

// Unmarshal is connect.Codec's.
func (c readCodec) Unmarshal(data []byte, message any) error {
	into, ok := message.(*readRequest)
	if !ok {
		return c.Codec.Unmarshal(data, message)
	}
	into.call = calls.Get().(*call)
	into.json = c.json
	if !c.json {
		return into.readBinary(data)
	}
	var m unskewv1.GetFeaturesRequest
	if err := c.Codec.Unmarshal(data, &m); err != nil {
		return err
	}
	if into.request.Set(&m); !into.request.Valid() {
		into.refused = &m
	}
	return nil
}

func (c *call) readBinary(data []byte) error {
	if err := c.request.Unmarshal(data); err != nil {
		return err
	}
	if c.request.Valid() {
		return nil
	}
	c.refused = &unskewv1.GetFeaturesRequest{}
	return proto.Unmarshal(data, c.refused)
}

// Marshal is connect.Codec's.
func (c readCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend appends to a buffer that Connect uses again. It ends the call.
func (c readCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	from, ok := message.(*readAnswer)
	if !ok {
		b, err := c.Codec.Marshal(message)
		return append(dst, b...), err
	}
	dst = append(dst, from.answer...)
	from.release()
	return dst, nil
}

// binaryCodec is Connect's for protobuf.
type binaryCodec struct{}

// Name is connect.Codec's.
func (binaryCodec) Name() string { return "proto" }

// Marshal is connect.Codec's.
func (binaryCodec) Marshal(message any) ([]byte, error) {
	m, err := protoMessage(message)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(m)
}

// Unmarshal is connect.Codec's.
func (binaryCodec) Unmarshal(data []byte, message any) error {
	m, err := protoMessage(message)
	if err != nil {
		return err
	}
	return proto.Unmarshal(data, m)
}

// ruleBroken says which of the contract's rules a request breaks.
func ruleBroken(ctx context.Context, m *unskewv1.GetFeaturesRequest) error {
	never := func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) {
		return nil, fmt.Errorf("the request %s breaks a rule that protovalidate does not see", protojson.MarshalOptions{}.Format(m))
	}
	_, err := validate.NewInterceptor().WrapUnary(never)(ctx, connect.NewRequest(m))
	return err
}
