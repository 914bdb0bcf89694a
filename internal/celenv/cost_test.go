package celenv

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

// A sum of two columns costs next to nothing.
func TestCostOfArithmetic(t *testing.T) {
	e := &plan.Expr{Kind: plan.Call, Name: "_+_", Overloads: []string{"add_int64"}, Type: plan.T(plan.Int), Args: []*plan.Expr{
		{Kind: plan.Column, Name: "a", Type: plan.T(plan.Int)}, {Kind: plan.Column, Name: "b", Type: plan.T(plan.Int)},
	}}
	if units, err := Cost(e); err != nil || units == 0 || units > 20 {
		t.Fatalf("cost %d, %v", units, err)
	}
}
