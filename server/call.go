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

// call holds a read from request to answer: the decoded request, the query it is bound to, and the
// encoded answer. Connect decodes and encodes it with columnCodec in any of its protocols, so no
// protobuf message is ever built.
type call struct {
	request wire.Read
	json    bool // the request came as JSON, so the answer is JSON too
	refusal
	query  query
	body   []byte // buffer for the request's body on the fast path
	answer []byte
}

// readRequest, readAnswer and pushRequest are the message types that Connect's handlers see.
type (
	readRequest struct{ *call }
	readAnswer  struct{ *call }
	pushRequest struct {
		wire.Push
		refusal
	}
)

// refusal is the reason why a decoded request is refused. It is kept until the handler runs,
// because Connect reports every error of a codec as malformed input.
type refusal struct {
	tooMuch error
	broken  connect.AnyRequest // violates a rule of the contract
}

// err returns nil if the request is not refused.
func (r *refusal) err(ctx context.Context) error {
	switch {
	case r.tooMuch != nil:
		return r.tooMuch
	case r.broken == nil:
		return nil
	}
	_, err := validate.NewInterceptor().WrapUnary(func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) {
		return nil, errors.New("the request violates a rule that protovalidate does not report")
	})(ctx, r.broken)
	return err
}

// callPool holds the calls that are not in use.
var callPool = sync.Pool{New: func() any { return new(call) }}

// keptBytes bounds the memory that a pooled call keeps, so that one large request does not hold its
// memory for ever.
const keptBytes = 1 << 20

// release returns a call to the pool. Nothing of it may be used afterwards.
func (c *call) release() {
	if cap(c.answer) > keptBytes || cap(c.body) > keptBytes || c.query.n*len(c.query.keys) > keptBytes/64 {
		return
	}
	c.request.Clear()
	c.refusal = refusal{}
	c.answer = c.answer[:0]
	c.query.reset()
	callPool.Put(c)
}

// columnCodec decodes requests directly into columns, and passes on answers that are already
// encoded. All other messages go to the codec that it wraps: Connect's for protobuf, strictJSON for
// JSON.
type columnCodec struct {
	connect.Codec
	json bool
}

// withColumnCodecs installs columnCodec for the procedures that exchange columns.
func withColumnCodecs() connect.HandlerOption {
	return connect.WithHandlerOptions(
		connect.WithCodec(columnCodec{Codec: binaryCodec{}}),
		connect.WithCodec(columnCodec{Codec: strictJSON{"json"}, json: true}),
		connect.WithCodec(columnCodec{Codec: strictJSON{"json; charset=utf-8"}, json: true}),
	)
}

// columns is a request that is decoded into columns; M is its message type.
type columns[M any] interface {
	Unmarshal(b []byte, most int) error
	Set(m *M)
	Valid() bool
}

// Unmarshal implements connect.Codec.
func (c columnCodec) Unmarshal(data []byte, message any) error {
	switch into := message.(type) {
	case *readRequest:
		into.call = callPool.Get().(*call)
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
			why.tooMuch = tooMuch("the request has more than %d values and columns in total; send it in parts", limits.RequestCells)
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
		why.tooMuch = tooMuch("the request has %d bytes of JSON and the limit is %d; send it in parts, or as protobuf", len(data), limits.JSONBytes)
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

// Marshal implements connect.Codec.
func (c columnCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend appends to a buffer that Connect reuses. It releases the call.
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

// binaryCodec is the protobuf codec, as Connect's own.
type binaryCodec struct{}

// Name implements connect.Codec.
func (binaryCodec) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (binaryCodec) Marshal(message any) ([]byte, error) {
	m, err := protoMessage(message)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (binaryCodec) Unmarshal(data []byte, message any) error {
	m, err := protoMessage(message)
	if err != nil {
		return err
	}
	return proto.Unmarshal(data, m)
}
