package oracle

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Estimate returns the engine's value of an aggregate of v that is not Exact; it has the type
// of the aggregate's slot.
type Estimate func(v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (plan.Value, error)

// NewAccepting makes an Oracle that accepts estimates: for an aggregate that is not Exact, it
// continues with the engine's value if that is Within the bound. Then every result is Exact,
// including features derived from estimates. A value outside the bound is an error.
func NewAccepting(e Estimate) *Oracle {
	o := New()
	o.estimate = e
	return o
}

// accept returns the outcome of an aggregate for which the oracle computed own.
func (o *Oracle) accept(own outcome, v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (outcome, error) {
	if own.exact || own.err != nil || o.estimate == nil {
		return own, nil
	}
	got, err := o.estimate(v, aggregate, key, at)
	if err != nil {
		return outcome{}, err
	}
	if f := v.Slots[v.Aggregates[aggregate].Slot].Func; !Within(f, content(own.value), content(got)) {
		return outcome{}, fmt.Errorf("the estimate of %s as of %v is %v, outside the bound around %v", f, at, content(got), content(own.value))
	}
	return outcome{value: got, exact: true}, nil
}

// content is the content of an optional, null for none; any other value is itself.
func content(v plan.Value) plan.Value {
	switch {
	case v.Kind() != plan.Optional:
		return v
	case len(v.List()) == 0:
		return plan.NullValue()
	}
	return v.List()[0]
}
