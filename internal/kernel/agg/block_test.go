package agg

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// modelled is a Block and its model: the input rows added to each row of it.
type modelled struct {
	slots  []*plan.Slot
	in     []*Input // by slot
	layout *Layout
	block  Block
	rows   [][]int
}

// slotsOf draws slots, preferring those whose partials are cells.
func slotsOf(t *rapid.T) []*plan.Slot {
	return rapid.SliceOfN(rapid.SampledFrom(everySlot()), 1, 5).Draw(t, "slots")
}

const modelRows = 24

func newModelled(t *rapid.T) *modelled { return modelOf(t, slotsOf(t)) }

func modelOf(t *rapid.T, slots []*plan.Slot) *modelled {
	m := &modelled{slots: slots}
	for _, s := range m.slots {
		m.in = append(m.in, input(s, rowsOf(s, modelRows).Draw(t, "rows")))
	}
	var err error
	if m.layout, err = NewLayout(m.slots); err != nil {
		t.Fatal(err)
	}
	m.block = m.layout.NewBlock()
	return m
}

// step applies one random operation to the block and to the model.
func (m *modelled) step(t *rapid.T) {
	n := len(m.rows)
	at := func(what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	switch op := rapid.IntRange(0, 5).Draw(t, "op"); {
	case op == 0 || n == 0:
		p := rapid.IntRange(0, n).Draw(t, "insert")
		m.block.Insert(p)
		m.rows = slices.Insert(m.rows, p, nil)
	case op == 1 && n > 1:
		p, q := at("absorb into"), at("absorb")
		if p != q && m.mayPass(p, q) {
			m.block.Absorb(p, q)
			m.rows[p], m.rows[q] = append(m.rows[p], m.rows[q]...), nil
		}
	case op == 2:
		from := at("remove from")
		if m.ordered() {
			from = 0
		}
		to := rapid.IntRange(from, n).Draw(t, "to")
		for p := from; p < to; p++ {
			m.block.Reset(p)
		}
		m.block.Remove(from, to)
		m.rows = slices.Delete(m.rows, from, to)
	case op == 3 && n > 1:
		to, from := at("move to"), at("move from")
		if to != from && (!m.ordered() || len(m.rows[to]) == 0 && m.mayPass(to, from)) {
			m.block.Reset(to)
			m.block.Move(to, from)
			m.rows[to], m.rows[from] = m.rows[from], nil
		}
	default:
		p := at("add to")
		for range rapid.IntRange(1, 4).Draw(t, "times") {
			i := rapid.IntRange(0, modelRows-1).Draw(t, "row")
			m.add(p, i)
			m.rows[p] = append(m.rows[p], i)
		}
	}
}

// ordered reports whether rows must stay in order of time, as distinct_count requires.
func (m *modelled) ordered() bool { return m.block.LeavesEmpty() }

// mayPass reports whether row q may be moved or absorbed to row p.
func (m *modelled) mayPass(p, q int) bool {
	return !m.ordered() || p < q && !slices.ContainsFunc(m.rows[p+1:q], func(rows []int) bool { return len(rows) > 0 })
}

// add adds input row i to every slot that has so many.
func (m *modelled) add(p, i int) {
	for s, in := range m.in {
		if i < len(in.Time) {
			m.block.Add(s, p, in, i)
		}
	}
}

// dropEmpty removes the empty rows, which are never stored. A row to which values were added
// is empty too if each value of its distinct counts was seen again later and all other slots
// are empty there.
func (m *modelled) dropEmpty(t *rapid.T) {
	later := make([]map[string]bool, len(m.slots))
	for p := len(m.rows) - 1; p >= 0; p-- {
		used := false
		for s, in := range m.in {
			if later[s] == nil {
				later[s] = map[string]bool{}
			}
			for _, i := range m.rows[p] {
				if i >= len(in.Time) {
					continue
				}
				if m.slots[s].Func != plan.DistinctCount {
					used = true
					continue
				}
				value := in.Arg.Value(i)
				if value.Kind() == plan.Double && value.Double() == 0 {
					value = plan.DoubleValue(0)
				}
				key := string(plan.AppendCanonical(nil, value))
				used = used || !later[s][key]
				later[s][key] = true
			}
		}
		if used == m.block.Empty(p) {
			t.Fatalf("row %d is empty: %v", p, m.block.Empty(p))
		}
		if !used {
			m.block.Remove(p, p+1)
			m.rows = slices.Delete(m.rows, p, p+1)
		}
	}
}

// again is a Block to which only the current rows are added, in another order.
func (m *modelled) again(t *rapid.T) *modelled {
	c := &modelled{slots: m.slots, in: m.in, layout: m.layout, block: m.layout.NewBlock(), rows: m.rows}
	c.block.Grow(len(m.rows))
	for p, rows := range m.rows {
		for _, i := range shuffled(t, rows) {
			c.add(p, i)
		}
	}
	return c
}

// check compares every partial with one of a Column, and merged ranges too.
func (m *modelled) check(t *rapid.T) {
	if m.block.Len() != len(m.rows) {
		t.Fatalf("%d rows, want %d", m.block.Len(), len(m.rows))
	}
	for s := range m.slots {
		m.checkSlot(t, s)
	}
}

func (m *modelled) checkSlot(t *rapid.T, s int) {
	slot := m.slots[s]
	acc := m.layout.NewBlock()
	acc.Grow(1)
	c := column(testingOf(t), slot)
	lo := rapid.IntRange(0, len(m.rows)).Draw(t, "merge from")
	acc.Merge(s, 0, &m.block, lo, len(m.rows))
	var all []int
	for p, rows := range m.rows {
		rows = slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return i >= len(m.in[s].Time) })
		if p >= lo {
			all = append(all, rows...)
		}
		if slot.Func != plan.DistinctCount {
			m.same(t, slot, c, addAll(c, m.in[s], rows), &m.block, s, p)
		}
	}
	m.same(t, slot, c, addAll(c, m.in[s], all), &acc, s, 0)
}

func (m *modelled) same(t *rapid.T, slot *plan.Slot, c Column, q int, b *Block, s, p int) {
	got, want := vector.New(slot.Type, 1), vector.New(slot.Type, 1)
	b.Value(s, p, slot.Func, got, 0)
	c.Value(q, want, 0)
	if got.IsErr(0) != want.IsErr(0) || !got.Value(0).Equal(want.Value(0)) {
		t.Fatalf("%s of row %d is %v, error %v; of a column it is %v, error %v", name(slot), p, got.Value(0), got.IsErr(0), want.Value(0), want.IsErr(0))
	}
}

// TestBlocksAreColumns: after any operations on the rows of a Block, each slot has the
// partials that a Column has of the same rows. Their encoding equals that of a Block to
// which only these rows were added, and decodes to the same partials.
func TestBlocksAreColumns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { newModelled(t).run(t, 30) })
}

// TestDistinctValuesAreSeenLast is TestBlocksAreColumns for distinct counts, whose rows
// depend on each other.
func TestDistinctValuesAreSeenLast(t *testing.T) {
	distinct := slices.DeleteFunc(everySlot(), func(s *plan.Slot) bool { return s.Func != plan.DistinctCount })
	rapid.Check(t, func(t *rapid.T) {
		modelOf(t, []*plan.Slot{rapid.SampledFrom(distinct).Draw(t, "slot")}).run(t, 60)
	})
}

// run applies some random operations and then checks everything.
func (m *modelled) run(t *rapid.T, steps int) {
	for range rapid.IntRange(0, steps).Draw(t, "steps") {
		m.step(t)
	}
	m.check(t)
	m.dropEmpty(t)
	encoded := m.block.Append(nil)
	if again := m.again(t).block.Append(nil); !bytes.Equal(encoded, again) {
		t.Fatalf("encodes as %x; a new Block of its rows as %x", encoded, again)
	}
	m.check(t)
	rest, err := m.block.Decode(append(encoded, 1, 2), len(m.rows))
	if err != nil || len(rest) != 2 {
		t.Fatalf("decoding leaves %d bytes, want 2; %v; of %x", len(rest), err, encoded)
	}
	m.check(t)
	if again := m.block.Append(nil); !bytes.Equal(encoded, again) {
		t.Fatalf("decoded %x, encodes as %x", encoded, again)
	}
	m.load(t, encoded)
	m.step(t) // rows can be added to a decoded Block
	m.check(t)
}

// load loads some slots of an encoding and checks their values.
func (m *modelled) load(t *rapid.T, encoded []byte) {
	loaded := &modelled{slots: m.slots, in: m.in, layout: m.layout, block: m.layout.NewBlock(), rows: m.rows}
	need := rapid.SliceOfN(rapid.Bool(), len(m.slots), len(m.slots)).Draw(t, "need")
	if rest, err := loaded.block.Load(append(slices.Clone(encoded), 1, 2), len(m.rows), need); err != nil || len(rest) != 2 {
		t.Fatalf("loading leaves %d bytes, want 2; %v; of %x", len(rest), err, encoded)
	}
	for s, needed := range need {
		if needed {
			loaded.checkLoaded(t, s)
		}
	}
}

// checkLoaded compares rows and windows of a slot, merged into an empty partial from the
// newest row back, as serving does.
func (m *modelled) checkLoaded(t *rapid.T, s int) {
	slot, n := m.slots[s], len(m.rows)
	c := column(testingOf(t), slot)
	merged := func(bounds ...int) {
		acc := m.layout.NewBlock()
		acc.Grow(1)
		var all []int
		for i := range len(bounds) - 1 {
			lo, hi := bounds[i+1], bounds[i]
			acc.Merge(s, 0, &m.block, lo, hi)
			for _, rows := range m.rows[lo:hi] {
				all = append(all, slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return i >= len(m.in[s].Time) })...)
			}
		}
		m.same(t, slot, c, addAll(c, m.in[s], all), &acc, s, 0)
	}
	if slot.Func != plan.DistinctCount { // it has values only for windows that end at the last row
		for p := range m.rows {
			merged(p+1, p)
		}
	}
	mid := rapid.IntRange(0, n).Draw(t, "merge from")
	merged(n, mid, rapid.IntRange(0, mid).Draw(t, "and from"))
}

// TestBlockDecodeIsStrict: a damaged encoding is refused, unless Append writes it.
func TestBlockDecodeIsStrict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModelled(t)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			m.step(t)
		}
		m.dropEmpty(t)
		b := damaged(t, m.block.Append(nil))
		n := max(0, len(m.rows)+rapid.IntRange(-1, 1).Draw(t, "more rows"))
		rest, err := m.block.Decode(b, n)
		if err != nil {
			m.block.Clear()
			if m.block.Len() != 0 {
				t.Fatal("rows are left")
			}
			return
		}
		if used := b[:len(b)-len(rest)]; !bytes.Equal(used, m.block.Append(nil)) {
			t.Fatalf("accepted %x, writes %x", used, m.block.Append(nil))
		}
	})
}

// TestSumsGrowLong doubles the sum in a row by merging until it is far beyond the range of a
// short one. Every intermediate sum has the right value and can be encoded and decoded.
func TestSumsGrowLong(t *testing.T) {
	for _, x := range []float64{0x1.8p40, -0x1.8p40, 0x1.fffffffffffffp44, -0x1p45, 0x1p-90, 0x1.1p-85} {
		slot := slotOf(plan.Sum, plan.T(plan.Double))
		layout, err := NewLayout([]*plan.Slot{slot})
		if err != nil {
			t.Fatal(err)
		}
		b, out := layout.NewBlock(), vector.New(slot.Type, 1)
		b.Grow(1)
		b.Add(0, 0, &Input{Arg: vector.Of(slot.Arg.Type, plan.DoubleValue(x))}, 0)
		for n := range 40 {
			b.Value(0, 0, plan.Sum, out, 0)
			if want := math.Ldexp(x, n); out.Double[0] != want {
				t.Fatalf("%v doubled %d times is %v", x, n, out.Double[0])
			}
			if rest, err := b.Decode(b.Append(nil), 1); err != nil || len(rest) != 0 {
				t.Fatalf("%v doubled %d times: %d bytes are left, %v", x, n, len(rest), err)
			}
			b.Insert(1)
			b.Merge(0, 1, &b, 0, 1)
			b.Absorb(0, 1)
			b.Remove(1, 2)
		}
	}
}

// TestO6_NewRowsAreEmpty: a new row is empty even if its memory was used by another row.
func TestO6_NewRowsAreEmpty(t *testing.T) {
	slot := slotOf(plan.Count, plan.Type{})
	layout, err := NewLayout([]*plan.Slot{slot})
	if err != nil {
		t.Fatal(err)
	}
	b, out := layout.NewBlock(), vector.New(slot.Type, 1)
	b.Grow(3)
	for p := range 3 {
		b.Add(0, p, &Input{}, 0)
	}
	b.Reset(0)
	b.Remove(0, 1)
	b.Insert(2)
	if b.Value(0, 2, plan.Count, out, 0); out.Int[0] != 0 {
		t.Errorf("a new last row has %d events", out.Int[0])
	}
}
