package recompute

import (
	"context"
	"fmt"
	"hash/maphash"
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
	id     string // of the event; without ids its content and how many equal ones came before
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
	equal   [2]map[factKey]int // without ids: how often content was seen, as serving had it and in the history
}

// contentSeed is of the digests of events.
var contentSeed = maphash.MakeSeed()

// factBytes is about what a fact takes, without its id.
const factBytes = 320

// explainAll finds out why the marked values differ.
func (p *pass) explainAll(ctx context.Context) error {
	any := false
	for _, r := range p.roles {
		r.facts = &facts{columns: r.ref.View.Columns(), wanted: map[int32]bool{}, held: &p.held, of: map[factKey]*fact{}, by: map[int32][]*fact{},
			equal: [2]map[factKey]int{{}, {}}}
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
		side := 0
		if !served {
			side = 1
		}
		key.id = fmt.Sprintf("%x", content)
		n := x.equal[side][key]
		x.equal[side][key]++
		key.id = fmt.Sprintf("%s/%d", key.id, n)
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
	to := x.of[key]
	if to == nil {
		if err := x.held.add(factBytes + 2*len(key.id)); err != nil {
			return err
		}
		to = &fact{id: f.id, column: f.column, time: f.time}
		if f.id != "" {
			to.id = key.id
		}
		x.of[key] = to
		x.by[key.entity] = append(x.by[key.entity], to)
	}
	if !served {
		to.known, to.knownVisible, to.knownContent = true, f.visible, content
		return nil
	}
	to.served, to.visible, to.build, to.servedContent = true, f.visible, f.build, content
	to.shard, to.position, to.arrived = f.shard, f.position, f.arrived
	return nil
}
