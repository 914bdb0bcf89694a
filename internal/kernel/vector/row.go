package vector

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// AppendRow appends the canonical encoding of row i: the concatenated canonical
// values of its columns. Equal rows have equal encodings.
func (b *Batch) AppendRow(dst []byte, i int) []byte {
	for _, c := range b.Cols {
		dst = plan.AppendCanonical(dst, c.Value(i))
	}
	return dst
}

// SetRow stores an encoded row in row i of b, whose Fields are those it was
// encoded with.
func (b *Batch) SetRow(i int, row []byte) error {
	for c, col := range b.Cols {
		v, rest, err := plan.DecodeCanonical(row)
		if err != nil {
			return fmt.Errorf("row %d, column %s: %w", i, b.Fields[c].Name, err)
		}
		if !v.HasType(col.Type) {
			return fmt.Errorf("row %d, column %s: stored as %v, declared as %v", i, b.Fields[c].Name, v.Kind(), col.Type)
		}
		col.Set(i, v)
		row = rest
	}
	if len(row) != 0 {
		return fmt.Errorf("row %d: %d bytes more than its %d columns take", i, len(row), len(b.Cols))
	}
	return nil
}
