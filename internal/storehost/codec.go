package storehost

import (
	"bytes"
	"encoding/gob"
	"errors"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// frame is a message as it is sent: a value in gob. To Connect all messages are of this one type, as its code is compiled for each
// type by itself, which would add megabytes to the program.
type frame struct{ data []byte }

// pack makes the message of a value, given by a pointer.
func pack(value any) (*frame, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(value)
	return &frame{b.Bytes()}, err
}

// unpack reads the value of a message into one that is given by a pointer.
func (f *frame) unpack(value any) error { return gob.NewDecoder(bytes.NewReader(f.data)).Decode(value) }

// frameCodec lets Connect carry frames.
type frameCodec struct{}

func (frameCodec) Name() string { return "gob" }

func (frameCodec) Marshal(message any) ([]byte, error) { return message.(*frame).data, nil }

func (frameCodec) Unmarshal(data []byte, message any) error {
	message.(*frame).data = bytes.Clone(data) // whose memory is Connect's
	return nil
}

// fault is an error of the host's log or store: its text, what it is, and the typed errors that
// callers look at.
type fault struct {
	Text    string
	Is      []int // indices of sentinels
	Clock   *eventlog.ClockError
	Trimmed *eventlog.TrimmedError
	SetBack *eventlog.SetBackError
}

// sentinels are the errors that callers compare with. The order is part of the protocol.
var sentinels = []error{
	eventlog.ErrAdopted, eventlog.ErrDamaged, eventlog.ErrOutcomeUnknown, eventlog.ErrSealed, eventlog.ErrUnavailable,
	onlinestore.ErrOutcomeUnknown, onlinestore.ErrUnavailable,
}

// faultOf returns nil for nil.
func faultOf(err error) *fault {
	if err == nil {
		return nil
	}
	f := &fault{Text: err.Error()}
	for i, s := range sentinels {
		if errors.Is(err, s) {
			f.Is = append(f.Is, i)
		}
	}
	errors.As(err, &f.Clock)
	errors.As(err, &f.Trimmed)
	errors.As(err, &f.SetBack)
	return f
}

// hostError is a fault on the side of the caller.
type hostError struct {
	text string
	is   []error
}

func (e *hostError) Error() string   { return e.text }
func (e *hostError) Unwrap() []error { return e.is }

// err returns the error that a fault describes, nil for nil.
func (f *fault) err() error {
	if f == nil {
		return nil
	}
	e := &hostError{text: f.Text}
	for _, i := range f.Is {
		if i >= 0 && i < len(sentinels) {
			e.is = append(e.is, sentinels[i])
		}
	}
	if f.Clock != nil {
		e.is = append(e.is, f.Clock)
	}
	if f.Trimmed != nil {
		e.is = append(e.is, f.Trimmed)
	}
	if f.SetBack != nil {
		e.is = append(e.is, f.SetBack)
	}
	return e
}
