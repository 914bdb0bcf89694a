package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// manySlots is a view with more filters than the first word of a row has bits, values of
// every lane, and late columns.
func manySlots() string {
	var b strings.Builder
	b.WriteString(outcomes[:strings.Index(outcomes, "  bare:")])
	for i := range 70 {
		fmt.Fprintf(&b, "  n%d: count(\"10s/exact\").where(qty == %d)\n", i, i)
	}
	b.WriteString(`  paid: count().where(paid)
  who: latest(who + string(qty))
  ever: any(qty > 68, "10s/exact")
  listed: latest([qty, qty + 1])
  sum: sum(double(qty) / 3.0, "10s/exact")
  by: max_by(who, qty, "10s/exact")
`)
	return b.String()
}

// TestReplayInPieces: a replay gives the same results for any number of parts and collectors,
// for any order of events, and if blocks and results are encoded and decoded.
func TestReplayInPieces(t *testing.T) {
	view := compiled(t, manySlots()).Plan()
	random := rand.New(rand.NewPCG(1, 2))
	const events, rows, people = 4000, 3000, 9
	batches := lateBatches(view.Source, events, people, random)
	keys, at := vector.New(plan.T(plan.String), rows), make([]plan.EventTime, rows)
	for i := range rows {
		keys.Str[i], at[i] = fmt.Sprint("p", random.IntN(people+1)), plan.EventTime(random.IntN(events))*10_000
	}
	want := inPieces(t, []*plan.View{view}, keys, at, batches, 1, 1, false)
	if !strings.Contains(want, "PRESENT") {
		t.Fatal("no value is present")
	}
	for _, try := range []struct {
		parts, collectors int
		file              bool
	}{{1, 1, true}, {4, 1, false}, {64, 3, false}, {8, 2, true}} {
		random.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
		if got := inPieces(t, []*plan.View{view}, keys, at, batches, try.parts, try.collectors, try.file); got != want {
			t.Fatalf("%+v gives different results", try)
		}
	}
}

// lateBatches makes events whose outcome is known later, in batches.
func lateBatches(src *plan.Source, events, people int, random *rand.Rand) []*kernel.Events {
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	var batches []*kernel.Events
	for n := 0; n < events; {
		size := 1 + random.IntN(100)
		ev := &kernel.Events{Batch: vector.NewBatch(fields, size), ColumnKnown: map[string][]plan.EventTime{"paid": nil}}
		for i := range size {
			ts := plan.EventTime(n * 10_000)
			ev.Time = append(ev.Time, ts)
			ev.ColumnKnown["paid"] = append(ev.ColumnKnown["paid"], ts+plan.EventTime(random.IntN(3)*1_000_000))
			ev.Batch.Col("who").Set(i, plan.StringValue(fmt.Sprint("p", random.IntN(people))))
			ev.Batch.Col("qty").Set(i, plan.IntValue(int64(random.IntN(75))))
			ev.Batch.Col("paid").Set(i, plan.BoolValue(random.IntN(2) == 0))
			n++
		}
		batches = append(batches, ev)
	}
	return batches
}

// inPieces is all features of the first view and of all rows as text. With file, blocks and results are encoded and
// decoded.
func inPieces(t *testing.T, views []*plan.View, keys *vector.Vector, at []plan.EventTime, batches []*kernel.Events, parts, collectors int, file bool) string {
	t.Helper()
	return inPiecesWithin(t, views, keys, at, batches, parts, collectors, file, 0)
}

// inPiecesWithin is inPieces with a limit on the memory for a part, unless it is 0.
func inPiecesWithin(t *testing.T, views []*plan.View, keys *vector.Vector, at []plan.EventTime, batches []*kernel.Events, parts, collectors int, file bool, limit int) string {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	spine := kernel.NewSpine(1)
	spine.Add([][]*vector.Vector{{keys}}, at)
	r, err := kernel.NewReplay(views...)
	check(err)
	r.LimitOpen(0) // blocks are small
	r.Begin(spine, 0, parts)
	blocks := make([][]*kernel.Block, parts)
	var all []*kernel.Collector
	for range collectors {
		c, err := r.NewCollector(func(part int, b *kernel.Block) error {
			if file {
				again, rest, err := kernel.ReadBlock(b.AppendTo(nil))
				if err != nil || len(rest) > 0 {
					t.Fatalf("decoding a block leaves %d bytes, %v", len(rest), err)
				}
				b = again
			}
			blocks[part] = append(blocks[part], b)
			return nil
		})
		check(err)
		all = append(all, c)
	}
	for i, ev := range batches {
		check(all[i%collectors].Add(kernel.Place{File: i}, ev))
	}
	for _, c := range all {
		_, err := c.Close()
		check(err)
	}
	sweeper := r.NewSweeper()
	var results []*kernel.PartResults // each of a part, or of a chunk of one
	begin := make([]int32, parts)     // index of the first results of each part
	for p := range parts {
		slices.Reverse(blocks[p])
		begin[p] = int32(len(results))
		if limit > 0 {
			stored, err := r.StorePart(p, each(blocks[p]), 1000, &memoryStore{}, limit)
			check(err)
			for from := 0; from < r.PartRows(p); from += kernel.ResultChunk {
				swept, err := sweeper.SweepStored(stored, from, min(from+kernel.ResultChunk, r.PartRows(p)))
				check(err)
				results = append(results, swept)
			}
			continue
		}
		swept, err := sweeper.Sweep(p, blocks[p])
		check(err)
		if !file {
			results = append(results, swept)
			continue
		}
		for from := 0; from < swept.N; from += kernel.ResultChunk {
			chunk, err := r.ReadChunk(swept.AppendChunk(nil, from, min(from+kernel.ResultChunk, swept.N)))
			check(err)
			results = append(results, chunk)
		}
	}
	where, next := make([]kernel.At, len(at)), make([]int32, parts)
	for i := range where {
		p := r.Part(i)
		where[i] = kernel.At{Part: begin[p], Row: next[p]}
		if file || limit > 0 {
			where[i] = kernel.At{Part: begin[p] + next[p]/kernel.ResultChunk, Row: next[p] % kernel.ResultChunk}
		}
		next[p]++
	}
	reader, err := r.NewReader(0)
	check(err)
	f := reader.Read(results, where, at)
	var b strings.Builder
	for i := range f.N {
		fmt.Fprint(&b, f.Known.Get(i), f.Few.Get(i))
		for _, c := range f.Cols {
			fmt.Fprint(&b, c.Status[i], c.Vec.Value(i), " ")
		}
	}
	return b.String()
}

// ReadBlock refuses a truncated block.
func TestReadBlock_RefusesTruncatedBlocks(t *testing.T) {
	view := compiled(t, manySlots()).Plan()
	spine := kernel.NewSpine(1)
	spine.Add([][]*vector.Vector{{vector.Of(plan.T(plan.String), plan.StringValue("p0"))}}, []plan.EventTime{1 << 40})
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
	for i, ev := range lateBatches(view.Source, 10, 1, rand.New(rand.NewPCG(3, 4))) {
		if err := c.Add(kernel.Place{File: i}, ev); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range raw {
		if _, _, err := kernel.ReadBlock(raw[:n]); err == nil {
			_, rest, _ := kernel.ReadBlock(raw)
			if n < len(raw)-len(rest) {
				t.Fatalf("the first %d of %d bytes decode", n, len(raw))
			}
		}
	}
}
