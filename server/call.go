package server

import (
	"context"
	"errors"
	"sync"

	"connectrpc.com/connect"
	"connectrpc.com/validate"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// call is a read on its way: the request as it was read, what it is bound to, and the
// answer as it will be sent. Connect reads into it and sends from it, in whichever of its
// protocols, through columnCodec, so no message is ever built of one.
type call struct {
	request wire.Read
	json    bool // the request came as JSON, and so goes the answer
	refusal
	query  query
	body   []byte // memory of the request as it came, where straight reads it
	answer []byte
}

// readRequest, readAnswer and pushRequest are the types that Connect sees.
type (
	readRequest struct{ *call }
	readAnswer  struct{ *call }
	pushRequest struct {
		wire.Push
		refusal
	}
)

// refusal is why a request that was read is not answered: Connect would call an error of
// its codec malformed input.
type refusal struct {
	tooMuch error
	broken  connect.AnyRequest // breaks a rule of the contract
}

// err is nil for a request that is not refused.
func (r *refusal) err(ctx context.Context) error {
	switch {
	case r.tooMuch != nil:
		return r.tooMuch
	case r.broken == nil:
		return nil
	}
	_, err := validate.NewInterceptor().WrapUnary(func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) {
		return nil, errors.New("the request breaks a rule that protovalidate does not see")
	})(ctx, r.broken)
	return err
}

// calls are those that no request has at the moment.
var calls = sync.Pool{New: func() any { return new(call) }}

// keptBytes bounds the memory that a call keeps for the next one, so that one large
// request does not hold memory for ever.
const keptBytes = 1 << 20

// release gives a call back when nothing of it is used any more.
func (c *call) release() {
	if cap(c.answer) > keptBytes || cap(c.body) > keptBytes || c.query.n*len(c.query.keys) > keptBytes/64 {
		return
	}
	c.request.Clear()
	c.refusal = refusal{}
	c.answer = c.answer[:0]
	c.query.forget()
	calls.Put(c)
}

// columnCodec reads requests straight into columns and writes answers that are encoded
// already. Every other message is left to the codec of the name that Connect has or that
// strictJSON is.
type columnCodec struct {
	connect.Codec
	json bool
}

// withColumnCodecs replaces the codecs of the procedures that take columns.
func withColumnCodecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(columnCodec{Codec: binaryCodec{}}),
		connect.WithCodec(columnCodec{Codec: strictJSON{"json"}, json: true}),
		connect.WithCodec(columnCodec{Codec: strictJSON{"json; charset=utf-8"}, json: true}),
	)
}

// columns is a request that is read into columns; M is its message.
type columns[M any] interface {
	Unmarshal(b []byte, most int) error
	Set(m *M)
	Valid() bool
}

// Unmarshal is connect.Codec's.
func (c columnCodec) Unmarshal(data []byte, message any) error {
	switch into := message.(type) {
	case *readRequest:
		into.call = calls.Get().(*call)
		into.json = c.json
		return readColumns(c, data, &into.request, &into.refusal)
	case *pushRequest:
		return readColumns[unskewv1.PushRequest](c, data, &into.Push, &into.refusal)
	}
	return c.Codec.Unmarshal(data, message)
}

func readColumns[M any](c columnCodec, data []byte, into columns[M], why *refusal) error {
	if !c.json {
		err := into.Unmarshal(data, limits.RequestCells)
		if errors.Is(err, wire.ErrTooMany) {
			why.tooMuch = tooMuch("the request has more than %d values and columns; send it in parts", limits.RequestCells)
			return nil
		}
		if err != nil || into.Valid() {
			return err
		}
		var m M
		why.broken = connect.NewRequest(&m)
		return c.Codec.Unmarshal(data, &m)
	}
	if len(data) > limits.JSONBytes {
		why.tooMuch = tooMuch("the request has %d bytes of JSON and this server takes at most %d; send it in parts, or as protobuf", len(data), limits.JSONBytes)
		return nil
	}
	var m M
	if err := c.Codec.Unmarshal(data, &m); err != nil {
		return err
	}
	if into.Set(&m); !into.Valid() {
		why.broken = connect.NewRequest(&m)
	}
	return nil
}

// Marshal is connect.Codec's.
func (c columnCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend appends to a buffer that Connect uses again. It ends the call.
func (c columnCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
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
