package offline

import (
	"context"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// Rows are rows of a source, which have been read from its files before. Calls may overlap.
type Rows interface {
	// Each calls f with some columns of all rows, in batches that are valid during the call.
	Each(ctx context.Context, columns []plan.Field, f func(*vector.Batch) error) error
}

// FileEvents calls f with the rows of the files of a source as events with all columns, before repeated ids are resolved. They are valid during the call.
func FileEvents(ctx context.Context, from *relation.Reader, src *plan.Source, f func(*kernel.Events) error) error {
	in, err := ingest.NewSource(src)
	if err != nil {
		return err
	}
	return from.Scan(ctx, relation.SourceRelation(src), in.Fields(), func(b *relation.Batch) error {
		ev, _, err := in.Events(b.Batch, nil)
		if err != nil {
			return inFile(b, err)
		}
		return f(ev)
	})
}

func (r *historyReader) scan(ctx context.Context, columns []plan.Field, f func(*relation.Batch) error) error {
	if r.Rows == nil {
		return r.Reader.Scan(ctx, r.relation(), columns, f)
	}
	first := int64(0)
	return r.Rows.Each(ctx, columns, func(b *vector.Batch) error {
		rows := relation.InMemory(b, first, r.Source.Name)
		first += int64(b.N)
		return f(rows)
	})
}

// scanParallel is scan by all workers.
func (r *historyReader) scanParallel(ctx context.Context, columns []plan.Field, f func(worker int, b *relation.Batch) error) error {
	if r.Rows == nil {
		return r.Reader.ScanParallel(ctx, r.relation(), columns, len(r.workers), f)
	}
	return r.scan(ctx, columns, func(b *relation.Batch) error { return f(0, b) })
}

// repeated calls f with the values of a column that occur in more than one row.
func (r *historyReader) repeated(ctx context.Context, column plan.Field, f func(*vector.Vector) error) error {
	if r.Rows == nil {
		return r.Reader.Repeated(ctx, r.relation(), column, f)
	}
	seen := map[string]bool{}
	return r.Rows.Each(ctx, []plan.Field{column}, func(b *vector.Batch) error {
		var again []int
		for i := range b.N {
			id := ingest.EventID(b.Cols[0], i)
			if seen[id] {
				again = append(again, i)
			}
			seen[id] = true
		}
		if len(again) == 0 {
			return nil
		}
		return f(ingest.Take(nil, b, again).Cols[0])
	})
}
