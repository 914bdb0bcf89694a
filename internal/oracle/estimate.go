package oracle

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Estimate is an engine's answer for an aggregate of v that is not Exact, of the
// type of the aggregate's slot.
type Estimate func(v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (plan.Value, error)

// NewAccepting makes an Oracle that accepts estimates: where §4 fixes only a bound it
// goes on with the engine's answer, once that is Within the bound of its own. Every
// result is then Exact, what is derived from an estimate too. An answer outside the
// bound is an error.
func NewAccepting(e Estimate) *Oracle {
	o := New()
	o.estimate = e
	return o
}

// accept is the outcome of an aggregate whose exact value is own.
func (o *Oracle) accept(own outcome, v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (outcome, error) {
	if own.exact || own.err != nil || o.estimate == nil {
		return own, nil
	}
	got, err := o.estimate(v, aggregate, key, at)
	if err != nil {
		return outcome{}, err
	}
	if f := v.Slots[v.Aggregates[aggregate].Slot].Func; !Within(f, held(own.value), held(got)) {
		return outcome{}, fmt.Errorf("%s as of %v is estimated as %v, outside the bound around %v", f, at, held(got), held(own.value))
	}
	return outcome{value: got, exact: true}, nil
}

// held is what an optional holds, null for none; any other value itself.
func held(v plan.Value) plan.Value {
	switch {
	case v.Kind() != plan.Optional:
		return v
	case len(v.List()) == 0:
		return plan.NullValue()
	}
	return v.List()[0]
}
