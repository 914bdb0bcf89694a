package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// latestOnly is a view whose superseded events can be dropped, and one that reads every event.
const latestOnly = `kind: Entity
name: who
keys: [{name: who, type: string}]
---
kind: Source
name: payments
stream: true
event_time: ts
event_id: id
columns:
  who: {type: string}
  ts: {type: timestamp}
  id: {type: string}
  qty: {type: int}
  text: {type: string}
  paid: {type: bool}
---
kind: FeatureView
name: latest
entity: who
source: payments
features:
  qty: latest(qty)
  text: latest(text)
  paid: latest(paid)
  list: latest([qty, qty + 1], "30s/exact")
  when: latest_time().where(paid)
  large: latest(text + "!", "20s/5s").where(qty > 5)
---
kind: FeatureView
name: every
entity: who
source: payments
features:
  n: count()
`

// A replay that drops superseded events computes what one does that keeps them, whatever the
// order of the events, with ties, nulls, filters and events that are known late.
func TestSupersededEventsAreNotRead(t *testing.T) {
	views := defstest.Compile(t, latestOnly).Views
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		const rows, people = 300, 12
		keys, at := vector.New(plan.T(plan.String), rows), make([]plan.EventTime, rows)
		for i := range rows {
			keys.Str[i], at[i] = fmt.Sprint("p", random.IntN(2*people+1)), plan.EventTime(random.IntN(100))*1_000_000
		}
		batches := latestBatches(views[0].Source, people, random)
		want := inPieces(t, views, keys, at, batches, 1, 1, false)
		for _, parts := range []int{1, 4} {
			if got := inPieces(t, views[:1], keys, at, batches, parts, 2, parts == 4); got != want {
				t.Fatalf("seed %d, %d parts: without superseded events the results differ", seed, parts)
			}
			if got := inPiecesWithin(t, views[:1], keys, at, batches, parts, 2, false, 4000); got != want {
				t.Fatalf("seed %d, %d parts: without superseded events the results of events in a store differ", seed, parts)
			}
		}
	}
}

// Of events in order of time, a replay of latest values hands over few more than it has spine rows.
func TestSupersededEventsAreDropped(t *testing.T) {
	view := defstest.Compile(t, latestOnly).Views[0]
	const events, rows = 50_000, 100
	keys, at := vector.New(plan.T(plan.String), rows), make([]plan.EventTime, rows)
	for i := range rows {
		keys.Str[i], at[i] = "p", plan.EventTime(i*events/rows)
	}
	spine := kernel.NewSpine(1)
	spine.Add([][]*vector.Vector{{keys}}, at)
	r, err := kernel.NewReplay(view)
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(spine, 0, 1)
	bytes := 0
	c, err := r.NewCollector(func(_ int, b *kernel.Block) error {
		bytes += b.Bytes()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < events; n += 1000 {
		ev := emptyEvents(view.Source, 1000)
		for i := range 1000 {
			setEvent(ev, i, "p", plan.EventTime(n+i), fmt.Sprint(n+i), int64(i), "text")
		}
		if err := c.Add(kernel.Place{Row: int64(n)}, ev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if most := events / 10 * r.EventBytes(); bytes == 0 || bytes > most {
		t.Errorf("%d bytes are handed over, of %d events with 100 spine rows; want at most %d", bytes, events, most)
	}
}

// latestBatches makes events in order of time but for some, with ties; a few batches are known late.
func latestBatches(src *plan.Source, people int, random *rand.Rand) []*kernel.Events {
	var batches []*kernel.Events
	for n := range 200 {
		ev := emptyEvents(src, 1+random.IntN(100))
		for i := range ev.Batch.N {
			ts := plan.EventTime(n*5+random.IntN(25)) * 100_000
			if random.IntN(50) == 0 {
				ts = plan.EventTime(random.IntN(100)) * 1_000_000
			}
			who := random.IntN(people)
			if random.IntN(150) == 0 {
				who += people // has only a few events
			}
			setEvent(ev, i, fmt.Sprint("p", who), ts, fmt.Sprint(random.IntN(1000)), int64(random.IntN(10)), fmt.Sprint("text", random.IntN(20)))
			if random.IntN(4) == 0 {
				ev.Batch.Col("text").Set(i, plan.NullValue())
			}
		}
		if random.IntN(8) == 0 {
			for _, t := range ev.Time {
				ev.Known = append(ev.Known, t+plan.EventTime(random.IntN(3_000_000)))
			}
		}
		if random.IntN(2) == 0 {
			slices.Sort(ev.Time)
		}
		batches = append(batches, ev)
	}
	return batches
}

func emptyEvents(src *plan.Source, n int) *kernel.Events {
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	return &kernel.Events{Batch: vector.NewBatch(fields, n), Time: make([]plan.EventTime, n), ID: make([]string, n)}
}

func setEvent(ev *kernel.Events, i int, who string, ts plan.EventTime, id string, qty int64, text string) {
	ev.Time[i], ev.ID[i] = ts, id
	ev.Batch.Col("who").Set(i, plan.StringValue(who))
	ev.Batch.Col("qty").Set(i, plan.IntValue(qty))
	ev.Batch.Col("text").Set(i, plan.StringValue(text))
	ev.Batch.Col("paid").Set(i, plan.BoolValue(qty%3 == 0))
}
