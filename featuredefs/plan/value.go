package plan

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is one value of the language, immutable. The zero Value is null.
// It is for literals, defaults and the edges of the system; hot paths work on
// vectors.
type Value struct {
	kind Kind
	bits uint64  // Bool, Int, Uint, Double, Timestamp, Duration
	str  string  // String, Bytes
	list []Value // List: elements; Map: key, value, … sorted by key; Optional: none or one
}

// CanonicalNaN is the one NaN a feature value can be: which NaN the hardware
// produces differs between architectures.
const CanonicalNaN = 0x7ff8000000000000

// DoubleBits is the bit pattern of f as a feature value, with NaN canonical.
func DoubleBits(f float64) uint64 {
	if f != f {
		return CanonicalNaN
	}
	return math.Float64bits(f)
}

// NullValue is null, also the zero Value.
func NullValue() Value { return Value{} }

// BoolValue and its siblings make scalars.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, bits: 1}
	}
	return Value{kind: Bool}
}

// IntValue is an int.
func IntValue(i int64) Value { return Value{kind: Int, bits: uint64(i)} }

// UintValue is a uint.
func UintValue(u uint64) Value { return Value{kind: Uint, bits: u} }

// DoubleValue is a double; NaN becomes CanonicalNaN.
func DoubleValue(f float64) Value { return Value{kind: Double, bits: DoubleBits(f)} }

// StringValue is a string.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// BytesValue is a byte string; b is copied.
func BytesValue(b []byte) Value { return Value{kind: Bytes, str: string(b)} }

// TimestampValue is a timestamp.
func TimestampValue(t EventTime) Value { return Value{kind: Timestamp, bits: uint64(t)} }

// DurationValue is a duration.
func DurationValue(d time.Duration) Value { return Value{kind: Duration, bits: uint64(d)} }

// ListValue is a list; it takes ownership of elems.
func ListValue(elems []Value) Value { return Value{kind: List, list: elems} }

// OptionalValue is optional.of(v); NoneValue is optional.none().
func OptionalValue(v Value) Value { return Value{kind: Optional, list: []Value{v}} }

// NoneValue is optional.none().
func NoneValue() Value { return Value{kind: Optional} }

// MapValue is a map of the given keys and values (equal lengths, keys distinct
// and of one scalar kind), kept sorted by key.
func MapValue(keys, values []Value) Value {
	if len(keys) != len(values) {
		panic("plan: MapValue with different numbers of keys and values")
	}
	idx := make([]int, len(keys))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(a, b int) int { return Compare(keys[a], keys[b]) })
	list := make([]Value, 0, 2*len(keys))
	for _, i := range idx {
		list = append(list, keys[i], values[i])
	}
	return Value{kind: Map, list: list}
}

// Kind is the value's kind, Null for null.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == Null || v.kind == Invalid }

// Bool, Int, Uint, Double, Str, Time and Duration unwrap a value of that kind;
// of another kind they return what the bits happen to say.
func (v Value) Bool() bool { return v.bits != 0 }

// Int is the int.
func (v Value) Int() int64 { return int64(v.bits) }

// Uint is the uint.
func (v Value) Uint() uint64 { return v.bits }

// Double is the double.
func (v Value) Double() float64 { return math.Float64frombits(v.bits) }

// Str is the string, or the bytes as a string.
func (v Value) Str() string { return v.str }

// Time is the timestamp.
func (v Value) Time() EventTime { return EventTime(v.bits) }

// Duration is the duration.
func (v Value) Duration() time.Duration { return time.Duration(v.bits) }

// List is the elements of a list; of a map, its keys and values alternating in
// key order; of an optional, none or one. The caller must not modify it.
func (v Value) List() []Value { return v.list }

// Equal reports whether v and w are the same value bit for bit: +0.0 and -0.0
// differ, NaN equals NaN.
func (v Value) Equal(w Value) bool {
	if v.IsNull() || w.IsNull() {
		return v.IsNull() && w.IsNull()
	}
	return v.kind == w.kind && v.bits == w.bits && v.str == w.str && slices.EqualFunc(v.list, w.list, Value.Equal)
}

// Compare orders values of one kind: numbers by value with -0 < +0 and NaN
// last, strings and bytes by bytes, false before true, lists by element. Values of
// different kinds order by kind. It is 0 only for Equal values.
func Compare(v, w Value) int {
	if v.IsNull() || w.IsNull() || v.kind != w.kind {
		return cmp.Compare(max(v.kind, Null), max(w.kind, Null))
	}
	switch v.kind {
	case Int, Timestamp, Duration:
		return cmp.Compare(int64(v.bits), int64(w.bits))
	case Double:
		return cmp.Compare(OrderedDouble(v.Double()), OrderedDouble(w.Double()))
	case String, Bytes:
		return strings.Compare(v.str, w.str)
	case List, Map, Optional:
		return slices.CompareFunc(v.list, w.list, Compare)
	}
	return cmp.Compare(v.bits, w.bits)
}

// OrderedDouble maps doubles to integers that order like their values, with
// -0 before +0 and every NaN, as CanonicalNaN, after +Inf.
func OrderedDouble(f float64) uint64 {
	b := DoubleBits(f)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// DoubleOfOrdered inverts OrderedDouble.
func DoubleOfOrdered(u uint64) float64 {
	if u>>63 != 0 {
		return math.Float64frombits(u &^ (1 << 63))
	}
	return math.Float64frombits(^u)
}

// AppendCanonical appends the canonical encoding of v: a kind byte and a payload
// such that encodings of two values are equal only if the values are Equal, are
// ordered as Compare orders them, and never are prefixes of one another.
func AppendCanonical(dst []byte, v Value) []byte {
	if v.IsNull() {
		return append(dst, byte(Null))
	}
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case Bool:
		return append(dst, byte(v.bits))
	case Int, Timestamp, Duration:
		return appendBig(dst, v.bits^1<<63)
	case Uint:
		return appendBig(dst, v.bits)
	case Double:
		return appendBig(dst, OrderedDouble(v.Double()))
	case String, Bytes:
		return AppendEscaped(dst, v.str)
	case List, Map, Optional:
		for _, e := range v.list {
			dst = AppendCanonical(dst, e)
		}
		return append(dst, 0)
	}
	return dst
}

// AppendEscaped appends s so that encodings order like the strings and none is a
// prefix of another: 0x00 becomes 0x00 0xff, and 0x00 0x00 ends the string.
func AppendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			break
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, 0, 0xff)
		s = s[i+1:]
	}
	dst = append(dst, s...)
	return append(dst, 0, 0)
}

func appendBig(dst []byte, u uint64) []byte {
	return append(dst, byte(u>>56), byte(u>>48), byte(u>>40), byte(u>>32), byte(u>>24), byte(u>>16), byte(u>>8), byte(u))
}

// MaxDepth is how many collections a value may be nested in to be decoded.
const MaxDepth = 100

// DecodeCanonical reads one value from the front of b and returns the rest. It
// accepts what AppendCanonical writes and nothing else.
func DecodeCanonical(b []byte) (Value, []byte, error) { return decodeCanonical(b, 0) }

func decodeCanonical(b []byte, depth int) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, errTruncated
	}
	kind := Kind(b[0])
	b = b[1:]
	switch kind {
	case Null:
		return Value{}, b, nil
	case Bool:
		if len(b) < 1 || b[0] > 1 {
			return Value{}, nil, errTruncated
		}
		return BoolValue(b[0] == 1), b[1:], nil
	case Int, Uint, Double, Timestamp, Duration:
		return decodeFixed(kind, b)
	case String, Bytes:
		s, rest, err := DecodeEscaped(b)
		return Value{kind: kind, str: s}, rest, err
	case List, Map, Optional:
		return decodeElements(kind, b, depth+1)
	}
	return Value{}, nil, fmt.Errorf("canonical value: unknown kind %d", kind)
}

func decodeElements(kind Kind, b []byte, depth int) (Value, []byte, error) {
	if depth > MaxDepth {
		return Value{}, nil, fmt.Errorf("canonical value: nested more than %d levels deep", MaxDepth)
	}
	v := Value{kind: kind}
	for len(b) > 0 && b[0] != 0 {
		e, rest, err := decodeCanonical(b, depth)
		if err != nil {
			return Value{}, nil, err
		}
		v.list, b = append(v.list, e), rest
	}
	if len(b) == 0 || !v.wellFormed() {
		return Value{}, nil, errTruncated
	}
	return v, b[1:], nil
}

// wellFormed reports whether the elements of a collection are such that it could
// have been made: of an optional at most one, of a map a value for each key and the
// keys ascending.
func (v Value) wellFormed() bool {
	switch v.kind {
	case Optional:
		return len(v.list) <= 1
	case Map:
		if len(v.list)%2 != 0 {
			return false
		}
		for i := 2; i < len(v.list); i += 2 {
			if Compare(v.list[i-2], v.list[i]) >= 0 {
				return false
			}
		}
	}
	return true
}

var errTruncated = fmt.Errorf("canonical value: truncated or malformed")

func decodeFixed(kind Kind, b []byte) (Value, []byte, error) {
	if len(b) < 8 {
		return Value{}, nil, errTruncated
	}
	var u uint64
	for _, c := range b[:8] {
		u = u<<8 | uint64(c)
	}
	v := Value{kind: kind, bits: u}
	switch kind {
	case Int, Timestamp, Duration:
		v.bits = u ^ 1<<63
	case Double:
		v = DoubleValue(DoubleOfOrdered(u))
		if OrderedDouble(v.Double()) != u {
			return Value{}, nil, errTruncated // another NaN
		}
	}
	return v, b[8:], nil
}

// DecodeEscaped inverts AppendEscaped and returns the rest of b.
func DecodeEscaped(b []byte) (string, []byte, error) {
	var out []byte
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 >= len(b) {
			return "", nil, errTruncated
		}
		out = append(out, b[:i]...)
		switch b[i+1] {
		case 0:
			return string(out), b[i+2:], nil
		case 0xff:
			out = append(out, 0)
		default:
			return "", nil, errTruncated
		}
		b = b[i+2:]
	}
}

// String writes v for people: doubles in the shortest form that reads back to
// the same bits, strings quoted, times in RFC 3339.
func (v Value) String() string {
	switch v.kind {
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Uint:
		return strconv.FormatUint(v.bits, 10) + "u"
	case Double:
		return formatDouble(v.Double())
	case String:
		return strconv.Quote(v.str)
	case Bytes:
		return `b"` + base64.StdEncoding.EncodeToString([]byte(v.str)) + `"`
	case Timestamp:
		return v.Time().String()
	case Duration:
		return v.Duration().String()
	case List:
		return "[" + joinValues(v.list) + "]"
	case Map:
		return formatMap(v.list)
	case Optional:
		if len(v.list) == 0 {
			return "none"
		}
		return v.list[0].String()
	}
	return "null"
}

func formatDouble(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(s, ".eIN") {
		return s
	}
	return s + ".0"
}

func joinValues(list []Value) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}

func formatMap(list []Value) string {
	parts := make([]string, 0, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		parts = append(parts, list[i].String()+": "+list[i+1].String())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// HasType reports whether v is null or a value of type t.
func (v Value) HasType(t Type) bool {
	if v.IsNull() || t.Kind == Dyn {
		return true
	}
	if v.kind != t.Kind {
		return false
	}
	switch v.kind {
	case List, Optional:
		return !slices.ContainsFunc(v.list, func(e Value) bool { return !e.HasType(*t.Elem) })
	case Map:
		for i := 0; i < len(v.list); i += 2 {
			if !v.list[i].HasType(*t.Key) || !v.list[i+1].HasType(*t.Elem) {
				return false
			}
		}
	}
	return true
}
