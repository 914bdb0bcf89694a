package offline

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// takeRows copies rows of a record, in ascending order. The caller releases the result.
func takeRows(ctx context.Context, rec arrow.RecordBatch, rows []int32) (arrow.RecordBatch, error) {
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(rows, nil)
	indexes := b.NewArray()
	defer indexes.Release()
	columns := make([]arrow.Array, rec.NumCols())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i := range columns {
		var err error
		if columns[i], err = compute.TakeArray(ctx, rec.Column(i), indexes); err != nil {
			return nil, err
		}
	}
	return array.NewRecordBatch(rec.Schema(), columns, int64(len(rows))), nil
}

// textSizes tells the sizes of the texts and bytes in the rows of a record.
type textSizes struct {
	narrow [][]int32 // by column: where the text of each row begins, and the end
	wide   [][]int64
}

func newTextSizes(rec arrow.RecordBatch) *textSizes {
	t := &textSizes{}
	for _, c := range rec.Columns() {
		if !arrow.IsBaseBinary(c.DataType().ID()) {
			continue
		}
		switch c := c.(type) {
		case interface{ ValueOffsets() []int32 }:
			t.narrow = append(t.narrow, c.ValueOffsets())
		case interface{ ValueOffsets() []int64 }:
			t.wide = append(t.wide, c.ValueOffsets())
		}
	}
	return t
}

// size is the bytes of the texts in a row.
func (t *textSizes) size(row int) (n int64) {
	for _, at := range t.narrow {
		n += int64(at[row+1] - at[row])
	}
	for _, at := range t.wide {
		n += at[row+1] - at[row]
	}
	return n
}
