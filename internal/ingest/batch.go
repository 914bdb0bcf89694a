package ingest

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// compareNames orders columns in payloads.
func compareNames(a, b string) int { return strings.Compare(a, b) }

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
