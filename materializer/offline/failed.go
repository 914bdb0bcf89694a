package offline

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/internal/kernel"
)

// failedRows keeps the first rows of the files on which each of some features failed, in
// the order of the spine: the same for any number of passes.
type failedRows struct {
	partition *partition
	first     [][]failedRow // by feature
}

type failedRow struct {
	row  int // of the spine
	text string
}

func newFailedRows(p *partition, features int) *failedRows {
	return &failedRows{partition: p, first: make([][]failedRow, features)}
}

// see looks at results that were just computed; number tells which row of the spine
// row i of them is, and ascends. Without failures it costs nothing.
func (f *failedRows) see(results *kernel.Features, number func(i int) int) {
	for c := range results.Cols {
		if results.Cols[c].Errors > 0 {
			f.seeColumn(results, c, number)
		}
	}
}

func (f *failedRows) seeColumn(results *kernel.Features, c int, number func(i int) int) {
	for i, status := range results.Cols[c].Status {
		if status != kernel.Failed {
			continue
		}
		kept, row := f.first[c], number(i)
		full := len(kept) == kernel.KeptFailures
		if full && row > kept[len(kept)-1].row {
			return
		}
		if f.partition.drops(row) {
			continue
		}
		if full {
			kept = kept[:len(kept)-1]
		}
		at, _ := slices.BinarySearchFunc(kept, row, func(k failedRow, row int) int { return cmp.Compare(k.row, row) })
		f.first[c] = slices.Insert(kept, at, failedRow{row, results.ErrorText(c, i)})
	}
}

// failures is what the manifest says of output number o.
func (t *trainer) failures(o int) (events []EventFailure, rows []RowFailure) {
	svc := t.Set.Service
	var failed []failedRow
	if d := o - len(svc.Features); d >= 0 {
		failed = t.failed.first[d]
	} else {
		f := svc.Features[o]
		r := t.roles[f.Ref]
		failed = r.failed.first[f.Feature]
		for _, e := range r.leftOut[f.Feature].first {
			events = append(events, EventFailure{e.Time.String(), e.ID, e.Text})
		}
	}
	for _, r := range failed {
		rows = append(rows, RowFailure{int64(r.row) + 1, t.spine.at[r.row].String(), r.text})
	}
	return events, rows
}
