package kernel

import (
	"fmt"
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/vector"
)

// Features is a batch of results, one column per feature in the order of the plan.
// It belongs to the View or Service that made it and is valid until its next call.
type Features struct {
	N    int
	Cols []FeatureColumn
	// Known is, in the results of a View, the rows whose entity has a visible event, before
	// any filter. A Service needs it for its views.
	Known vector.Bitmap
	// Lost is the rows whose entity's state is lost; nil if there are none. Only a read of stored
	// states sets it.
	Lost vector.Bitmap
	// Few is the rows of Known whose entity has fewer than FewEvents visible events. Only a
	// replay's Reader sets it.
	Few  vector.Bitmap
	from *outer // what made it
}

// FeatureColumn is the values and statuses of one feature. A row has a value if its status is
// Present or Defaulted, or Failed with on_error: default; otherwise it is null or an error in
// Vec. Vec must not be modified, because columns may share it. NaN is plan.CanonicalNaN.
type FeatureColumn struct {
	Vec    *vector.Vector
	Status []Status
	Reason []Status // of a default: Empty or UnknownEntity; 0 elsewhere
	Errors int      // number of rows whose status is Failed or Lost
	Absent int      // number of rows whose status is not Present; set by View and Service

	present int // how many of the first rows are Present in the memory of Status and Reason
}

// outer is the compiled outer expressions of a view or a service.
type outer struct {
	features []outerFeature
	order    []int
	now      *vector.Vector
	cause    func(leaf *plan.Expr, row int) string // why a leaf failed, in the current results
	stop     func() bool
	out      Features
}

type outerFeature struct {
	plan    *plan.Feature
	program *expr.Program
	plain   bool         // the whole expression is one aggregate
	leaves  []*plan.Expr // where each input comes from
	inputs  []*vector.Vector
}

// newOuter compiles the outer expressions of a view; why says why there is no state of a row,
// if there is none.
func newOuter(v *plan.View, why func(row int) (missing, bool)) (*outer, error) {
	o, err := compileOuter(v.Features, v.Order, func(e *plan.Expr) plan.Type {
		switch e.Kind {
		case plan.Aggregate:
			return v.Slots[v.Aggregates[e.Index].Slot].Type
		case plan.FeatureRef:
			return v.Features[e.Index].RefType()
		}
		return e.Type
	})
	if err != nil {
		return nil, err
	}
	o.cause = func(leaf *plan.Expr, row int) string {
		if leaf.Kind == plan.Aggregate {
			if m, ok := why(row); ok {
				return m.String()
			}
			return aggregateError(&v.Slots[v.Aggregates[leaf.Index].Slot])
		}
		return o.out.ErrorText(leaf.Index, row)
	}
	return o, nil
}

// compileOuter compiles the expressions of features; typeOf gives the type of a leaf.
func compileOuter(features []*plan.Feature, order []int, typeOf func(*plan.Expr) plan.Type) (*outer, error) {
	o := &outer{order: order, now: vector.New(plan.T(plan.Timestamp), 0)}
	for _, f := range features {
		of := outerFeature{plan: f}
		var inputs []expr.Input
		seen := map[string]bool{}
		f.Expr.Walk(func(e *plan.Expr) {
			switch e.Kind {
			case plan.Aggregate, plan.FeatureRef, plan.Request, plan.Now:
				if name := celenv.InputName(e); !seen[name] {
					seen[name] = true
					of.leaves = append(of.leaves, e)
					inputs = append(inputs, expr.Input{Name: name, Type: typeOf(e)})
				}
			}
		})
		of.plain = f.Expr.Kind == plan.Aggregate
		of.inputs = make([]*vector.Vector, len(inputs))
		var err error
		if of.program, err = expr.Compile(f.Expr, inputs); err != nil {
			return nil, fmt.Errorf("feature %s: %w", f.Name, err)
		}
		o.features = append(o.features, of)
	}
	o.out.from = o
	o.out.Cols = make([]FeatureColumn, len(features))
	for i, f := range features {
		o.out.Cols[i].Vec = &vector.Vector{Type: f.RefType()}
	}
	return o, nil
}

// stopWhen is View.StopWhen.
func (o *outer) stopWhen(stop func() bool) {
	o.stop = stop
	for i := range o.features {
		o.features[i].program.StopWhen(stop)
	}
}

// checkStop panics with ErrStopped if stop says so.
func (o *outer) checkStop() {
	if o.stop != nil && o.stop() {
		panic(ErrStopped)
	}
}

// sources says of the entities that a feature reads, by feature and row, whether one has visible events, and
// whether the state of one is lost; lost is nil if none is.
type sources struct{ known, lost func(f, i int) bool }

// eval computes n rows as of the given times. resolve returns the vector of a leaf.
func (o *outer) eval(n int, at []plan.EventTime, resolve func(*plan.Expr) *vector.Vector, from sources) *Features {
	o.now.Resize(n)
	for i, t := range at {
		o.now.Int[i] = int64(t)
	}
	o.out.N = n
	for _, f := range o.order {
		of := &o.features[f]
		for i, leaf := range of.leaves {
			v := o.now
			if leaf.Kind != plan.Now {
				v = resolve(leaf)
			}
			if of.inputs[i] != v { // usually unchanged since the last call
				of.inputs[i] = v
			}
		}
		o.out.Cols[f].fill(of, f, of.eval(n), from)
	}
	return &o.out
}

func (of *outerFeature) eval(n int) *vector.Vector {
	if of.plain {
		return of.inputs[0]
	}
	return of.program.Eval(of.inputs, n, nil)
}

// fill sets the values of feature number f from its result, with statuses, defaults and
// canonical NaNs.
func (c *FeatureColumn) fill(of *outerFeature, f int, result *vector.Vector, from sources) {
	n := result.N
	if of.plain && of.plan.Default == nil {
		if c.Vec != result {
			c.Vec = result // shared: no default is stored in it, and its NaNs are canonical
		}
	} else {
		copyLanes(c.Vec, result)
	}
	if cap(c.Status) < n {
		c.Status, c.Reason, c.present = make([]Status, n), make([]Status, n), 0
	}
	c.Status, c.Reason = c.Status[:n], c.Reason[:n]
	c.Errors, c.Absent = 0, 0
	if n > c.present {
		clear(c.Reason)
		for i := range c.Status {
			c.Status[i] = Present
		}
		c.present = n
	}
	if result.Null == nil && result.Err == nil {
		return
	}
	c.present = 0 // as soon as a row is not
	for i := range c.Status {
		if !result.Valid(i) {
			c.Absent++
			if result.IsErr(i) {
				c.failed(of.plan, i, from.lost != nil && from.lost(f, i))
			} else {
				c.withoutValue(of.plan, i, from.known(f, i))
			}
		}
	}
}

// failed sets the status of a row whose expression failed; lost says that it read a state that is lost. Then
// no default stands in, because nobody would notice.
func (c *FeatureColumn) failed(f *plan.Feature, i int, lost bool) {
	c.Status[i] = Failed
	c.Errors++
	switch {
	case lost:
		c.Status[i] = Lost
	case f.OnErrorDefault && f.Default != nil:
		c.put(i, *f.Default)
		return
	}
	c.Vec.SetErr(i)
}

// withoutValue sets the status of a row without a value, and its default if there is one.
func (c *FeatureColumn) withoutValue(f *plan.Feature, i int, known bool) {
	c.Status[i] = UnknownEntity
	if known {
		c.Status[i] = Empty
	}
	if f.Default != nil {
		c.Status[i], c.Reason[i] = Defaulted, c.Status[i]
		c.put(i, *f.Default)
		return
	}
	c.Vec.SetNull(i)
}

func (c *FeatureColumn) put(i int, v plan.Value) {
	if v.Kind() == plan.Optional {
		v = v.List()[0]
	}
	c.Vec.Set(i, v)
}

// copyLanes copies values without the null and error bits, and makes NaNs canonical.
func copyLanes(dst, src *vector.Vector) {
	if dst.N != src.N {
		dst.Resize(src.N)
	}
	dst.Null, dst.Err = nil, nil
	switch vector.Lane(dst.Type) {
	case plan.Bool:
		copy(dst.Bits, src.Bits)
	case plan.Int:
		copy(dst.Int, src.Int)
	case plan.Double:
		for i, f := range src.Double[:src.N] {
			dst.Double[i] = math.Float64frombits(plan.DoubleBits(f))
		}
	case plan.String:
		copy(dst.Str, src.Str)
	default:
		copy(dst.Any, src.Any)
	}
}

// ErrStopped is the value that Read and Derive panic with when they are stopped.
var ErrStopped = expr.ErrStopped

// StopWhen makes Read call stop from time to time; nil removes it. If stop returns true, Read
// panics with ErrStopped, and the View must not be used any more.
func (k *View) StopWhen(stop func() bool) { k.outer.stopWhen(stop) }

// Read computes every feature of the view for n = len(at) entities: row i from
// states[i] as of at[i]. A nil state is an entity without events. Each at[i] must
// be later than the state's Newest; Read folds the states up to it.
func (k *View) Read(states []*State, at []plan.EventTime) *Features {
	k.resize(len(at))
	for i, s := range states {
		if s == nil {
			k.readEmpty(i)
			continue
		}
		if s.aside != "" {
			k.readMissing(i, missing{s.aside, s.lost})
			continue
		}
		s.Fold(at[i])
		s.readAggregates(k.aggs, i, at[i])
	}
	return k.finish(k.aggs, at, func(i int) bool { return states[i] != nil && (states[i].events > 0 || states[i].aside != "") })
}

// resize makes room for the values of n rows and discards the previous ones.
func (k *View) resize(n int) {
	clear(k.missing)
	for _, v := range k.aggs {
		if v.N != n || v.Null != nil || v.Err != nil {
			v.Resize(n)
		}
	}
}

// ReadStored is Read for encoded states, nil for an entity without events, all as of t, which
// must be later than the newest time that NewestOf returns for each. An encoding that cannot be read
// is a lost state.
func (k *View) ReadStored(states [][]byte, t plan.EventTime) *Features {
	return k.readRows(len(states), t, func(i int) { k.readRow(i, states[i], t) })
}

// readRows reads n rows as of t, each by read, and evaluates the outer expressions.
func (k *View) readRows(n int, t plan.EventTime, read func(i int)) *Features {
	k.resize(n)
	if k.stored == nil {
		k.stored = k.NewState()
	}
	k.at, k.events = slices.Grow(k.at[:0], n)[:n], slices.Grow(k.events[:0], vector.Words(n))[:vector.Words(n)]
	k.events.Zero()
	for i := range n {
		k.at[i] = t
		read(i)
	}
	k.stored.Reset() // so that it does not keep the last encoding alive
	return k.finish(k.aggs, k.at, k.events.Get)
}

// readRow reads row i from an encoded state.
func (k *View) readRow(i int, b []byte, t plan.EventTime) {
	if b == nil {
		k.readEmpty(i)
		return
	}
	k.outer.checkStop()
	m := missing{}
	if err := k.stored.Load(b); err != nil {
		m = missing{err.Error(), true}
	} else {
		m = missing{k.stored.aside, k.stored.lost}
	}
	if m.reason != "" {
		k.readMissing(i, m)
		k.events.Put(i, true)
		return
	}
	k.stored.Fold(t)
	k.stored.readAggregates(k.aggs, i, t)
	k.events.Put(i, k.stored.events > 0)
}

// readEmpty reads row i from an entity without events.
func (k *View) readEmpty(i int) {
	for g := range k.groups {
		k.groups[g].acc.Reset(0)
		for w := range k.groups[g].windows {
			k.groups[g].emit(w, k.aggs, i)
		}
	}
}

// finish evaluates the outer expressions over the values of the aggregates.
func (k *View) finish(aggs []*vector.Vector, at []plan.EventTime, known func(i int) bool) *Features {
	rows := slices.Grow(k.outer.out.Known[:0], vector.Words(len(at)))[:vector.Words(len(at))]
	rows.Zero()
	for i := range at {
		rows.Put(i, known(i))
	}
	k.outer.out.Known, k.outer.out.Lost = rows, nil
	from := sources{known: func(_, i int) bool { return rows.Get(i) }}
	for i, m := range k.missing {
		if !m.lost {
			continue
		}
		if k.outer.out.Lost == nil {
			k.outer.out.Lost = vector.NewBitmap(len(at))
			from.lost = func(_, i int) bool { return k.outer.out.Lost.Get(i) }
		}
		k.outer.out.Lost.Set(i)
	}
	return k.outer.eval(len(at), at, func(leaf *plan.Expr) *vector.Vector {
		if leaf.Kind == plan.Aggregate {
			return aggs[leaf.Index]
		}
		return k.outer.out.Cols[leaf.Index].Vec
	}, from)
}
