package oracle

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Event is one row of a source after ingestion: an event, or one delivery of it.
type Event struct {
	Source      string
	Columns     map[string]plan.Value // a missing column is null
	Time, Known plan.EventTime
	ColumnKnown map[string]plan.EventTime // of the late columns that have a value
	ID          string                    // "": the event has none
	Position    int                       // in the log; 0: it was not pushed
	Fills       bool                      // the log stored it as a filling
	Final       bool                      // --as-of final: k = t after deliveries are merged
}

// visible is the row's visible time v = max(t, k).
func (e *Event) visible() plan.EventTime { return max(e.Time, e.Known) }

// Status says how a value came about (§5). The Reason of a DEFAULTED value is the status that
// it would have without a default; that of an ERROR is the message.
type Status string

// The statuses.
const (
	Present       Status = "PRESENT"
	Empty         Status = "EMPTY"
	UnknownEntity Status = "UNKNOWN_ENTITY"
	Defaulted     Status = "DEFAULTED"
	Failed        Status = "ERROR"
)

// Result is the value of one feature.
type Result struct {
	Name   string
	Value  plan.Value
	Status Status
	Reason string
	Exact  bool // does not depend on an aggregate that is not Exact
}

// Oracle computes features. Its only state is compiled expressions. It is not safe for
// concurrent use.
type Oracle struct {
	programs programs
	estimate Estimate // nil: estimates are not accepted
}

// New makes an Oracle.
func New() *Oracle { return &Oracle{programs: programs{}} }

// View computes every feature of v for one entity as of T, in the order of v.Features. events
// are those of all sources, in any order.
func (o *Oracle) View(v *plan.View, events []Event, key []plan.Value, at plan.EventTime) ([]Result, error) {
	r, err := o.view(v, events, key, at)
	return r.results, err
}

// reading is the features of a view.
type reading struct {
	results  []Result  // as a reader gets them
	features []outcome // as references in expressions see them
	known    bool      // the entity has an event visible at T
}

func (o *Oracle) view(v *plan.View, events []Event, key []plan.Value, at plan.EventTime) (reading, error) {
	if len(key) != len(v.KeyColumns) {
		return reading{}, fmt.Errorf("view %s: %d key values for %d keys", v.Name, len(key), len(v.KeyColumns))
	}
	mine := ofEntity(v, deduplicate(v.Source, events), key)
	r := reading{
		results:  make([]Result, len(v.Features)),
		features: make([]outcome, len(v.Features)),
		known:    slices.ContainsFunc(mine, func(e Event) bool { return e.visible() < at }),
	}
	leaves := make([]outcome, len(v.Aggregates))
	for i, a := range v.Aggregates {
		slot := &v.Slots[a.Slot]
		rows, err := o.rowsOf(v.Source, slot, a.Window, mine, at)
		if err != nil {
			return reading{}, fmt.Errorf("view %s: %s: %w", v.Name, slot.Func, err)
		}
		leaves[i].exact = Exact(slot.Func)
		leaves[i].value, leaves[i].err = aggregate(slot, rows)
		if leaves[i], err = o.accept(leaves[i], v, i, key, at); err != nil {
			return reading{}, fmt.Errorf("view %s: %w", v.Name, err)
		}
	}
	for _, i := range v.Order {
		f := v.Features[i]
		got, err := o.programs.eval(f.Expr, scope{aggregates: leaves, features: r.features, now: at})
		if err != nil {
			return reading{}, fmt.Errorf("feature %s.%s: %w", v.Name, f.Name, err)
		}
		r.results[i], r.features[i] = read(f, got, r.known)
	}
	return r, nil
}

// rowsOf is S(T): the rows of the entity's events that are visible to the aggregate, are inside
// its window, pass its filter and have an argument.
func (o *Oracle) rowsOf(src *plan.Source, slot *plan.Slot, w plan.Window, events []Event, at plan.EventTime) ([]row, error) {
	var rows []row
	for i := range events {
		e := &events[i]
		if visibleTo(src, slot, e) >= at || e.Time < lower(w, at) {
			continue
		}
		r := row{t: e.Time, id: e.ID}
		keep := true
		for _, part := range []struct {
			expr *plan.Expr
			into *plan.Value
		}{{slot.Arg, &r.arg}, {slot.By, &r.by}, {slot.Group, &r.group}, {slot.Filter, new(plan.Value)}} {
			if part.expr == nil {
				continue
			}
			got, err := o.programs.eval(part.expr, scope{columns: e.Columns})
			if err != nil {
				return nil, err
			}
			*part.into = got.value
			isFalse := part.expr == slot.Filter && !got.value.Equal(plan.BoolValue(true))
			keep = keep && got.err == nil && !isNone(got.value) && !isFalse
		}
		if keep {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// visibleTo is the visible time v for an aggregate: the latest of t, k and the known times of
// the columns that its expressions read (§2).
func visibleTo(src *plan.Source, slot *plan.Slot, e *Event) plan.EventTime {
	v := e.visible()
	for _, name := range plan.Columns(slot.Arg, slot.By, slot.Group, slot.Filter) {
		if c, ok := src.Column(name); ok && c.Known != nil {
			k, known := e.ColumnKnown[name]
			if !known {
				k = plan.Never
			}
			v = max(v, k)
		}
	}
	return v
}

// lower is floor((T - W) / h) * h, toward minus infinity (§3).
func lower(w plan.Window, at plan.EventTime) plan.EventTime {
	if w.Unbounded() {
		return plan.Always
	}
	start, hop := big.NewInt(int64(at)-int64(w.Width)), big.NewInt(int64(w.Hop))
	hops := new(big.Int).Div(start, hop) // Euclidean division, which floors if the divisor is positive
	return plan.EventTime(hops.Mul(hops, hop).Int64())
}

// ofEntity lists the events with this key. Keys compare by type and value; an event with a
// null in its key belongs to no entity.
func ofEntity(v *plan.View, events []Event, key []plan.Value) []Event {
	var out []Event
	for _, e := range events {
		same := true
		for i, column := range v.KeyColumns {
			component := canonicalKey(e.Columns[column])
			same = same && !component.IsNull() && component.Equal(canonicalKey(key[i]))
		}
		if same {
			out = append(out, e)
		}
	}
	return out
}

// canonicalKey is v with -0.0 as +0.0.
func canonicalKey(v plan.Value) plan.Value {
	if v.Kind() == plan.Double && v.Double() == 0 {
		return plan.DoubleValue(0)
	}
	return v
}

// read applies §5 to a feature's outcome and returns what a reader gets, and what a reference
// in another expression sees. known says whether the entity has an event visible at T.
func read(f *plan.Feature, got outcome, known bool) (Result, outcome) {
	r := Result{Name: f.Name, Status: Present, Value: got.value, Exact: got.exact}
	if f.Expr.Type.Kind == plan.Optional && got.err == nil && len(got.value.List()) > 0 {
		r.Value = got.value.List()[0]
	}
	switch {
	case got.err != nil:
		r.Status, r.Value, r.Reason = Failed, plan.NullValue(), got.err.Error()
		if f.Default == nil || !f.OnErrorDefault {
			return r, got
		}
		r.Value = *f.Default
		return r, outcome{value: *f.Default, exact: got.exact}
	case isNone(got.value):
		r.Status, r.Value = absence(known), plan.NullValue()
		if f.Default == nil {
			return r, got
		}
		r.Status, r.Reason, r.Value = Defaulted, string(r.Status), *f.Default
		return r, outcome{value: *f.Default, exact: got.exact}
	case f.Default != nil:
		return r, outcome{value: r.Value, exact: got.exact}
	}
	return r, got
}

// isNone is true for null too, which an expression over null request fields can return.
func isNone(v plan.Value) bool {
	return v.IsNull() || v.Kind() == plan.Optional && (len(v.List()) == 0 || v.List()[0].IsNull())
}

func absence(known bool) Status {
	if known {
		return Empty
	}
	return UnknownEntity
}
