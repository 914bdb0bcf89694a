package kernel

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Spine is the rows of a training set: their as-of times and, for each tuple of key columns
// that views use, the entity of every row. Replays share it. Once the last row is added it is
// read-only and safe for concurrent use.
type Spine struct {
	at     []plan.EventTime
	tuples []spineTuple
}

// spineTuple is the entities of one tuple of key columns.
type spineTuple struct {
	entities entities
	entity   []int32 // by row; 0 for a row without an entity
}

// NewSpine makes an empty spine with the given number of tuples of key columns.
func NewSpine(tuples int) *Spine {
	s := &Spine{tuples: make([]spineTuple, tuples)}
	for i := range s.tuples {
		s.tuples[i].entities = newEntities()
	}
	return s
}

// Reserve allocates room for the given number of rows, so that adding them copies nothing.
func (s *Spine) Reserve(rows int) {
	s.at = slices.Grow(s.at, rows)
	for i := range s.tuples {
		s.tuples[i].entity = slices.Grow(s.tuples[i].entity, rows)
	}
}

// Add appends rows: keys has the key columns of each tuple, at the as-of times. A row with a
// null key component has no entity in that tuple. Add keeps no reference to keys.
func (s *Spine) Add(keys [][]*vector.Vector, at []plan.EventTime) {
	for i := range s.tuples {
		t := &s.tuples[i]
		begin := len(t.entity)
		t.entity = t.entities.number(t.entity, keys[i], len(at))
		for j, e := range t.entity[begin:] {
			t.entity[begin+j] = max(e, 0)
		}
	}
	s.at = append(s.at, at...)
}

// Rows is the number of rows.
func (s *Spine) Rows() int { return len(s.at) }

// At is the as-of times, which must not be modified.
func (s *Spine) At() []plan.EventTime { return s.at }

// Entities is the number of entities of a tuple.
func (s *Spine) Entities(tuple int) int { return int(s.tuples[tuple].entities.n) }

// Entity is the entity of each row in a tuple, from 1 to Entities; 0 for a row without one. It
// must not be modified.
func (s *Spine) Entity(tuple int) []int32 { return s.tuples[tuple].entity }

// Find appends to dst the entity of each of n rows of keys in a tuple, as Entity numbers them: 0 for one that is not in the
// spine, a negative number for a row without one. Once a replay has begun with the spine, it is safe for concurrent use.
func (s *Spine) Find(dst []int32, tuple int, keys []*vector.Vector, n int) []int32 {
	return s.tuples[tuple].entities.lookup(dst, keys, n)
}

// division divides the entities of a tuple into parts: with n parts, a power of two, entity e
// belongs to part e modulo n and has the local number e/n there.
type division struct {
	spine *Spine
	tuple *spineTuple
	shift uint    // log2 of the number of parts
	rows  []int32 // spine rows by part, ascending
	local []int32 // of each of rows: the number of its entity in its part
	first []int32 // where the rows of each part begin, and the end
}

// divide divides the entities of a tuple into parts. No entity may be added afterwards.
func (s *Spine) divide(tuple, parts int) *division {
	d := &division{spine: s, tuple: &s.tuples[tuple], first: make([]int32, parts+1)}
	d.tuple.entities.byInt.makeDirect()
	for 1<<d.shift < parts {
		d.shift++
	}
	for _, e := range d.tuple.entity {
		d.first[d.part(e)+1]++
	}
	for p := range parts {
		d.first[p+1] += d.first[p]
	}
	d.rows, d.local = make([]int32, len(d.tuple.entity)), make([]int32, len(d.tuple.entity))
	next := slices.Clone(d.first)
	for row, e := range d.tuple.entity {
		p := d.part(e)
		d.rows[next[p]], d.local[next[p]] = int32(row), d.localOf(e)
		next[p]++
	}
	return d
}

func (d *division) parts() int { return len(d.first) - 1 }

func (d *division) part(entity int32) int { return int(entity) & (1<<d.shift - 1) }

// localOf is the number of an entity in its part.
func (d *division) localOf(entity int32) int32 { return entity >> d.shift }

// entities is one more than the greatest local number.
func (d *division) entities() int { return int(d.tuple.entities.n>>d.shift) + 1 }

// rowsOf lists the spine rows of a part.
func (d *division) rowsOf(part int) []int32 { return d.rows[d.first[part]:d.first[part+1]] }

// byEntity lists the numbers of the spine rows [from, to) of a part by local entity, ascending within each, and where each
// entity begins, and the end. It uses the memory of the given lists.
func (d *division) byEntity(part, from, to int, ranks, first []int32) (_, _ []int32) {
	local, entities := d.local[d.first[part]:d.first[part+1]][from:to], d.entities()
	ranks, first = grown(ranks, len(local)), grown(first, entities+1)
	clear(first)
	for _, e := range local {
		first[e+1]++
	}
	for e := range entities {
		first[e+1] += first[e]
	}
	for i, e := range local {
		ranks[first[e]] = int32(i)
		first[e]++
	}
	// Each entity's begin has moved to its end, which is where the next one begins.
	copy(first[1:], first)
	first[0] = 0
	return ranks, first
}

// spineOrder is the spine rows of a part by entity, and for each entity by time.
type spineOrder struct {
	at    []plan.EventTime // of the part's spine rows
	ranks []int32          // numbers of the part's spine rows, in order
	first []int32          // where the ranks of each entity begin, and the end
}

// make orders the rows [from, to) of a part, in the memory of those before.
func (o *spineOrder) make(d *division, part, from, to int, sorter *timeSorter) {
	rows := d.rowsOf(part)[from:to]
	o.at = grown(o.at, len(rows))
	for i, row := range rows {
		o.at[i] = d.spine.at[row]
	}
	o.ranks, o.first = d.byEntity(part, from, to, o.ranks, o.first)
	for e := range d.entities() {
		sorter.sort(o.ranks[o.first[e]:o.first[e+1]], o.at)
	}
}
