package wire

import (
	"cmp"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/unskew/unskew/featuredefs/plan"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Read is a decoded GetFeaturesRequest. Decoding another request into it reuses its memory.
type Read struct {
	Service, Fingerprint, KnownFingerprint string
	Keys, Request                          []Sent
	Features                               []string
	WithStates, WithFreshness              bool
	MaxStalenessMicros                     uint64 // 0: any
	OnStale                                unskewv1.OnStale
}

// Field numbers of GetFeaturesRequest.
const (
	readService          = 1
	readKeys             = 2
	readRequest          = 3
	readFeatures         = 4
	readFingerprint      = 5
	readWithStates       = 6
	readKnownFingerprint = 7
	readMaxStaleness     = 8
	readOnStale          = 9
	readWithFreshness    = 10
)

// Clear empties r. It keeps memory for reuse but no strings.
func (r *Read) Clear() {
	clear(r.Features)
	for _, list := range [][]Sent{r.Keys, r.Request} {
		for i := range list {
			list[i].Clear()
		}
	}
	*r = Read{Keys: r.Keys[:0], Request: r.Request[:0], Features: r.Features[:0]}
}

// Unmarshal decodes an encoded message. It accepts and rejects the same bytes as
// proto.Unmarshal, and returns ErrTooMany if the message has more than most values. It does
// not retain b.
func (r *Read) Unmarshal(b []byte, most int) error {
	r.Clear()
	return message{b, string(b), 0, &most}.fields(func(f field) (err error) {
		switch {
		case f.typ == protowire.VarintType:
			return f.varints(func(u uint64) { r.setNumber(f.number, u) })
		case f.typ != protowire.BytesType:
			return nil
		}
		switch f.number {
		case readService:
			r.Service, err = f.text()
		case readFingerprint:
			r.Fingerprint, err = f.text()
		case readKnownFingerprint:
			r.KnownFingerprint, err = f.text()
		case readFeatures:
			var name string
			name, err = f.text()
			r.Features = append(r.Features, name)
			err = cmp.Or(err, f.one())
		case readKeys:
			r.Keys, err = appendSent(r.Keys, f.message)
		case readRequest:
			r.Request, err = appendSent(r.Request, f.message)
		}
		return err
	})
}

// setNumber sets a field that is a bool or a number.
func (r *Read) setNumber(number protowire.Number, u uint64) {
	switch number {
	case readWithStates:
		r.WithStates = u != 0
	case readMaxStaleness:
		r.MaxStalenessMicros = u
	case readOnStale:
		r.OnStale = unskewv1.OnStale(u)
	case readWithFreshness:
		r.WithFreshness = u != 0
	}
}

// appendSent decodes one more column, reusing a previous element's memory if there is one.
func appendSent(list []Sent, m message) ([]Sent, error) {
	if err := m.one(); err != nil {
		return list, err
	}
	list = oneMore(list)
	return list, list[len(list)-1].unmarshal(m)
}

// Push is a decoded PushRequest.
type Push struct {
	Source  string
	Columns []Sent
}

// Field numbers of PushRequest.
const (
	pushSource  = 1
	pushColumns = 2
)

// Unmarshal works as Read.Unmarshal.
func (p *Push) Unmarshal(b []byte, most int) error {
	*p = Push{}
	return message{b, string(b), 0, &most}.fields(func(f field) (err error) {
		switch {
		case f.typ != protowire.BytesType:
		case f.number == pushSource:
			p.Source, err = f.text()
		case f.number == pushColumns:
			p.Columns, err = appendSent(p.Columns, f.message)
		}
		return err
	})
}

// Set copies m into p.
func (p *Push) Set(m *unskewv1.PushRequest) {
	*p = Push{Source: m.GetSource(), Columns: make([]Sent, len(m.GetColumns()))}
	for i, c := range m.GetColumns() {
		p.Columns[i].Set(c)
	}
}

// Valid works as Read.Valid.
func (p *Push) Valid() bool {
	return validName(p.Source) && len(p.Columns) > 0 && validColumns(p.Columns, maxPushed)
}

func oneMore(list []Sent) []Sent {
	if len(list) < cap(list) {
		return list[:len(list)+1]
	}
	return append(list, Sent{})
}

// Set copies m into r.
func (r *Read) Set(m *unskewv1.GetFeaturesRequest) {
	r.Clear()
	r.Service, r.Fingerprint, r.KnownFingerprint, r.WithStates = m.GetService(), m.GetFingerprint(), m.GetKnownFingerprint(), m.GetWithStates()
	r.MaxStalenessMicros, r.OnStale, r.WithFreshness = m.GetMaxStalenessMicros(), m.GetOnStale(), m.GetWithFreshness()
	r.Features = append(r.Features, m.GetFeatures()...)
	for _, c := range m.GetKeys() {
		r.Keys = oneMore(r.Keys)
		r.Keys[len(r.Keys)-1].Set(c)
	}
	for _, c := range m.GetRequest() {
		r.Request = oneMore(r.Request)
		r.Request[len(r.Request)-1].Set(c)
	}
}

// The validation rules of the contract: characters of names and fingerprints, numbers of
// columns and features.
const (
	maxNameRunes        = 512
	maxFingerprintRunes = 64
	maxColumns          = 1000
	maxFeatures         = 10_000
	maxPushed           = 10_000
)

// Valid reports whether r satisfies the contract's validation rules. The error message
// comes from protovalidate.
func (r *Read) Valid() bool {
	return validName(r.Service) && validColumns(r.Keys, maxColumns) && validColumns(r.Request, maxColumns) && len(r.Features) <= maxFeatures &&
		shortFingerprint(r.Fingerprint) && shortFingerprint(r.KnownFingerprint)
}

func validColumns(cols []Sent, most int) bool {
	for i := range cols {
		if c := &cols[i]; !validName(c.Name) || c.kind == plan.Invalid {
			return false
		}
	}
	return len(cols) <= most
}

func validName(s string) bool {
	return s != "" && (len(s) <= maxNameRunes || utf8.RuneCountInString(s) <= maxNameRunes)
}

func shortFingerprint(s string) bool {
	return len(s) <= maxFingerprintRunes || utf8.RuneCountInString(s) <= maxFingerprintRunes
}
