package lang

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
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
	for i := range aggregates {
		a := &aggregates[i]
		out = append(out, AggregateReference{
			Func: a.fn, Signature: a.signature(), Values: a.values(), Bounds: a.bounds(), Result: resultText(a), Groups: groupable[a.fn],
		})
	}
	return out
}

func (a *aggregate) values() string {
	if len(a.roles) == 0 {
		return ""
	}
	switch {
	case a.nones:
		return "any"
	case a.any:
		return "any but optional"
	}
	return kindNames(a.args)
}

func (a *aggregate) bounds() string {
	switch {
	case a.fn == plan.DistinctCount:
		return fmt.Sprintf("more than %d in a window, or than .cap(n), are an error", plan.DistinctCap)
	case slices.Contains(a.roles, countRole):
		return fmt.Sprintf("n from 1 to %d", maxN)
	case slices.Contains(a.roles, quantileRole):
		return "q from 0.0 to 1.0"
	case slices.Contains(a.roles, byRole):
		return "y " + kindNames(ordered)
	}
	return ""
}

// resultText names the result for a value of type T.
func resultText(a *aggregate) string {
	t, err := celenv.FromCEL(a.result(cel.StringType))
	if err != nil {
		return err.Error()
	}
	u, err := celenv.FromCEL(a.result(cel.IntType))
	if err != nil {
		return err.Error()
	}
	if t.Equal(u) {
		return t.String()
	}
	return strings.Replace(t.String(), "string", "T", 1)
}
