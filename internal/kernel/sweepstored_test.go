package kernel_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// memoryStore keeps the encodings of blocks.
type memoryStore struct{ blocks [][]byte }

func (s *memoryStore) Put(b *kernel.Block) (int, error) {
	s.blocks = append(s.blocks, b.AppendTo(nil))
	return len(s.blocks) - 1, nil
}

func (s *memoryStore) Get(number int) (*kernel.Block, error) {
	b, _, err := kernel.ReadBlock(s.blocks[number])
	return b, err
}

func each(blocks []*kernel.Block) iter.Seq2[*kernel.Block, error] {
	return func(yield func(*kernel.Block, error) bool) {
		for _, b := range blocks {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// longViews are views of events that are never late, with aggregates of every kind of reader.
const longViews = `kind: Entity
name: person
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
name: long
entity: person
source: payments
features:
  n: count()
  n_hop: count("20s/5s").where(paid)
  sum: sum(double(qty) / 3.0, "7s/exact")
  spread: stddev_pop(qty, "30s/5s")
  values: distinct_count(text, "10s/exact")
  about: approx_distinct(text, "10s/exact")
  often: top_k(text, 3, "30s/exact")
  most: max(qty, "10s/exact")
  most_text: max(text, "20s/5s")
  least: min(qty).where(paid)
  text: latest(text)
  recent: latest_n(qty, 5, "12s/exact")
  first: earliest(text, "9s/exact").where(qty > 3)
  when: latest_time("1s/exact")
  by: max_by(text, qty, "10s/exact")
  grouped: sum(qty, "15s/exact").by(text)
  quantile: approx_quantile(double(qty), 0.5, "10s/exact")
`

// An entity whose events do not fit into memory has the values that it has in memory: with any
// limit, for events in any order, with many at one time, and known late.
func TestStoredPartsHaveTheSameResults(t *testing.T) {
	long, outcome := compiled(t, longViews).Plan(), compiled(t, manySlots()).Plan()
	for seed := range uint64(9) {
		random := rand.New(rand.NewPCG(seed, 7))
		view, batches := long, longBatches(long.Source, random)
		if seed%3 == 2 {
			view, batches = outcome, lateBatches(outcome.Source, 1500, 3, random)
		}
		rows, at := 1+random.IntN(1500), []plan.EventTime{}
		keys := vector.New(plan.T(plan.String), rows)
		for i := range rows {
			keys.Str[i], at = fmt.Sprint("p", random.IntN(4)), append(at, plan.EventTime(random.IntN(100))*1_000_000)
		}
		want := inPieces(t, []*plan.View{view}, keys, at, batches, 1, 1, false)
		for _, limit := range []int{1, 5000, 50_000, 2_000_000} {
			if got := inPiecesWithin(t, []*plan.View{view}, keys, at, batches, 1+random.IntN(2), 1, false, limit); got != want {
				t.Fatalf("seed %d, limit %d: the results differ from those in memory", seed, limit)
			}
		}
	}
}

// longBatches makes events, most of them of one entity, in an order that is that of time, nearly, or
// random; up to all of them have one time; a few batches are known late. In half of the runs times are whole seconds, as those of rows are, so
// that events lie exactly at tails.
func longBatches(src *plan.Source, random *rand.Rand) []*kernel.Events {
	shuffled, ties, late := random.IntN(2) == 0, random.IntN(4), random.IntN(3) == 0
	grain := []plan.EventTime{1, 1_000_000}[random.IntN(2)]
	var batches []*kernel.Events
	for n := range 25 {
		ev := emptyEvents(src, 1+random.IntN(100))
		for i := range ev.Batch.N {
			ts := plan.EventTime(n*4_000_000 + random.IntN(4_000_000))
			if shuffled {
				ts = plan.EventTime(random.IntN(100_000_000))
			}
			ts -= ts % grain
			if random.IntN(3) < ties {
				ts = 50_000_000
			}
			who := 0
			if random.IntN(4) == 0 {
				who = 1 + random.IntN(3)
			}
			setEvent(ev, i, fmt.Sprint("p", who), ts, fmt.Sprint(random.IntN(1000)), int64(random.IntN(10)), fmt.Sprint("text", random.IntN(20)))
			if random.IntN(10) == 0 {
				ev.Batch.Col("text").Set(i, plan.NullValue())
			}
		}
		if late && random.IntN(3) == 0 {
			for _, t := range ev.Time {
				ev.Known = append(ev.Known, t+plan.EventTime(random.IntN(30_000_000)))
			}
		}
		batches = append(batches, ev)
	}
	return batches
}
