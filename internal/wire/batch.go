package wire

import (
	"fmt"

	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// Columns copies a batch into wire columns, in order.
func Columns(b *vector.Batch) ([]*unskewv1.Column, error) {
	out := make([]*unskewv1.Column, len(b.Cols))
	for i, v := range b.Cols {
		var err error
		if out[i], err = Column(b.Fields[i].Name, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SameRows returns the number of rows that all columns have, 0 for no columns. If the
// numbers differ, the error names two columns.
func SameRows(cols []*unskewv1.Column) (int, error) {
	if len(cols) == 0 {
		return 0, nil
	}
	n := Rows(cols[0])
	for _, c := range cols[1:] {
		if m := Rows(c); m != n {
			return 0, fmt.Errorf("column %q has %d rows and column %q has %d; send one value for each row in every column",
				cols[0].GetName(), n, c.GetName(), m)
		}
	}
	return n, nil
}
