package kernel_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

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
%s  when: latest_time().where(paid)
  large: latest(text + "!", "20s/5s").where(qty > 5)
---
kind: FeatureView
name: every
entity: who
source: payments
features:
  n: count()
`

// latestViews are the views; with lists, events cannot be merged with the spine.
func latestViews(t *testing.T, lists bool) []*plan.View {
	t.Helper()
	feature := ""
	if lists {
		feature = "  list: latest([qty, qty + 1], \"30s/exact\")\n"
	}
	return defstest.Compile(t, fmt.Sprintf(latestOnly, feature)).Views
}

// A replay that drops superseded events computes what one does that keeps them, whatever the
// order of the events, with ties, nulls, filters and events that are known late.
func TestSupersededEventsAreNotRead(t *testing.T) {
	for seed := range uint64(40) {
		views := latestViews(t, seed%2 == 0)
		random := rand.New(rand.NewPCG(seed, 1))
		const rows, people = 300, 12
		keys, at := vector.New(plan.T(plan.String), rows), make([]plan.EventTime, rows)
		for i := range rows {
			keys.Str[i], at[i] = fmt.Sprint("p", random.IntN(people+1)), plan.EventTime(random.IntN(100))*1_000_000
		}
		batches := latestBatches(views[0].Source, people, random, seed%4 == 1)
		want := inPieces(t, views, keys, at, batches, 1, 1, false)
		for _, parts := range []int{1, 4} {
			for _, buffer := range []int{100, 1000, 1 << 20} {
				got := inPiecesWithin(t, views[:1], keys, at, batches, parts, 2, parts == 4, 0, func(r *kernel.Replay) { r.BufferEvents(buffer) })
				if got != want {
					t.Fatalf("seed %d, %d parts, buffers of %d events: without superseded events the results differ", seed, parts, buffer)
				}
			}
		}
	}
}

// Of events in order of time, a replay of latest values hands over few more than it has spine rows.
func TestSupersededEventsAreDropped(t *testing.T) {
	const events, rows = 50_000, 100
	if n := handedOver(t, latestViews(t, true)[0], events, rows); n == 0 || n > events/10 {
		t.Errorf("%d events are handed over, of %d with %d spine rows", n, events, rows)
	}
	// Merged with the spine, in buffers of 1000, each row has one, and each buffer has a last one.
	if n := handedOver(t, latestViews(t, false)[0], events, rows); n < rows-1 || n > rows+events/1000+kernel.FewEvents {
		t.Errorf("%d events are handed over, of %d with %d spine rows", n, events, rows)
	}
}

// handedOver is how many events collectors hand over, of an entity with a spine row every so many events.
func handedOver(t *testing.T, view *plan.View, events, rows int) (n int) {
	t.Helper()
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
	r.BufferEvents(1000)
	r.Begin(spine, 0, 1)
	c, err := r.NewCollector(func(_ int, b *kernel.Block) error {
		n += b.Events()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for first := 0; first < events; first += 1000 {
		ev := emptyEvents(view.Source, 1000)
		for i := range 1000 {
			setEvent(ev, i, "p", plan.EventTime(first+i), fmt.Sprint(first+i), 9, "text")
		}
		if err := c.Add(kernel.Place{Row: int64(first)}, ev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// What is buffered until it is merged is copied, unless its memory may be kept.
func TestBufferedTextsAreCopied(t *testing.T) {
	view := latestViews(t, false)[0]
	keys := vector.Of(plan.T(plan.String), plan.StringValue("p"))
	for _, kept := range []bool{false, true} {
		spine := kernel.NewSpine(1)
		spine.Add([][]*vector.Vector{{keys}}, []plan.EventTime{1 << 40})
		r, err := kernel.NewReplay(view)
		if err != nil {
			t.Fatal(err)
		}
		r.Begin(spine, 0, 1)
		var raw []byte
		c, err := r.NewCollector(func(_ int, b *kernel.Block) error {
			raw = b.AppendTo(raw)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		const n = 100
		memory := []byte("text")
		ev := emptyEvents(view.Source, n)
		for i := range n {
			setEvent(ev, i, "p", plan.EventTime(i), "id", 9, unsafe.String(&memory[0], len(memory)))
		}
		ev.Batch.Col("text").Kept = kept
		if err := c.Add(kernel.Place{}, ev); err != nil {
			t.Fatal(err)
		}
		copy(memory, "used")
		if _, err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if used := bytes.Contains(raw, []byte("used")); used != kept {
			t.Errorf("kept %v: blocks refer to memory that was used again: %v", kept, used)
		}
	}
}

// latestBatches makes events in order of time, but for some unless they are ordered, with ties; a few batches are known late.
func latestBatches(src *plan.Source, people int, random *rand.Rand, ordered bool) []*kernel.Events {
	var batches []*kernel.Events
	for n := range 40 {
		ev := emptyEvents(src, 1+random.IntN(100))
		for i := range ev.Batch.N {
			ts := plan.EventTime(n*25+random.IntN(25)) * 100_000
			if random.IntN(50) == 0 && !ordered {
				ts = plan.EventTime(random.IntN(100)) * 1_000_000
			}
			setEvent(ev, i, fmt.Sprint("p", random.IntN(people)), ts, fmt.Sprint(random.IntN(1000)), int64(random.IntN(10)), fmt.Sprint("text", random.IntN(20)))
			if random.IntN(4) == 0 {
				ev.Batch.Col("text").Set(i, plan.NullValue())
			}
		}
		if random.IntN(8) == 0 && (!ordered || n%4 == 0) {
			for _, t := range ev.Time {
				ev.Known = append(ev.Known, t+plan.EventTime(random.IntN(3_000_000)))
			}
		}
		if ordered || random.IntN(2) == 0 {
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
