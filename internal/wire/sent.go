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

// Sent is a column as a caller sent it. Its type is that of the oneof field that was set,
// whatever the declared type is. Decoding another column into it reuses its memory.
type Sent struct {
	Name  string
	kind  plan.Kind // as sent: Dyn for nested, Invalid if no values were set
	lanes vector.Vector
	nulls []uint32
	// nested is kept as sent; As converts it.
	nested []*unskewv1.Value
}

// SentOf copies a message.
func SentOf(c *unskewv1.Column) *Sent {
	s := &Sent{}
	s.Set(c)
	return s
}

// Set copies c into s. It shares c's strings and nested values.
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

// Clear empties s. It keeps memory for reuse but no strings.
func (s *Sent) Clear() {
	s.Name, s.nulls = "", s.nulls[:0]
	s.begin(plan.Invalid)
}

// begin empties the values and sets the kind of those that follow.
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

// count sets the number of rows, except for bools, which addBool counts.
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

// Rows returns the number of rows, 0 for a column without values.
func (s *Sent) Rows() int { return s.lanes.N }

// EqualRows returns the number of rows that all columns have, 0 for no columns. If the
// numbers differ, the error names two columns.
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

// memberOf names the field of the oneof values that carries a kind.
var memberOf = map[plan.Kind]string{
	plan.Bool: "bools", plan.Int: "ints", plan.Uint: "uints", plan.Double: "doubles", plan.String: "strings",
	plan.Bytes: "bytes", plan.Timestamp: "timestamps", plan.Duration: "durations", plan.List: "nested", plan.Map: "nested",
	plan.Dyn: "nested", plan.Invalid: "no values",
}

// As converts the column to a vector of type t. It fails, naming column and row, if another
// type was sent, for a time outside the years 0001 to 9999, and for nulls that are not
// ascending rows. The vector is valid until s is reused.
func (s *Sent) As(t plan.Type) (*vector.Vector, error) {
	v, err := s.Unchecked(t)
	if err != nil || t.Unwrap().Kind != plan.Timestamp {
		return v, err
	}
	return v, checkTimes(v, s.Name)
}

// Unchecked works as As but accepts any time in a timestamp column, for callers that check
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

// Field numbers of Column.
const (
	fieldName   = 1
	fieldNulls  = 15
	fieldValues = 1 // in the message of each oneof field
)

// kinds are the kinds of the oneof values, by field number.
var kinds = [...]plan.Kind{2: plan.Bool, 3: plan.Int, 4: plan.Double, 5: plan.String, 6: plan.Bytes, 7: plan.Timestamp, 8: plan.Duration, 9: plan.Uint, 10: plan.Dyn}

// unmarshal decodes an encoded Column. It accepts and rejects the same bytes as
// proto.Unmarshal.
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

// maxNested limits the bytes of nested values that are decoded.
const maxNested = 1 << 20

// unmarshalValues decodes a field of the oneof values. As in protobuf, a different field
// replaces the previous one, and the same field again is merged.
func (s *Sent) unmarshalValues(kind plan.Kind, b message) error {
	if s.kind != kind {
		s.begin(kind)
	}
	v := &s.lanes
	if kind == plan.Dyn {
		// No column of a request may be nested; nested values are decoded only for the
		// error message.
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

// message is a part of an encoded request, together with the whole request as a string that
// decoded strings are sliced from.
type message struct {
	b    []byte
	all  string
	at   int  // offset of b in all
	left *int // values still allowed
}

// ErrTooMany reports that a request has more values than allowed.
var ErrTooMany = errors.New("the request has too many values")

// one counts one value against the limit.
func (m message) one() error {
	if *m.left--; *m.left < 0 {
		return ErrTooMany
	}
	return nil
}

func (m message) text() string { return m.all[m.at:][:len(m.b)] }

// field is a decoded field. For BytesType, message is its content; for scalars it is the
// bytes after the tag.
type field struct {
	message
	number protowire.Number
	typ    protowire.Type
}

// fields calls f with each field in order.
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

// text returns the value of a string field.
func (f field) text() (string, error) {
	if !utf8.Valid(f.b) {
		return "", fmt.Errorf("field %d holds a string that is not UTF-8", f.number)
	}
	return f.message.text(), nil
}

// varints calls add with each number of a repeated field, packed or not. Other wire types
// are ignored as unknown fields.
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

// fixed64s works as varints for numbers of eight bytes.
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
