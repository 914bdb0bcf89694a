package wire

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// OpenMessage starts a message field whose length is not known yet. CloseMessage, given the
// returned position, ends it.
func OpenMessage(dst []byte, field protowire.Number) (longer []byte, at int) {
	dst = append(protowire.AppendTag(dst, field, protowire.BytesType), 0)
	return dst, len(dst)
}

// CloseMessage ends the message that OpenMessage started: everything appended since.
func CloseMessage(dst []byte, at int) []byte {
	n := len(dst) - at
	more := protowire.SizeVarint(uint64(n)) - 1
	if more > 0 {
		dst = append(dst, make([]byte, more)...)
		copy(dst[at+more:], dst[at:at+n])
	}
	binary.PutUvarint(dst[at-1:], uint64(n))
	return dst
}

// RowMap maps each row of an answer to a row of a column; rows of one entity share a column
// row. Nil is the identity.
type RowMap []int32

// Of returns the row of the column for row i of the answer.
func (p RowMap) Of(i int) int {
	if p == nil {
		return i
	}
	return int(p[i])
}

// AppendColumn appends v, as n rows, as an encoded Column; an empty name is omitted. Rows
// that are null or failed become nulls with zero values, whatever the lane contains. It
// fails for a type that has no wire encoding.
func AppendColumn(dst []byte, name string, v *vector.Vector, rows RowMap, n int) ([]byte, error) {
	if name != "" {
		dst = protowire.AppendString(protowire.AppendTag(dst, fieldName, protowire.BytesType), name)
	}
	member, err := memberNumber(name, v.Type)
	if err != nil {
		return nil, err
	}
	if dst, err = appendMember(dst, member, v, rows, n); err != nil {
		return nil, columnError(name, err)
	}
	if v.Null == nil && v.Err == nil {
		return dst, nil
	}
	begin := len(dst)
	dst, at := OpenMessage(dst, fieldNulls)
	for i := range n {
		if !v.Valid(rows.Of(i)) {
			dst = protowire.AppendVarint(dst, uint64(i))
		}
	}
	if len(dst) == at {
		return dst[:begin], nil
	}
	return CloseMessage(dst, at), nil
}

// fieldNumbers maps a kind to the field number of the oneof values that carries it.
var fieldNumbers = func() (numbers [plan.Optional + 1]protowire.Number) {
	for number, kind := range kinds {
		if kind != plan.Invalid && kind != plan.Dyn {
			numbers[kind] = protowire.Number(number)
		}
	}
	nested := protowire.Number(slices.Index(kinds[:], plan.Dyn))
	numbers[plan.List], numbers[plan.Map] = nested, nested
	return numbers
}()

// memberNumber returns the field number of the oneof values for a type.
func memberNumber(name string, t plan.Type) (protowire.Number, error) {
	if kind := t.Unwrap().Kind; int(kind) < len(fieldNumbers) && fieldNumbers[kind] > 0 {
		return fieldNumbers[kind], nil
	}
	return 0, noForm(name, t)
}

// appendMember appends the field of the oneof values for n rows.
func appendMember(dst []byte, member protowire.Number, v *vector.Vector, rows RowMap, n int) ([]byte, error) {
	if n > 0 && v.Type.Unwrap().Kind == plan.Double { // its length is known in advance
		size := uint64(8 * n)
		dst = protowire.AppendTag(dst, member, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(1+protowire.SizeVarint(size))+size)
		dst = protowire.AppendVarint(protowire.AppendTag(dst, fieldValues, protowire.BytesType), size)
		return appendLane(dst, plan.Double, v, rows, n), nil
	}
	dst, at := OpenMessage(dst, member)
	var err error
	if n > 0 {
		dst, err = appendValues(dst, v, rows, n)
	}
	if err != nil {
		return nil, err
	}
	return CloseMessage(dst, at), nil
}

// appendValues appends the repeated field values of the oneof's message.
func appendValues(dst []byte, v *vector.Vector, rows RowMap, n int) ([]byte, error) {
	kind := v.Type.Unwrap().Kind
	switch kind {
	case plan.String, plan.Bytes:
		for i := range n {
			dst = protowire.AppendTag(dst, fieldValues, protowire.BytesType)
			text := ""
			if r := rows.Of(i); v.Valid(r) {
				text = v.Str[r]
			}
			dst = protowire.AppendString(dst, text)
		}
		return dst, nil
	case plan.List, plan.Map:
		for i := range n {
			var at int
			dst, at = OpenMessage(dst, fieldValues)
			if r := rows.Of(i); v.Valid(r) {
				m, err := Value(v.Any[r])
				if err != nil {
					return nil, rowError(i, err)
				}
				if dst, err = (proto.MarshalOptions{}).MarshalAppend(dst, m); err != nil {
					return nil, rowError(i, err)
				}
			}
			dst = CloseMessage(dst, at)
		}
		return dst, nil
	}
	dst, at := OpenMessage(dst, fieldValues)
	return CloseMessage(appendLane(dst, kind, v, rows, n), at), nil
}

// appendLane appends packed numbers.
func appendLane(dst []byte, kind plan.Kind, v *vector.Vector, rows RowMap, n int) []byte {
	all := v.Null == nil && v.Err == nil
	switch kind {
	case plan.Double:
		for i := range n {
			r, bits := rows.Of(i), uint64(0)
			if all || v.Valid(r) {
				bits = math.Float64bits(v.Double[r])
			}
			dst = binary.LittleEndian.AppendUint64(dst, bits)
		}
	case plan.Bool:
		for i := range n {
			b := byte(0)
			if r := rows.Of(i); v.Bits.Get(r) && v.Valid(r) {
				b = 1
			}
			dst = append(dst, b)
		}
	default:
		for i := range n {
			r, x := rows.Of(i), int64(0)
			if all || v.Valid(r) {
				x = v.Int[r]
			}
			dst = protowire.AppendVarint(dst, uint64(x))
		}
	}
	return dst
}
