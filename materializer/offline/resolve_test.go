package offline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// deliver adds n rows with one id to a resolver; text is in a column of each.
func deliver(r *resolver, n int, id, text string) error {
	fields := r.fields()
	b := vector.NewBatch(fields, n)
	ev := &kernel.Events{Batch: b, Time: make([]plan.EventTime, n), ID: make([]string, n), ColumnKnown: map[string][]plan.EventTime{}}
	for _, c := range r.late {
		ev.ColumnKnown[fields[c].Name] = make([]plan.EventTime, n)
	}
	for i := range n {
		b.Cols[0].Set(i, plan.IntValue(int64(i)))
		b.Cols[1].Set(i, plan.StringValue(text))
		ev.ID[i] = id
	}
	for i := range n {
		if err := r.addFile(ev, i); err != nil {
			return err
		}
	}
	return nil
}

// deliverySource has an int and a text, and a late column if it has an outcome.
func deliverySource(outcome bool) *plan.Source {
	column := func(name string, k plan.Kind) plan.SourceColumn {
		return plan.SourceColumn{Field: plan.Field{Name: name, Type: plan.T(k)}}
	}
	s := &plan.Source{Name: "orders", EventID: "id", Columns: []plan.SourceColumn{column("n", plan.Int), column("text", plan.String), column("paid", plan.Bool)}}
	s.Columns[2].Outcome = outcome
	return s
}

// eventsOf counts the events of a resolver.
func eventsOf(r *resolver) (n int, counts HistoryCounts, err error) {
	err = r.each(100, &counts, func(b *vector.Batch, _ *ingest.Arrivals) error { n += b.N; return nil })
	return n, counts, err
}

// An id that has more rows than one event can have is refused by name, in memory or not.
func TestP8_AnIDOfTooManyRows(t *testing.T) {
	for _, outcome := range []bool{false, true} {
		for _, limit := range []int64{0, 1 << 20} {
			t.Run(fmt.Sprintf("outcome %v, %d bytes", outcome, limit), func(t *testing.T) {
				made := func() *resolver {
					r := newResolver(deliverySource(outcome))
					if limit > 0 {
						s := &scratch{dir: t.TempDir()}
						t.Cleanup(s.close)
						r.file = &deliveryFile{scratch: s, limit: limit}
					}
					return r
				}
				r := made()
				if err := deliver(r, limits.Deliveries, "few", ""); err != nil {
					t.Fatal(err)
				}
				if n, counts, err := eventsOf(r); err != nil || n != 1 || counts.Redelivered != limits.Deliveries-1 || counts.Conflicts != limits.Deliveries-1 {
					t.Errorf("%d events, %+v, %v", n, counts, err)
				}
				r = made()
				err := deliver(r, limits.Deliveries+1, "unknown", "")
				if err == nil {
					_, _, err = eventsOf(r)
				}
				if err == nil || !strings.Contains(err.Error(), `source orders: more than 65536 rows`) || !strings.Contains(err.Error(), `event id "unknown" in column "id"`) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// Rows with one hash of their ids that do not fit into memory are refused with what would help.
func TestP8_RepeatedIDsThatDoNotFit(t *testing.T) {
	s := &scratch{dir: t.TempDir()}
	t.Cleanup(s.close)
	r := newResolver(deliverySource(true))
	r.file = &deliveryFile{scratch: s, limit: 1 << 20}
	if err := deliver(r, 40, "long", strings.Repeat("x", 1<<20)); err != nil {
		t.Fatal(err)
	}
	_, _, err := eventsOf(r)
	if err == nil || !strings.Contains(err.Error(), "source orders: the rows with repeated event ids need more memory") || !strings.Contains(err.Error(), "allow 4 times as much (--memory)") ||
		!strings.Contains(err.Error(), `"long" has at least`) {
		t.Errorf("error %v", err)
	}
}

// Batches of resolved events end before their texts become too large.
func TestP8_ResolvedEventsWithLongTexts(t *testing.T) {
	r := newResolver(deliverySource(false))
	for i := range 20 {
		if err := deliver(r, 1, fmt.Sprint(i), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	err := r.each(100, &HistoryCounts{}, func(b *vector.Batch, _ *ingest.Arrivals) error {
		if n += b.N; b.N > 5 {
			t.Errorf("%d events of 1 MiB in a batch", b.N)
		}
		return nil
	})
	if err != nil || n != 20 {
		t.Errorf("%d events, %v", n, err)
	}
}
