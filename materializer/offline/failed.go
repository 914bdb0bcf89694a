package offline

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/internal/kernel"
)

// failedRows keeps the first rows on which each of some features failed, in the order of
// the spine.
type failedRows struct {
	first [][]failedRow // by feature
}

type failedRow struct {
	row  int32 // of the spine
	text string
}

func newFailedRows(features int) *failedRows { return &failedRows{make([][]failedRow, features)} }

// see records the failures in results that were just computed for the given rows of the spine,
// which ascend. Without failures it costs nothing.
func (f *failedRows) see(results *kernel.Features, rows []int32) {
	for c := range results.Cols {
		if results.Cols[c].Errors == 0 {
			continue
		}
		for i, status := range results.Cols[c].Status {
			if len(f.first[c]) == kernel.KeptFailures {
				break
			}
			if status == kernel.Failed {
				f.first[c] = append(f.first[c], failedRow{rows[i], results.ErrorText(c, i)})
			}
		}
	}
}

// merge adds the failures recorded for other rows, in any order.
func (f *failedRows) merge(o *failedRows) {
	for c := range f.first {
		all := slices.Concat(f.first[c], o.first[c])
		slices.SortFunc(all, func(a, b failedRow) int { return cmp.Compare(a.row, b.row) })
		f.first[c] = all[:min(len(all), kernel.KeptFailures)]
	}
}

// failures are the sample failures of output number o, for the manifest.
func (t *trainer) failures(o int) (events []EventFailure, rows []RowFailure) {
	svc := t.Set.Service
	var failed []failedRow
	if d := o - len(svc.Features); d >= 0 {
		failed = t.derived.first[d]
	} else {
		f := svc.Features[o]
		r := t.roles[f.Ref]
		failed = r.failed.first[f.Feature]
		_, first := r.of.kernel.LeftOut(r.of.tally, r.view, f.Feature)
		for _, e := range first {
			events = append(events, EventFailure{e.Time.String(), e.ID, e.Text})
		}
	}
	for _, r := range failed {
		rows = append(rows, RowFailure{int64(r.row) + 1, t.spine.at[r.row].String(), r.text})
	}
	return events, rows
}
