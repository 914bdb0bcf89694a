package wire

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Sent is a column as a caller sent it: typed by the member of values that was set,
// whatever its declared type is. Its memory is used again by what is read into it next.
type Sent struct {
	Name  string
	kind  plan.Kind // as sent: Dyn for nested, Invalid for no values
	lanes vector.Vector
	nulls []uint32
	// nested is left as it came, for As to read.
	nested []*unskewv1.Value
}

// SentOf copies a message.
func SentOf(c *unskewv1.Column) *Sent {
	s := &Sent{}
	s.Set(c)
	return s
}

// Set makes s what c holds. It keeps c's strings and nothing else but nested values.
func (s *Sent) Set(c *unskewv1.Column) {
	s.Clear()
	s.Name = c.GetName()
	s.nulls = append(s.nulls, c.GetNulls()...)
	v := &s.lanes
	switch x := c.GetValues().(type) {
	case *unskewv1.Column_Bools:
		s.begin(plan.Bool)
		for _, b := range x.Bools.GetValues() {
			s.addBool(b)
		}
	case *unskewv1.Column_Ints:
		s.begin(plan.Int)
		v.Int = append(v.Int, x.Ints.GetValues()...)
	case *unskewv1.Column_Uints:
		s.begin(plan.Uint)
		for _, u := range x.Uints.GetValues() {
			v.Int = append(v.Int, int64(u))
		}
	case *unskewv1.Column_Doubles:
		s.begin(plan.Double)
		for _, f := range x.Doubles.GetValues() {
			v.Double = append(v.Double, math.Float64frombits(plan.DoubleBits(f)))
		}
	case *unskewv1.Column_Strings:
		s.begin(plan.String)
		v.Str = append(v.Str, x.Strings.GetValues()...)
	case *unskewv1.Column_Bytes:
		s.begin(plan.Bytes)
		for _, b := range x.Bytes.GetValues() {
			v.Str = append(v.Str, string(b))
		}
	case *unskewv1.Column_Timestamps:
		s.begin(plan.Timestamp)
		v.Int = append(v.Int, x.Timestamps.GetMicros()...)
	case *unskewv1.Column_Durations:
		s.begin(plan.Duration)
		v.Int = append(v.Int, x.Durations.GetNanos()...)
	case *unskewv1.Column_Nested:
		s.begin(plan.Dyn)
		s.nested = append(s.nested, x.Nested.GetValues()...)
	}
	s.count()
}

// Clear empties s, keeping memory but no strings.
func (s *Sent) Clear() {
	s.Name, s.nulls = "", s.nulls[:0]
	s.begin(plan.Invalid)
}

// begin empties the values; those that follow are of the given kind.
func (s *Sent) begin(kind plan.Kind) {
	v := &s.lanes
	clear(v.Str)
	clear(s.nested)
	s.kind, v.N, v.Null, v.Err = kind, 0, nil, nil
	v.Bits, v.Int, v.Double, v.Str, s.nested = v.Bits[:0], v.Int[:0], v.Double[:0], v.Str[:0], s.nested[:0]
}

func (s *Sent) addBool(b bool) {
	v := &s.lanes
	if v.N%64 == 0 {
		v.Bits = append(v.Bits, 0)
	}
	v.Bits.Put(v.N, b)
	v.N++
}

// count settles the number of rows, which addBool has counted already.
func (s *Sent) count() {
	v := &s.lanes
	switch s.kind {
	case plan.Bool, plan.Invalid:
	case plan.Double:
		v.N = len(v.Double)
	case plan.String, plan.Bytes:
		v.N = len(v.Str)
	case plan.Dyn:
		v.N = len(s.nested)
	default:
		v.N = len(v.Int)
	}
}

// Rows is the number of rows; a column without values has none.
func (s *Sent) Rows() int { return s.lanes.N }

// EqualRows is the number of rows that all columns have, 0 for no columns. It
// fails, naming two columns, when their numbers differ.
func EqualRows(cols ...[]Sent) (int, error) {
	var first *Sent
	for _, list := range cols {
		for i := range list {
			c := &list[i]
			if first == nil {
				first = c
			}
			if c.Rows() != first.Rows() {
				return 0, fmt.Errorf("column %q has %d rows and column %q has %d; send one value for each row in every column",
					first.Name, first.Rows(), c.Name, c.Rows())
			}
		}
	}
	if first == nil {
		return 0, nil
	}
	return first.Rows(), nil
}

// memberOf names the member of values that holds a kind.
var memberOf = map[plan.Kind]string{
	plan.Bool: "bools", plan.Int: "ints", plan.Uint: "uints", plan.Double: "doubles", plan.String: "strings",
	plan.Bytes: "bytes", plan.Timestamp: "timestamps", plan.Duration: "durations", plan.List: "nested", plan.Map: "nested",
	plan.Dyn: "nested", plan.Invalid: "no values",
}

// As is the column as a vector of type t. It fails, naming column and row, when another
// type was sent, for a time outside the years 0001 to 9999, and for nulls that are not
// ascending rows. The vector is good until s is read into again.
func (s *Sent) As(t plan.Type) (*vector.Vector, error) {
	v, err := s.Unchecked(t)
	if err != nil || t.Unwrap().Kind != plan.Timestamp {
		return v, err
	}
	return v, checkTimes(v, s.Name)
}

// Unchecked is As but lets any time of a timestamp column pass, for callers that check
// times row by row.
func (s *Sent) Unchecked(t plan.Type) (*vector.Vector, error) {
	want := t.Unwrap().Kind
	if s.kind != want && memberOf[want] != memberOf[s.kind] {
		return nil, fmt.Errorf("column %q is %v and was sent as %s; send it as %s", s.Name, t.Unwrap(), memberOf[s.kind], memberOf[want])
	}
	v := &s.lanes
	v.Type = t
	if err := s.readNulls(v); err != nil {
		return nil, err
	}
	if s.kind == plan.Dyn {
		v.Any = slices.Grow(v.Any[:0], v.N)[:v.N]
		return v, readNested(v, s.Name, s.nested)
	}
	return v, nil
}

func (s *Sent) readNulls(v *vector.Vector) error {
	prev := -1
	for _, i := range s.nulls {
		if int64(i) >= int64(v.N) {
			return fmt.Errorf("column %q: null row %d, but it has %d rows, counted from 0", s.Name, i, v.N)
		}
		if int(i) <= prev {
			return fmt.Errorf("column %q: null row %d after row %d; list null rows once each, ascending", s.Name, i, prev)
		}
		prev = int(i)
		v.SetNull(prev)
	}
	return nil
}

func readNested(v *vector.Vector, name string, values []*unskewv1.Value) error {
	for i, x := range values {
		if v.IsNull(i) {
			continue
		}
		val, err := FromValue(x)
		if err != nil {
			return fmt.Errorf("column %q, row %d: %w", name, i, err)
		}
		if !val.HasType(v.Type.Unwrap()) {
			return fmt.Errorf("column %q, row %d: %v is not %v", name, i, val, v.Type.Unwrap())
		}
		v.Set(i, val)
	}
	return nil
}

func checkTimes(v *vector.Vector, name string) error {
	for i, t := range v.Int {
		if !plan.EventTime(t).Valid() && v.Valid(i) {
			return fmt.Errorf("column %q, row %d: %d µs since the Unix epoch lies outside the years 0001 to 9999; send microseconds", name, i, t)
		}
	}
	return nil
}

// The fields of Column in the contract.
const (
	fieldName   = 1
	fieldNulls  = 15
	fieldValues = 1 // of each member of values
)

// kinds are what the members of values hold, by field number.
var kinds = [...]plan.Kind{2: plan.Bool, 3: plan.Int, 4: plan.Double, 5: plan.String, 6: plan.Bytes, 7: plan.Timestamp, 8: plan.Duration, 9: plan.Uint, 10: plan.Dyn}

// unmarshal reads a Column as it travels: what proto.Unmarshal reads, and an error where
// that has one.
func (s *Sent) unmarshal(b message) error {
	s.Clear()
	err := b.fields(func(f field) (err error) {
		switch {
		case f.number == fieldName && f.typ == protowire.BytesType:
			s.Name, err = f.text()
		case f.number == fieldNulls:
			err = f.varints(func(u uint64) { s.nulls = append(s.nulls, uint32(u)) })
		case f.typ == protowire.BytesType && int(f.number) < len(kinds) && kinds[f.number] != plan.Invalid:
			err = s.unmarshalValues(kinds[f.number], f.message)
		}
		return err
	})
	s.count()
	return err
}

// maxNested bounds the bytes of nested values that are read.
const maxNested = 1 << 20

// unmarshalValues reads a member of values. Of two members the later stands, and one that
// comes twice goes on.
func (s *Sent) unmarshalValues(kind plan.Kind, b message) error {
	if s.kind != kind {
		s.begin(kind)
	}
	v := &s.lanes
	if kind == plan.Dyn {
		// No column of a request is nested; what comes is read to say so.
		if len(b.b) > maxNested {
			return ErrTooMany
		}
		var nested unskewv1.Nested
		err := proto.Unmarshal(b.b, &nested)
		s.nested = append(s.nested, nested.GetValues()...)
		return err
	}
	return b.fields(func(f field) (err error) {
		if f.number != 1 {
			return nil
		}
		switch kind {
		case plan.Bool:
			err = f.varints(func(u uint64) { s.addBool(u != 0) })
		case plan.Double:
			err = f.fixed64s(func(u uint64) {
				v.Double = append(v.Double, math.Float64frombits(plan.DoubleBits(math.Float64frombits(u))))
			})
		case plan.String:
			if f.typ == protowire.BytesType {
				var text string
				text, err = f.text()
				v.Str = append(v.Str, text)
				err = cmp.Or(err, f.one())
			}
		case plan.Bytes:
			if f.typ == protowire.BytesType {
				v.Str = append(v.Str, f.message.text())
				err = f.one()
			}
		default:
			err = f.varints(func(u uint64) { v.Int = append(v.Int, int64(u)) })
		}
		return err
	})
}

// message is a part of a request as it travels, and all of it as a string that strings
// are cut from.
type message struct {
	b    []byte
	all  string
	at   int  // where in all b begins
	left *int // values that may still come
}

// ErrTooMany says that a request has more values than it was allowed.
var ErrTooMany = errors.New("the request has too many values")

// one takes one value of those that are allowed.
func (m message) one() error {
	if *m.left--; *m.left < 0 {
		return ErrTooMany
	}
	return nil
}

func (m message) text() string { return m.all[m.at:][:len(m.b)] }

// field is a field of a message. Of a field of BytesType, message is its content; of
// every other scalar it is what stands after the tag.
type field struct {
	message
	number protowire.Number
	typ    protowire.Type
}

// fields calls f with each field, in order.
func (m message) fields(f func(field) error) error {
	for len(m.b) > 0 {
		number, typ, n := protowire.ConsumeTag(m.b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if number > protowire.MaxValidNumber {
			return fmt.Errorf("field number %d is out of range", number)
		}
		m.b, m.at = m.b[n:], m.at+n
		n = protowire.ConsumeFieldValue(number, typ, m.b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		content := message{m.b[:n], m.all, m.at, m.left}
		if typ == protowire.BytesType {
			length, _ := protowire.ConsumeBytes(m.b)
			content = message{length, m.all, m.at + n - len(length), m.left}
		}
		if err := f(field{content, number, typ}); err != nil {
			return err
		}
		m.b, m.at = m.b[n:], m.at+n
	}
	return nil
}

// text is a string field's value.
func (f field) text() (string, error) {
	if !utf8.Valid(f.b) {
		return "", fmt.Errorf("field %d holds a string that is not UTF-8", f.number)
	}
	return f.message.text(), nil
}

// varints calls add with each number of a repeated field, packed or not; a field of
// another form is one that the contract does not know.
func (f field) varints(add func(uint64)) error {
	if f.typ != protowire.VarintType && f.typ != protowire.BytesType {
		return nil
	}
	for b := f.b; len(b) > 0; {
		u, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f.one(); err != nil {
			return err
		}
		add(u)
		b = b[n:]
	}
	return nil
}

// fixed64s is varints for numbers of eight bytes.
func (f field) fixed64s(add func(uint64)) error {
	if f.typ != protowire.Fixed64Type && f.typ != protowire.BytesType {
		return nil
	}
	for b := f.b; len(b) > 0; {
		u, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f.one(); err != nil {
			return err
		}
		add(u)
		b = b[n:]
	}
	return nil
}
