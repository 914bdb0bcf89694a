package ingest

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Take copies the rows of b at the given indexes into dst, reusing its memory; dst
// may be nil. Strings still alias those of b.
func Take(dst, b *vector.Batch, rows []int) *vector.Batch {
	if dst == nil || len(dst.Cols) != len(b.Cols) {
		dst = vector.NewBatch(b.Fields, 0)
	}
	dst.N, dst.Fields = len(rows), b.Fields
	for c, src := range b.Cols {
		takeRows(dst.Cols[c], src, rows)
	}
	return dst
}

func takeRows(dst, src *vector.Vector, rows []int) {
	dst.Type = src.Type
	dst.Resize(len(rows))
	lane := vector.Lane(src.Type)
	for to, from := range rows {
		switch {
		case src.IsNull(from):
			dst.SetNull(to)
		case src.IsErr(from):
			dst.SetErr(to)
		case lane == plan.Bool:
			dst.Bits.Put(to, src.Bits.Get(from))
		case lane == plan.Int:
			dst.Int[to] = src.Int[from]
		case lane == plan.Double:
			dst.Double[to] = src.Double[from]
		case lane == plan.String:
			dst.Str[to] = src.Str[from]
		default:
			dst.Any[to] = src.Any[from]
		}
	}
}

// TakeBits copies the bits at the given indexes. It returns nil for nil.
func TakeBits(b vector.Bitmap, rows []int) vector.Bitmap {
	if b == nil {
		return nil
	}
	out := vector.NewBitmap(len(rows))
	for to, from := range rows {
		out.Put(to, b.Get(from))
	}
	return out
}

// TakeEach applies TakeBits to each column.
func TakeEach(columns map[string]vector.Bitmap, rows []int) map[string]vector.Bitmap {
	out := map[string]vector.Bitmap{}
	for name, b := range columns {
		out[name] = TakeBits(b, rows)
	}
	return out
}
