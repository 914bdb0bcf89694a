package agg

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// lane converts the values of one type to keys. Keys order as plan.Compare orders the
// values and are equal only for Equal values. The key of a fixed type is a uint64; that of
// any other type is a string: the bytes of a string or bytes value, the canonical encoding
// of a composite value.
type lane struct {
	typ   plan.Type // never optional
	kind  plan.Kind
	fixed bool
}

func laneOf(t plan.Type) lane {
	t = t.Unwrap()
	return lane{typ: t, kind: t.Kind, fixed: t.Kind.Scalar() && t.Kind != plan.String && t.Kind != plan.Bytes}
}

const signBit = 1 << 63

// key is the key of row i of a fixed lane.
func (l *lane) key(v *vector.Vector, i int) uint64 {
	switch l.kind {
	case plan.Double:
		return plan.OrderedDouble(v.Double[i])
	case plan.Bool:
		return uint64(v.Bits[i>>6] >> (uint(i) & 63) & 1)
	case plan.Uint:
		return uint64(v.Int[i])
	}
	return uint64(v.Int[i]) ^ signBit
}

// str is the key of row i of a lane that is not fixed. It may alias v.
func (l *lane) str(v *vector.Vector, i int) string {
	if l.kind == plan.String || l.kind == plan.Bytes {
		return v.Str[i]
	}
	return string(plan.AppendCanonical(nil, v.Any[i]))
}

// identity is key, except that -0.0 has the key of +0.0.
func (l *lane) identity(v *vector.Vector, i int) uint64 {
	if l.kind == plan.Double && v.Double[i] == 0 {
		return signBit
	}
	return l.key(v, i)
}

// put stores the value of a key in row i of out: of k for a fixed lane, of a copy of s for
// any other.
func (l *lane) put(out *vector.Vector, i int, k uint64, s []byte) {
	switch l.kind {
	case plan.Double:
		out.Double[i] = plan.DoubleOfOrdered(k)
	case plan.Bool:
		out.Bits.Put(i, k != 0)
	case plan.Uint:
		out.Int[i] = int64(k)
	case plan.Int, plan.Timestamp, plan.Duration:
		out.Int[i] = int64(k ^ signBit)
	case plan.String, plan.Bytes:
		out.Str[i] = string(s)
	default:
		out.Any[i] = composite(s)
	}
}

// putRow stores a copy of the value in row r of v in row i of out.
func (l *lane) putRow(out *vector.Vector, i int, v *vector.Vector, r int) {
	switch {
	case l.fixed:
		l.put(out, i, l.key(v, r), nil)
	case l.kind == plan.String || l.kind == plan.Bytes:
		out.Str[i] = strings.Clone(v.Str[r])
	default:
		out.Any[i] = composite([]byte(l.str(v, r)))
	}
}

// fixedValue boxes the value of a fixed lane's key.
func (l *lane) fixedValue(k uint64) plan.Value {
	switch l.kind {
	case plan.Double:
		return plan.DoubleValue(plan.DoubleOfOrdered(k))
	case plan.Bool:
		return plan.BoolValue(k != 0)
	case plan.Uint:
		return plan.UintValue(k)
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(k ^ signBit))
	case plan.Duration:
		return plan.DurationValue(time.Duration(k ^ signBit))
	}
	return plan.IntValue(int64(k ^ signBit))
}

// strValue boxes the value of a key of a lane that is not fixed; it may keep s.
func (l *lane) strValue(s string) plan.Value {
	switch l.kind {
	case plan.String:
		return plan.StringValue(s)
	case plan.Bytes:
		return plan.BytesValue([]byte(s))
	}
	return composite([]byte(s))
}

// composite decodes a canonical encoding that AppendCanonical wrote or read has checked.
func composite(b []byte) plan.Value {
	v, _, err := plan.DecodeCanonical(b)
	if err != nil {
		panic("agg: the encoding of a composite value does not decode: " + err.Error())
	}
	return v
}

// append appends the encoding of a key: of k for a fixed lane, of s for any other.
func (l *lane) append(dst []byte, k uint64, s []byte) []byte {
	switch l.kind {
	case plan.Double:
		return binary.LittleEndian.AppendUint64(dst, plan.DoubleBits(plan.DoubleOfOrdered(k)))
	case plan.Bool, plan.Uint:
		return binary.AppendUvarint(dst, k)
	case plan.Int, plan.Timestamp, plan.Duration:
		return binary.AppendVarint(dst, int64(k^signBit))
	}
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// read reads what append wrote. The bytes alias the reader's.
func (l *lane) read(r *reader) (k uint64, s []byte) {
	switch l.kind {
	case plan.Double:
		f := math.Float64frombits(r.uint64())
		if plan.DoubleBits(f) != math.Float64bits(f) {
			r.fail()
		}
		return plan.OrderedDouble(f), nil
	case plan.Bool:
		if k = r.uvarint(); k > 1 {
			r.fail()
		}
		return k, nil
	case plan.Uint:
		return r.uvarint(), nil
	case plan.Int, plan.Timestamp, plan.Duration:
		return uint64(r.varint()) ^ signBit, nil
	}
	s = r.bytes()
	if l.kind != plan.String && l.kind != plan.Bytes {
		if v, rest, err := plan.DecodeCanonical(s); err != nil || len(rest) != 0 || v.IsNull() || !v.HasType(l.typ) {
			r.fail()
		}
	}
	return 0, s
}

// compareBytes compares bytes with a string without copying either.
func compareBytes(b []byte, s string) int {
	switch {
	case string(b) == s:
		return 0
	case string(b) < s:
		return -1
	}
	return 1
}
