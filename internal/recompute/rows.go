package recompute

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// rowsOf is the rows of a unit that a pass computes.
type rowsOf struct {
	unit  *Unit
	shape shape
	first int   // number of the first of them in the pass
	sel   []int // their places in the unit
	keys  *vector.Batch
	asOf  []plan.EventTime
	read  []plan.EventTime
	views []viewRows // by role; nil if the states are of other views
}

// viewRows is the states of a view that rows were computed from.
type viewRows struct {
	positions         []logpos.Vector
	generation, build []uint64
}

// role is a view of the service in one role.
type role struct {
	ref       *plan.ViewRef
	number    int // its tuple of the spine
	build     Build
	built     bool // there is a live build
	positions []logpos.Vector
	why       []Reason // by row: why the state that it was computed from cannot be computed again
	unread    Reason   // why the events of the build cannot be read
	unknown   Reason   // why the whole history cannot be read
	compute   track    // over what had been applied
	known     track    // as training sees it
	facts     *facts
}

// pass is the computation of some rows.
type pass struct {
	*run
	number, passes int
	events         *Narrowed // of all entities, or of those of the rows
	units          []*rowsOf
	spine          *kernel.Spine
	read           []plan.EventTime
	roles          []*role
	held           held
	marked         []marked
}

// gather reads of all units what the computation needs.
func (p *pass) gather(ctx context.Context) error {
	p.units = make([]*rowsOf, len(p.cfg.Units))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.Threads)
	for i := range p.cfg.Units {
		g.Go(func() error { return caught(func() error { return cmp.Or(p.gatherUnit(i), ctx.Err()) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	p.join()
	return nil
}

func (p *pass) gatherUnit(i int) error {
	u := &rowsOf{unit: &p.cfg.Units[i], shape: p.shapes[i]}
	p.units[i] = u
	if u.shape.why != compared {
		return nil
	}
	b, err := u.unit.Sources()
	if err == nil {
		err = p.take(u, b)
	}
	if err == nil {
		p.report(Progress{"rows", int64(b.N)})
	}
	return err
}

// take takes the rows of a unit that belong to the pass.
func (p *pass) take(u *rowsOf, b *servedlog.Batch) error {
	for i := range b.N {
		if at := plan.EventTime(b.ReadAt.Int[i]); at >= p.cfg.From && at < p.cfg.To && p.has(b.Keys, i) {
			u.sel = append(u.sel, i)
		}
	}
	u.keys = ingest.Take(nil, &vector.Batch{N: b.N, Fields: p.cfg.Service.Keys, Cols: b.Keys}, u.sel)
	for _, i := range u.sel {
		u.asOf = append(u.asOf, plan.EventTime(b.AsOf.Int[i]))
		u.read = append(u.read, plan.EventTime(b.ReadAt.Int[i]))
	}
	bytes := 0
	for _, k := range u.keys.Cols {
		for _, text := range k.Str {
			bytes += len(text)
		}
	}
	if !u.shape.views {
		return p.held.keep(bytes)
	}
	for v := range b.Views {
		c := &b.Views[v]
		of := viewRows{}
		for _, i := range u.sel {
			of.positions = append(of.positions, c.PositionsOf(i))
			bytes += 8 * len(of.positions[len(of.positions)-1])
			of.generation = append(of.generation, uint64(c.Generation.Int[i]))
			of.build = append(of.build, uint64(c.Build.Int[i]))
		}
		u.views = append(u.views, of)
	}
	return p.held.keep(bytes)
}

// has reports whether a row belongs to the pass: rows are divided by their keys.
func (p *pass) has(keys []*vector.Vector, row int) bool {
	if p.cfg.Take != nil && !p.cfg.Take(keys, row) {
		return false
	}
	one := p.cfg.OneIn
	if p.passes*one == 1 {
		return true
	}
	var memory [64]byte
	key, x := memory[:0], uint64(0xcbf29ce484222325)
	for k := range keys {
		key, _ = entitykey.AppendRow(key, keys[k:k+1], row)
	}
	for _, c := range key {
		x = (x ^ uint64(c)) * 0x100000001b3
	}
	return (x^x>>32)%uint64(p.passes*one) == uint64(p.number*one)
}

// join numbers the rows of all units and makes the spine.
func (p *pass) join() {
	s := p.cfg.Service
	n := 0
	for _, u := range p.units {
		u.first = n
		n += len(u.sel)
	}
	p.spine = kernel.NewSpine(max(1, len(p.roles)))
	p.spine.Reserve(n)
	tuples := make([][]int, len(p.roles))
	for i, r := range p.roles {
		r.positions, r.why = make([]logpos.Vector, n), make([]Reason, n)
		tuples[i] = columnsOf(s, r.ref)
	}
	for _, u := range p.units {
		if len(u.sel) == 0 {
			continue
		}
		p.spine.Add(p.tuplesOf(tuples, u.keys.Cols), u.asOf)
		p.read = append(p.read, u.read...)
		for i, r := range p.roles {
			r.join(u, i)
		}
	}
}

func (p *pass) tuplesOf(tuples [][]int, keys []*vector.Vector) [][]*vector.Vector {
	out := make([][]*vector.Vector, max(1, len(tuples)))
	for i, columns := range tuples {
		for _, c := range columns {
			out[i] = append(out[i], keys[c])
		}
	}
	return out
}

// narrow finds where the events of the entities of the rows are.
func (p *pass) narrow(ctx context.Context) (err error) {
	if p.cfg.Narrow == nil {
		return nil
	}
	var of []Entities
	for _, r := range p.roles {
		e := Entities{View: r.ref.View}
		columns := columnsOf(p.cfg.Service, r.ref)
		for _, u := range p.units {
			for i := range u.sel {
				if hash, named := hashOf(u.keys.Cols, columns, i); named {
					e.Hashes = append(e.Hashes, hash)
				}
			}
		}
		of = append(of, e)
	}
	if p.events, err = p.cfg.Narrow(ctx, of); err != nil {
		return err
	}
	return p.held.keep(p.events.Bytes)
}

// columnsOf are the places of a view's keys among those of the service.
func columnsOf(s *plan.Service, ref *plan.ViewRef) (columns []int) {
	for _, key := range ref.Keys {
		columns = append(columns, slices.IndexFunc(s.Keys, func(f plan.Field) bool { return f.Name == key }))
	}
	return columns
}

// hashOf is the hash of some of the keys of a row. named is false if one of them is null.
func hashOf(keys []*vector.Vector, columns []int, row int) (hash uint64, named bool) {
	var memory [8]*vector.Vector
	of := memory[:0]
	for _, c := range columns {
		if !keys[c].Valid(row) {
			return 0, false
		}
		of = append(of, keys[c])
	}
	return servedlog.Hash(of, row), true
}

// join takes over the states of a unit's rows.
func (r *role) join(u *rowsOf, number int) {
	for j := range u.sel {
		row := u.first + j
		switch {
		case u.views == nil:
			r.why[row] = otherVersion
		case !r.built || u.views[number].build[j] != r.build.Build || u.views[number].generation[j] != r.build.Number:
			r.why[row] = otherBuild
		default:
			r.positions[row] = u.views[number].positions[j]
		}
	}
}

// rowBytes is about what a row takes in memory, without texts.
func rowBytes(s *plan.Service) int64 {
	n := int64(64)
	for i := range s.Views {
		n += 96 + 2*(int64(len(s.Views[i].View.Aggregates))*10+8)
	}
	return n
}

// passesFor is in how many passes so many rows are computed.
func passesFor(rows int64, s *plan.Service, memory int64) int {
	return int(min(maxPasses, 1+rows*rowBytes(s)/(memory/2)))
}
