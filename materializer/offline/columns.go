package offline

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// appendRows appends the rows of src, which has no failed rows, to dst. dst keeps no
// reference to the memory of src.
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

// pickRows copies the given rows of v, which has no failed ones.
func pickRows(v *vector.Vector, rows []int32) *vector.Vector {
	out := vector.New(v.Type, len(rows))
	lane := vector.Lane(v.Type)
	for to, from := range rows {
		switch {
		case v.Null.Get(int(from)):
			out.SetNull(to)
		case lane == plan.Bool:
			out.Bits.Put(to, v.Bits.Get(int(from)))
		case lane == plan.Int:
			out.Int[to] = v.Int[from]
		case lane == plan.Double:
			out.Double[to] = v.Double[from]
		case lane == plan.String:
			out.Str[to] = v.Str[from]
		default:
			out.Any[to] = v.Any[from]
		}
	}
	return out
}
