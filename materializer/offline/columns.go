package offline

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// appendRows appends the rows of src, which has no failed rows, to dst. dst keeps
// nothing of src.
func appendRows(dst, src *vector.Vector) {
	begin := dst.N
	dst.N += src.N
	switch vector.Lane(dst.Type) {
	case plan.Bool:
		dst.Bits = widened(dst.Bits, dst.N)
		for i := range src.N {
			dst.Bits.Put(begin+i, src.Bits.Get(i))
		}
	case plan.Int:
		dst.Int = append(dst.Int, src.Int[:src.N]...)
	case plan.Double:
		dst.Double = append(dst.Double, src.Double[:src.N]...)
	case plan.String:
		for _, s := range src.Str[:src.N] {
			dst.Str = append(dst.Str, strings.Clone(s))
		}
	default:
		dst.Any = append(dst.Any, src.Any[:src.N]...)
	}
	if src.Null == nil && dst.Null == nil {
		return
	}
	dst.Null = widened(dst.Null, dst.N)
	for i := range src.N {
		if src.Null.Get(i) {
			dst.Null.Set(begin + i)
		}
	}
}

// widened is b with room for n bits.
func widened(b vector.Bitmap, n int) vector.Bitmap {
	for len(b) < vector.Words(n) {
		b = append(b, 0)
	}
	return b
}

// section is the rows [from, to) of v without copying; from is a multiple of 64 and
// to is one too or the length of v.
func section(v *vector.Vector, from, to int) *vector.Vector {
	s := &vector.Vector{Type: v.Type, N: to - from, Null: sectionBits(v.Null, from, to)}
	switch vector.Lane(v.Type) {
	case plan.Bool:
		s.Bits = sectionBits(v.Bits, from, to)
	case plan.Int:
		s.Int = v.Int[from:to]
	case plan.Double:
		s.Double = v.Double[from:to]
	case plan.String:
		s.Str = v.Str[from:to]
	default:
		s.Any = v.Any[from:to]
	}
	return s
}

func sectionBits(b vector.Bitmap, from, to int) vector.Bitmap {
	if b == nil {
		return nil
	}
	return b[from/64 : vector.Words(to)]
}
