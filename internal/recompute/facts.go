package recompute

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// fact is that an event, or a late column of one, was known: when, as serving had it and as the history has it now.
type fact struct {
	id     string
	column string // "" for the event itself
	time   plan.EventTime
	// as serving had it
	served        bool
	visible       plan.EventTime
	build         bool // it was in the build; else it is in the log
	shard         int
	position      uint64
	arrived       plan.EventTime
	servedContent uint64
	// as the history has it
	known        bool
	knownVisible plan.EventTime
	knownContent uint64
}

// factKey is what a fact is about, in the words of a view.
type factKey struct {
	entity int32
	id     string // of the event; without ids its content
	column string
}

// facts are those about the entities with values that are to be explained, of one role. They are safe for concurrent use.
type facts struct {
	columns []string       // that the view reads
	wanted  map[int32]bool // entities
	held    *held
	mu      sync.Mutex
	of      map[factKey]*fact
	by      map[int32][]*fact
	index   map[int32]*entityFacts
	alone   map[factKey]*sides // of events without ids, of which several may be equal
}

// entityFacts are the facts about an entity, so that those that make a difference are found without looking at all.
type entityFacts struct {
	// even are facts of the log that serving and training have alike, once they are applied: by shard, in the order of the log.
	even [][]*fact
	odd  []*fact // all others, except those of the build that training has alike
	// equal are, without ids, the facts that both sides have, by content.
	equal map[uint64][]*fact
}

// sides are equal events, as serving had them and as the history has them.
type sides struct{ served, known []*fact }

// contentSeed is of the digests of events.
var contentSeed = maphash.MakeSeed()

// factBytes is about what a fact takes, without its id.
const factBytes = 320

// explainAll finds out why the marked values differ.
func (p *pass) explainAll(ctx context.Context) error {
	any := false
	for _, r := range p.roles {
		r.facts = &facts{columns: r.ref.View.Columns(), wanted: map[int32]bool{}, held: &p.held, of: map[factKey]*fact{}, by: map[int32][]*fact{}, alone: map[factKey]*sides{}}
		entity := p.spine.Entity(r.number)
		for i, m := range p.marked {
			for _, j := range m {
				if e := entity[p.units[i].first+j]; e > 0 {
					r.facts.wanted[e] = true
				}
				any = true
			}
		}
	}
	if !any {
		return nil
	}
	x := &reading{
		pass:   p,
		known:  func(r *role, _ int, ev *kernel.Events) error { return p.note(r, ev, nil, false) },
		build:  func(r *role, _ int, ev *kernel.Events) error { return p.note(r, ev, nil, true) },
		logged: func(r *role, _ int, b *logged) error { return p.note(r, b.Events, b, true) },
	}
	if err := x.run(ctx, p.roles); err != nil {
		return err
	}
	for _, r := range p.roles {
		r.facts.pair()
		r.facts.makeIndex()
	}
	return p.compareAll(ctx, true)
}

// note notes the facts of events.
func (p *pass) note(r *role, ev *kernel.Events, b *logged, served bool) error {
	x := r.facts
	var cols []*vector.Vector
	for _, name := range x.columns {
		if ev.ColumnKnown[name] == nil {
			cols = append(cols, ev.Batch.Col(name))
		}
	}
	for i, e := range p.entities(r, ev) {
		if e <= 0 || !x.wanted[e] || b != nil && b.inBuild(i) {
			continue
		}
		f := fact{time: ev.Time[i], visible: ev.Visible(i), build: b == nil}
		if b != nil {
			f.shard, f.position, f.arrived = b.shard, b.position(i), b.records[i].Appended
		}
		content := contentOf(cols, i, ev.Time[i])
		if ev.ID != nil {
			f.id = ev.ID[i]
		}
		if err := x.noteEvent(e, &f, content, ev, i, served); err != nil {
			return err
		}
	}
	return nil
}

func contentOf(cols []*vector.Vector, i int, t plan.EventTime) uint64 {
	b := plan.AppendCanonical(nil, plan.TimestampValue(t))
	for _, c := range cols {
		b = plan.AppendCanonical(b, c.Value(i))
	}
	return maphash.Bytes(contentSeed, b)
}

// noteEvent notes row i of events, which f describes, and its late columns.
func (x *facts) noteEvent(e int32, f *fact, content uint64, ev *kernel.Events, i int, served bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := factKey{entity: e, id: strings.Clone(f.id)}
	if f.id == "" {
		key.id = fmt.Sprintf("%x", content)
	}
	if !ev.Fills(i) {
		if err := x.put(key, f, content, served); err != nil {
			return err
		}
	}
	for column, times := range ev.ColumnKnown {
		if times[i] == plan.Never || ev.Fills(i) && ev.KnownBefore[column].Get(i) {
			continue
		}
		of := *f
		of.column, of.visible = column, max(f.visible, times[i])
		key.column = column
		col := ev.Batch.Col(column)
		if err := x.put(key, &of, contentOf([]*vector.Vector{col}, i, f.time), served); err != nil {
			return err
		}
	}
	return nil
}

// put notes one side of a fact.
func (x *facts) put(key factKey, f *fact, content uint64, served bool) error {
	if f.id == "" {
		return x.putAlone(key, f, content, served)
	}
	to := x.of[key]
	if to == nil {
		if err := x.held.add(factBytes + 2*len(key.id)); err != nil {
			return err
		}
		to = &fact{id: key.id, column: f.column, time: f.time}
		x.of[key] = to
		x.by[key.entity] = append(x.by[key.entity], to)
	}
	to.take(f, content, served)
	return nil
}

// take takes over one side of a fact.
func (f *fact) take(from *fact, content uint64, served bool) {
	if !served {
		f.known, f.knownVisible, f.knownContent = true, from.visible, content
		return
	}
	f.served, f.visible, f.build, f.servedContent = true, from.visible, from.build, content
	f.shard, f.position, f.arrived = from.shard, from.position, from.arrived
}

// putAlone is put for an event without an id.
func (x *facts) putAlone(key factKey, f *fact, content uint64, served bool) error {
	if err := x.held.add(factBytes); err != nil {
		return err
	}
	to := x.alone[key]
	if to == nil {
		to = &sides{}
		x.alone[key] = to
	}
	one := &fact{column: f.column, time: f.time}
	one.take(f, content, served)
	if served {
		to.served = append(to.served, one)
	} else {
		to.known = append(to.known, one)
	}
	return nil
}

// pair joins the two sides of events without ids: of equal ones the first with the first.
func (x *facts) pair() {
	for key, of := range x.alone {
		slices.SortFunc(of.served, func(a, b *fact) int {
			return cmp.Or(cmp.Compare(a.visible, b.visible), cmp.Compare(a.position, b.position))
		})
		slices.SortFunc(of.known, func(a, b *fact) int { return cmp.Compare(a.knownVisible, b.knownVisible) })
		for i, k := range of.known {
			if i == len(of.served) {
				of.served = append(of.served, &fact{column: k.column, time: k.time})
			}
			to := of.served[i]
			to.known, to.knownVisible, to.knownContent = true, k.knownVisible, k.knownContent
		}
		x.by[key.entity] = append(x.by[key.entity], of.served...)
	}
	x.alone = nil
}

// makeIndex makes the index when all facts are there.
func (x *facts) makeIndex() {
	x.index = map[int32]*entityFacts{}
	for entity, list := range x.by {
		e := &entityFacts{}
		x.index[entity] = e
		for _, f := range list {
			e.add(f)
		}
		for _, of := range e.even {
			slices.SortFunc(of, func(a, b *fact) int { return cmp.Compare(a.position, b.position) })
		}
	}
	x.by, x.of = nil, nil
}

func (e *entityFacts) add(f *fact) {
	both := f.served && f.known && f.servedContent == f.knownContent
	if both && f.id == "" {
		if e.equal == nil {
			e.equal = map[uint64][]*fact{}
		}
		e.equal[f.servedContent] = append(e.equal[f.servedContent], f)
	}
	switch {
	case !both || f.visible != f.knownVisible:
		e.odd = append(e.odd, f)
	case !f.build:
		for len(e.even) <= f.shard {
			e.even = append(e.even, nil)
		}
		e.even[f.shard] = append(e.even[f.shard], f)
	}
}
