package storehost

import (
	"bytes"
	"encoding/gob"
	"errors"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// gobCodec lets Connect carry Go values as they are.
type gobCodec struct{}

func (gobCodec) Name() string { return "gob" }

func (gobCodec) Marshal(message any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(message)
	return b.Bytes(), err
}

func (gobCodec) Unmarshal(data []byte, message any) error {
	return gob.NewDecoder(bytes.NewReader(data)).Decode(message)
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
