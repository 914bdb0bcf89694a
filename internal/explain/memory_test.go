package explain_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/vector"
)

// Of more events than memory is given for, the newest are listed and all are counted.
func TestMemoryOfEventsIsBounded(t *testing.T) {
	v, _ := payments(t)
	const n = 3000
	ev := &kernel.Events{Batch: &vector.Batch{N: n}, ColumnKnown: map[string][]plan.EventTime{"refunded": make([]plan.EventTime, n)}}
	users, amounts, countries, refunded := make([]plan.Value, n), make([]plan.Value, n), make([]plan.Value, n), make([]plan.Value, n)
	for i := range n {
		ev.Time, ev.ID = append(ev.Time, 9*hour+plan.EventTime(i)), append(ev.ID, fmt.Sprint(i))
		users[i], amounts[i], countries[i], refunded[i] = plan.IntValue(1), plan.DoubleValue(1), plan.StringValue("FR"), plan.BoolValue(false)
	}
	for name, values := range map[string][]plan.Value{"user_id": users, "amount": amounts, "country": countries, "refunded": refunded} {
		f := plan.Field{Name: name, Type: plan.T(values[0].Kind())}
		ev.Batch.Fields, ev.Batch.Cols = append(ev.Batch.Fields, f), append(ev.Batch.Cols, vector.Of(f.Type, values...))
	}
	for _, memory := range []int64{64 << 10, 0} {
		e, err := explain.Run(t.Context(), explain.Config{
			View: v, Feature: 0, Key: []plan.Value{plan.IntValue(1)}, At: 10 * hour, Events: n, Memory: memory, Ends: logpos.Vector{9},
			Serving: &explain.Serving{Range: recompute.Range{To: plan.Never, Until: logpos.Vector{3}}},
			History: func(_ context.Context, _ []*plan.View, r recompute.Range, _ int, f func(int, *kernel.Events) error) error {
				if r.Until.At(0) == 3 {
					return nil
				}
				return f(0, ev)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		last := e.Events[len(e.Events)-1]
		if bounded := memory > 0; e.Total != n || e.Training.Value != fmt.Sprint(n) || last.ID != fmt.Sprint(n-1) || (len(e.Events) < n/2) != bounded || len(e.Events) < 50 {
			t.Errorf("with %d bytes: %d of %d events, %v, the last is %s", memory, len(e.Events), e.Total, e.Training, last.ID)
		}
	}
}
