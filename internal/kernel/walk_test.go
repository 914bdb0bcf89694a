package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// severalWindows reads each aggregate over several windows.
func severalWindows() string {
	view := `kind: Entity
name: who
keys: [{name: who, type: string}]
---
kind: Source
name: payments
from: payments.parquet
event_time: ts
columns: {who: {type: string}, ts: {type: timestamp}, qty: {type: int}, amount: {type: double}}
---
kind: FeatureView
name: v
entity: who
source: payments
features:
`
	for i, w := range []string{"2s/exact", "10s/5s", "60s/exact"} {
		for _, of := range []string{"qty", "amount"} {
			for _, f := range []string{"sum", "mean", "max", "min"} {
				view += fmt.Sprintf("  %s_%s_%d: %[1]s(%[2]s, %[4]q)\n", f, of, i, w)
			}
		}
		view += fmt.Sprintf("  some_%d: sum(amount, %q).where(qty > 3)\n", i, w)
	}
	return view
}

// Where no event is late, readers go through all rows of an entity at once; the values are those of
// going row by row, as where an event might be late.
func TestWalkingIsRowByRow(t *testing.T) {
	view := defstest.Compile(t, severalWindows()).Views[0]
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 7))
		const rows, events, people = 400, 1500, 12
		keys, at := vector.New(plan.T(plan.String), rows), make([]plan.EventTime, rows)
		for i := range rows {
			keys.Str[i], at[i] = fmt.Sprint("p", random.IntN(people)), plan.EventTime(random.IntN(150_000))*1000
		}
		var fields []plan.Field
		for _, c := range view.Source.Columns {
			fields = append(fields, c.Field)
		}
		ev := &kernel.Events{Batch: vector.NewBatch(fields, events), Time: make([]plan.EventTime, events)}
		unusual := []float64{0, 1e-300, 1e15, -1e22}[seed%4]
		for i := range events {
			amount := random.NormFloat64() * 1000
			if random.IntN(100) == 0 {
				amount = unusual
			}
			ev.Time[i] = plan.EventTime(random.IntN(150_000)) * 1000
			ev.Batch.Col("who").Set(i, plan.StringValue(fmt.Sprint("p", random.IntN(people))))
			ev.Batch.Col("qty").Set(i, plan.IntValue(random.Int64N(10)))
			ev.Batch.Col("amount").Set(i, plan.DoubleValue(amount))
		}
		walked := inPieces(t, []*plan.View{view}, keys, at, []*kernel.Events{ev}, 1, 1, false)
		ev.Known = ev.Time
		if byRow := inPieces(t, []*plan.View{view}, keys, at, []*kernel.Events{ev}, 1, 1, false); walked != byRow {
			t.Fatalf("seed %d: the values differ", seed)
		}
	}
}
