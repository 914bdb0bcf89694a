package agg

import (
	"cmp"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// A window ends now, so a value counts in it exactly if the row in which it was last seen is
// in the window. For distinct_count, a Block therefore records for each value only that row.
// The cell of a row is the number of values last seen in it, and the distinct count of a
// window is the sum of its cells. The values themselves are in the dictionary, which is
// needed only when values are added. This requires what Block says of the order of rows.

// distinctKind is distinct_count in a Block: a cell is the number of values that were last
// seen in its row. Only the dictionary changes cells.
type distinctKind struct {
	countKind
	limit int
}

func (distinctKind) what() string { return "distinct_count" }

func (distinctKind) add(*grid, int, *Input, int) { panic("agg: a dictionary adds values") }

func (distinctKind) addRows(*grid, int, *Input, []int32) { panic("agg: a dictionary adds values") }

func (distinctKind) removeRows(*grid, int, *Input, []int32) { panic("agg: no row leaves a tile") }

func (distinctKind) append([]byte, *grid, int) []byte { panic("agg: every number can be packed") }

func (distinctKind) decode(_ *grid, _ int, _ byte, r *reader) { r.fail() }

func (k distinctKind) value(_ plan.AggFunc, g *grid, at int, out *vector.Vector, i int) {
	if n := g.words[at]; n > uint64(k.limit) {
		out.SetErr(i)
	} else {
		out.Int[i] = int64(n)
	}
}

// dictionary is the values of one slot of a Block and the rows in which they were last seen.
// Its methods follow the methods of Block with the same names; cell is the offset of the
// slot's cell in a row.
type dictionary interface {
	clear()
	grow(n int)
	open(p int)
	cut(from, to int)
	move(to, from int)
	absorb(p, q int)
	reset(p int, values uint64)
	add(g *grid, cell, p int, in *Input, i int)
	append(dst []byte, g *grid, cell int) []byte
	// decode reads what append wrote; the cells must have been decoded before.
	decode(g *grid, cell int, r *reader)
	// decodeTally adds a partial of state format 3 to row p and reports whether it had
	// values. Rows must be decoded in order.
	decodeTally(g *grid, cell, p int, r *reader) bool
}

func newDistinctKind(slot *plan.Slot) (cellKind, error) {
	limit, err := distinctLimit(slot)
	return distinctKind{limit: limit}, err
}

func newDictionary(slot *plan.Slot) dictionary {
	l := laneOf(slot.Arg.Type)
	if l.fixed {
		return &lastSeen[uint64]{keys: fixedKeys(l)}
	}
	return &lastSeen[string]{keys: stringKeys(l)}
}

// gone is the row of values that were last seen in a row that has been reset.
const gone = -1

// lastSeen is a dictionary. It is a union-find forest: values map to nodes, and the root of
// a node maps to a row. When a row moves, its root gets the new row; when a row is absorbed,
// its root becomes a child of the other row's root.
type lastSeen[K cmp.Ordered] struct {
	keys    tallyKeys[K]
	values  table[K, int32] // value to node
	parents []int32         // by node; a root is its own parent
	rows    []int32         // by root: the row, or gone
	nodes   []int32         // by row: the root, or none before a value was seen there
	expired int             // about how many values are gone
	scratch []entry[K, int32]
	ends    []int
}

const none = -1

func (d *lastSeen[K]) clear() {
	d.values.clear()
	d.parents, d.rows, d.nodes, d.expired = d.parents[:0], d.rows[:0], d.nodes[:0], 0
}

func (d *lastSeen[K]) grow(n int) {
	for range n {
		d.nodes = append(d.nodes, none)
	}
}

func (d *lastSeen[K]) open(p int) {
	d.nodes = slices.Insert(d.nodes, p, none)
	d.shift(p+1, 1)
}

func (d *lastSeen[K]) cut(from, to int) {
	d.nodes = slices.Delete(d.nodes, from, to)
	d.shift(from, from-to)
}

// shift adds by to the row number of every root of the rows from on.
func (d *lastSeen[K]) shift(from, by int) {
	for _, n := range d.nodes[from:] {
		if n != none {
			d.rows[n] += int32(by)
		}
	}
}

func (d *lastSeen[K]) move(to, from int) {
	n := d.nodes[from]
	d.nodes[to], d.nodes[from] = n, none
	if n != none {
		d.rows[n] = int32(to)
	}
}

func (d *lastSeen[K]) absorb(p, q int) {
	n := d.nodes[q]
	if n == none {
		return
	}
	d.nodes[q] = none
	if d.nodes[p] == none {
		d.nodes[p], d.rows[n] = n, int32(p)
		return
	}
	d.parents[n] = d.nodes[p]
}

func (d *lastSeen[K]) reset(p int, values uint64) {
	n := d.nodes[p]
	if n == none {
		return
	}
	d.nodes[p], d.rows[n] = none, gone
	if d.expired += int(values); d.expired > len(d.values.entries)/2+retained {
		d.sweep()
	}
}

// sweep removes the values that are gone.
func (d *lastSeen[K]) sweep() {
	for i := len(d.values.entries) - 1; i >= 0; i-- {
		if d.row(d.values.entries[i].val) == gone {
			d.values.remove(i, d.keys.hash)
		}
	}
	d.expired = 0
}

// row is the row of a node's root. It halves the path to the root.
func (d *lastSeen[K]) row(n int32) int32 {
	for d.parents[n] != n {
		d.parents[n] = d.parents[d.parents[n]]
		n = d.parents[n]
	}
	return d.rows[n]
}

// node is the root of row p; it creates one if there is none.
func (d *lastSeen[K]) node(p int) int32 {
	if d.nodes[p] == none {
		n := int32(len(d.parents))
		d.nodes[p] = n
		d.parents, d.rows = append(d.parents, n), append(d.rows, int32(p))
	}
	return d.nodes[p]
}

func (d *lastSeen[K]) add(g *grid, cell, p int, in *Input, i int) {
	d.markSeen(g, cell, p, d.keys.of(in.Arg, i), d.keys.clone)
}

// markSeen records that value k was seen in row p. If k is new, it stores clone(k).
func (d *lastSeen[K]) markSeen(g *grid, cell, p int, k K, clone func(K) K) {
	at := d.values.find(k, d.keys.hash)
	if at < 0 {
		d.values.insert(clone(k), d.node(p), d.keys.hash)
		g.words[g.row(p)+cell]++
		return
	}
	last := d.row(d.values.entries[at].val)
	if last >= int32(p) {
		return
	}
	if last == gone {
		d.expired--
	} else {
		g.words[g.row(int(last))+cell]--
	}
	d.values.entries[at].val = d.node(p)
	g.words[g.row(p)+cell]++
}

// append writes the values row by row, and within a row in ascending order.
func (d *lastSeen[K]) append(dst []byte, g *grid, cell int) []byte {
	ends, total := d.ends[:0], 0
	for p := range d.nodes {
		ends = append(ends, total) // the start of the row; the loop below moves it to the end
		total += int(g.words[g.row(p)+cell])
	}
	d.scratch = slices.Grow(d.scratch[:0], total)[:total]
	for _, e := range d.values.entries {
		if row := d.row(e.val); row != gone {
			d.scratch[ends[row]] = e
			ends[row]++
		}
	}
	from := 0
	for _, end := range ends {
		dst = d.appendRow(dst, d.scratch[from:end])
		from = end
	}
	d.ends = ends
	clear(d.scratch)
	return dst
}

func (d *lastSeen[K]) appendRow(dst []byte, values []entry[K, int32]) []byte {
	slices.SortFunc(values, func(a, b entry[K, int32]) int { return cmp.Compare(a.key, b.key) })
	var prev K
	for i, e := range values {
		dst = d.keys.append(dst, i == 0, prev, e.key)
		prev = e.key
	}
	return dst
}

func (d *lastSeen[K]) decode(g *grid, cell int, r *reader) {
	r.shareText()
	for p := range d.nodes {
		var prev K
		n := g.words[g.row(p)+cell]
		if n > uint64(len(r.b)) {
			r.fail() // every value takes at least a byte
		}
		for i := range n {
			k := d.keys.read(r, i == 0, prev)
			if r.bad || d.values.find(k, d.keys.hash) >= 0 {
				r.fail()
				return
			}
			d.values.insert(k, d.node(p), d.keys.hash)
			prev = k
		}
	}
}

func (d *lastSeen[K]) decodeTally(g *grid, cell, p int, r *reader) bool {
	switch r.byte() {
	case tagEmpty:
		return false
	case tagTally:
	default:
		r.fail()
	}
	n := r.elements(2)
	var prev K
	for i := 0; i < n && !r.bad; i++ {
		k := d.keys.read(r, i == 0, prev)
		r.rows(1)
		if prev = k; !r.bad {
			d.markSeen(g, cell, p, k, func(k K) K { return k })
		}
	}
	return true
}
