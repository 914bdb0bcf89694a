package recompute

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// batchRows is how many rows are evaluated at a time.
const batchRows = 1024

// marked is rows of a unit, by their places among those of the pass, with values that differ from those of training for a reason that
// only the events tell.
type marked []int

// comparer compares rows of one unit at a time with what is computed. It is for one goroutine.
type comparer struct {
	*pass
	compute, known side
	tally          *tally
	explain        bool // the second time: only marked rows, whose events are there
}

// side is one of the two computations.
type side struct {
	readers []*kernel.Reader
	service *kernel.Service
	cols    []kernel.FeatureColumn
}

func (p *pass) newSide(of func(*role) *track) (s side, err error) {
	for _, r := range p.roles {
		reader, err := of(r).reader()
		if err != nil {
			return s, err
		}
		s.readers = append(s.readers, reader)
	}
	s.service, err = kernel.NewService(p.cfg.Service)
	return s, err
}

func (p *pass) newComparer(explain bool) (*comparer, error) {
	c := &comparer{pass: p, tally: newTally(), explain: explain}
	var err error
	if c.compute, err = p.newSide(func(r *role) *track { return &r.compute }); err == nil {
		c.known, err = p.newSide(func(r *role) *track { return &r.known })
	}
	return c, err
}

// compareAll compares all rows, or, to explain them, those that are marked.
func (p *pass) compareAll(ctx context.Context, explain bool) error {
	if !explain {
		p.marked = make([]marked, len(p.units))
	}
	phase := "compare"
	if explain {
		phase = "explain"
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range p.cfg.Threads {
		c, err := p.newComparer(explain)
		if err != nil {
			return err
		}
		p.tallies = append(p.tallies, c.tally)
		g.Go(func() error { return caught(func() error { return c.some(ctx, phase, &next) }) })
	}
	return g.Wait()
}

// some compares units until none is left; next is the number of the next one.
func (c *comparer) some(ctx context.Context, phase string, next *atomic.Int64) (err error) {
	for err == nil {
		i := int(next.Add(1)) - 1
		if i >= len(c.units) || ctx.Err() != nil {
			return ctx.Err()
		}
		if c.explain && len(c.marked[i]) == 0 {
			continue
		}
		err = c.unit(i)
		c.report(Progress{phase, int64(len(c.units[i].sel))})
	}
	return err
}

// unit compares the rows of a unit.
func (c *comparer) unit(i int) error {
	u := c.units[i]
	if u.shape.why != compared {
		return c.leaveOut(u)
	}
	if len(u.sel) == 0 {
		return nil
	}
	b, err := u.unit.Read()
	if err != nil {
		return err
	}
	for from := 0; from < len(u.sel); from += batchRows {
		to := min(from+batchRows, len(u.sel))
		rows := make([]int, 0, to-from) // places among those of the pass
		for j := from; j < to; j++ {
			if !c.explain {
				rows = append(rows, j)
			} else if _, is := slices.BinarySearch(c.marked[i], j); is {
				rows = append(rows, j)
			}
		}
		if len(rows) == 0 {
			continue
		}
		if err := c.rows(i, u, b, rows); err != nil {
			return fmt.Errorf("rows of %d of the served log: %w", i, err)
		}
	}
	return nil
}

// leaveOut counts the values of rows of which none can be compared.
func (c *comparer) leaveOut(u *rowsOf) error {
	if c.number > 0 || c.explain {
		return nil // counted once
	}
	b, err := u.unit.Read()
	if err != nil {
		return err
	}
	for i := range b.N {
		at := plan.EventTime(b.ReadAt.Int[i])
		if at < c.cfg.From || at >= c.cfg.To {
			continue
		}
		c.tally.row(at)
		for o := range b.Outputs {
			if b.Outputs[o].Status.Valid(i) {
				c.tally.leftOut(u.shape.why)
			}
		}
	}
	return nil
}

// rows compares some rows of a unit, at most batchRows.
func (c *comparer) rows(unit int, u *rowsOf, b *servedlog.Batch, rows []int) error {
	numbers, places, at := make([]int, len(rows)), make([]int, len(rows)), make([]plan.EventTime, len(rows))
	for i, j := range rows {
		numbers[i], places[i], at[i] = u.first+j, u.sel[j], u.asOf[j]
	}
	request := c.request(u, b, rows, places)
	c.compute.eval(c.pass, func(r *role) *track { return &r.compute }, numbers, at, request)
	c.known.eval(c.pass, func(r *role) *track { return &r.known }, numbers, at, request)
	x := &rowCompare{comparer: c, u: u, b: b}
	by := request.Col(c.cfg.By)
	for i, j := range rows {
		x.i, x.j, x.place, x.number = i, j, places[i], numbers[i]
		x.t, x.read = at[i], u.read[j]
		switch key := u.keys.Col(c.cfg.By); {
		case by != nil:
			x.cohort = c.tally.inCohort(by.Value(i).String())
		case key != nil:
			x.cohort = c.tally.inCohort(key.Value(j).String())
		}
		if !c.explain {
			c.tally.row(x.read)
		}
		if x.row() && !c.explain {
			c.marked[unit] = append(c.marked[unit], j)
		}
	}
	return nil
}

// request is the request fields of rows, by name.
func (c *comparer) request(u *rowsOf, b *servedlog.Batch, rows, places []int) *vector.Batch {
	only := ingest.Take(nil, &vector.Batch{N: b.N, Fields: requestOnly(c.cfg.Service), Cols: b.Request}, places)
	keys := ingest.Take(nil, u.keys, rows)
	out := &vector.Batch{N: len(rows), Fields: c.cfg.Service.Request}
	for _, f := range c.cfg.Service.Request {
		col := keys.Col(f.Name)
		if col == nil {
			col = only.Col(f.Name)
		}
		out.Cols = append(out.Cols, col)
	}
	return out
}

// eval computes the outputs of rows.
func (s *side) eval(p *pass, of func(*role) *track, numbers []int, at []plan.EventTime, request *vector.Batch) {
	views := make([]*kernel.Features, len(p.roles))
	rows := make([]kernel.At, len(numbers))
	for i, r := range p.roles {
		t := of(r)
		for n, row := range numbers {
			rows[n] = t.at[row]
		}
		views[i] = s.readers[i].Read(t.parts, rows, at)
	}
	s.cols = s.service.Assemble(views, s.service.Derive(views, request, at))
}

// rowCompare compares one row.
type rowCompare struct {
	*comparer
	u       *rowsOf
	b       *servedlog.Batch
	i       int // in what was computed
	j       int // among the rows of the unit in the pass
	place   int // in the unit
	number  int // in the pass
	t, read plan.EventTime
	causes  []Cause // of the outputs so far
	cohort  *counts // nil without Config.By
}

// row compares all values of a row. It reports whether one differs from that of training for a reason that only events tell.
func (x *rowCompare) row() (unexplained bool) {
	x.causes = slices.Grow(x.causes[:0], len(x.compute.cols))[:len(x.compute.cols)]
	clear(x.causes)
	for o := range x.compute.cols {
		column := x.u.shape.outputs[o]
		if column < 0 {
			continue
		}
		if served := &x.b.Outputs[column]; served.Status.Valid(x.place) {
			unexplained = x.value(o, served) || unexplained
		}
	}
	return unexplained
}

// value compares one value, as row does.
func (x *rowCompare) value(o int, served *servedlog.OutputColumns) (unexplained bool) {
	computed, known := &x.compute.cols[o], &x.known.cols[o]
	cause, why := Cause(""), x.notComputable(o)
	computable := why == compared
	same := computable && x.same(served, computed)
	if !same {
		cause = x.cause(o, served, computed, &why)
		x.causes[o] = cause
	}
	if !x.explain {
		x.tally.compute(x, o, why, cause, served, computed)
	}
	if unknown := x.notKnowable(o); unknown != compared || why == setAside {
		if !x.explain {
			x.tally.leftOutOfKnown(x, o)
		}
		return false
	}
	if x.same(served, known) {
		if !x.explain {
			x.tally.known(x, o, "", served, nil, known, nil)
		}
		return false
	}
	also := computed
	if !computable || why != compared {
		also = nil
	}
	switch {
	case cause != "":
	case why == otherVersion || why == otherBuild:
		cause = Version
	case why != compared:
		cause = Unknown
	case !x.explain:
		return true
	default:
		var events []Event
		cause, events = x.causeOf(o)
		x.tally.known(x, o, cause, served, also, known, events)
		return true
	}
	if !x.explain {
		x.tally.known(x, o, cause, served, also, known, nil)
	}
	return false
}

// notComputable is why a value cannot be computed over what had been applied.
func (x *rowCompare) notComputable(o int) Reason {
	for _, r := range x.reach[o] {
		of := x.roles[r.role]
		if why := of.why[x.number]; why != compared {
			return why
		}
		if of.unread != compared {
			return of.unread
		}
	}
	if x.u.shape.version {
		return otherVersion
	}
	return compared
}

// notKnowable is why a value cannot be computed as training would.
func (x *rowCompare) notKnowable(o int) Reason {
	for _, r := range x.reach[o] {
		if why := x.roles[r.role].unknown; why != compared {
			return why
		}
	}
	return compared
}

// cause is why a value is not the one that is computed over what had been applied, "" if it was not computed and nothing else tells. It sets why if
// the value cannot be computed after all.
func (x *rowCompare) cause(o int, served *servedlog.OutputColumns, computed *kernel.FeatureColumn, why *Reason) Cause {
	status := served.Status.Str[x.place]
	switch {
	case status == kernel.Lost.String() || status == stale && served.Reason.Str[x.place] == kernel.Lost.String():
		*why = compared
		return Lost
	case *why != compared:
		return ""
	case x.aside(o):
		*why = setAside
		return ""
	case status == kernel.Defaulted.String() && computed.Status[x.i] == kernel.Defaulted && served.Reason.Valid(x.place) && served.Reason.Str[x.place] == computed.Reason[x.i].String():
		return Default
	case slices.ContainsFunc(x.reach[o], func(r reach) bool { return x.roles[r.role].build.InputsChanged }):
		return Source
	case x.t < x.read:
		return Clock // T is the time of the read or later
	}
	for _, feature := range x.from[o] {
		if x.causes[feature] != "" {
			return x.causes[feature]
		}
	}
	return Compute
}

// aside reports whether an entity that an output reads was set aside.
func (x *rowCompare) aside(o int) bool {
	return slices.ContainsFunc(x.reach[o], func(r reach) bool {
		of := x.roles[r.role]
		return len(of.build.Aside) > 0 && of.build.Aside[x.entity(of)]
	})
}

// entity is the key of the entity of a role, "" if the row has none.
func (x *rowCompare) entity(r *role) string {
	keys := make([]*vector.Vector, len(r.ref.Keys))
	for i, name := range r.ref.Keys {
		keys[i] = x.u.keys.Col(name)
	}
	key, ok := entitykey.AppendRow(nil, keys, x.j)
	if !ok {
		return ""
	}
	return string(key)
}

// stale is the status of values of which a request said that they are too old; the reason has the one that it replaced.
const stale = "STALE"

// same compares a value with its status and reason.
func (x *rowCompare) same(served *servedlog.OutputColumns, of *kernel.FeatureColumn) bool {
	status, reason := served.Status.Str[x.place], ""
	if served.Reason.Valid(x.place) {
		reason = served.Reason.Str[x.place]
	}
	switch {
	case status == stale:
		if reason != of.Status[x.i].String() {
			return false
		}
	case status != of.Status[x.i].String():
		return false
	case of.Status[x.i] == kernel.Defaulted && reason != of.Reason[x.i].String():
		return false
	}
	return sameValue(served.Value, x.place, of.Vec, x.i)
}

// sameValue compares bits.
func sameValue(a *vector.Vector, i int, b *vector.Vector, j int) bool {
	if !a.Valid(i) || !b.Valid(j) {
		return a.Valid(i) == b.Valid(j)
	}
	switch vector.Lane(a.Type) {
	case plan.Bool:
		return a.Bits.Get(i) == b.Bits.Get(j)
	case plan.Int:
		return a.Int[i] == b.Int[j]
	case plan.Double:
		return plan.DoubleBits(a.Double[i]) == plan.DoubleBits(b.Double[j])
	case plan.String:
		return a.Str[i] == b.Str[j]
	}
	return a.Any[i].Equal(b.Any[j])
}
