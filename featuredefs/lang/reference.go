package lang

import (
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// AggregateReference describes an aggregate for people.
type AggregateReference struct {
	Func      plan.AggFunc
	Signature string // as it is written, optional arguments with a question mark
	Values    string // types the value may have; "" without a value
	Bounds    string // of the other arguments and of the result; "" where there are none
	Result    string // type of the result; T is the value's type
	Groups    bool   // takes .by(string)
}

// Aggregates lists every aggregate of the language, in the order of docs/semantics.md.
func Aggregates() []AggregateReference {
	var out []AggregateReference
	for i := range plan.Aggregates {
		a := aggregate{&plan.Aggregates[i]}
		out = append(out, AggregateReference{
			Func: a.Func, Signature: a.signature(), Values: a.values(), Bounds: a.bounds(), Result: a.resultText(), Groups: a.Groups,
		})
	}
	return out
}

func (a aggregate) values() string {
	if len(a.Roles) == 0 {
		return ""
	}
	switch {
	case a.Nones:
		return "any"
	case a.Composite:
		return "any but optional"
	}
	return kindNames(a.Kinds)
}

func (a aggregate) bounds() string {
	switch {
	case a.Capped:
		return fmt.Sprintf("more than %d in a window, or than .cap(n), are an error", plan.DistinctCap)
	case a.Has(plan.RoleN):
		return fmt.Sprintf("n from 1 to %d", plan.MaxElements)
	case a.Has(plan.RoleQuantile):
		return "q from 0.0 to 1.0"
	case a.Has(plan.RoleBy):
		return "y " + kindNames(plan.OrderedKinds)
	}
	return ""
}

// resultText names the result for a value of type T.
func (a aggregate) resultText() string { return strings.Replace(a.Result.String(), "dyn", "T", 1) }
