package celenv

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Sizes that a cost bound assumes for what an expression is given. Lists and maps are
// never longer: latest_n and its siblings hold at most 1000 elements, .by 1000 keys.
const (
	assumedText  = 4096 // bytes of a string or bytes value
	assumedItems = 1000
)

// UnknownCost is the cost of an expression that CEL's model cannot bound: it works on a text
// that another function made, whose length the model does not follow.
const UnknownCost = math.MaxUint64

// Cost bounds what evaluating e once can cost, in CEL's units (about one for each node that
// is visited), for strings of up to 4 KiB; or it is UnknownCost.
func Cost(e *plan.Expr) (uint64, error) {
	env, err := runtime()
	if err != nil {
		return 0, err
	}
	tree, err := Rebuild(e)
	if err != nil {
		return 0, err
	}
	checked, err := ast.ToProto(tree)
	if err != nil {
		return 0, err
	}
	estimate, err := env.EstimateCost(cel.CheckedExprToAst(checked), sizes{})
	return estimate.Max, err
}

// sizes estimates what cel-go cannot see.
type sizes struct{}

// EstimateSize bounds variables and the results of functions that cel-go has no bound for.
func (sizes) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if computed := n.ComputedSize(); computed != nil && computed.Max < math.MaxUint64 {
		return nil
	}
	switch n.Type().Kind() {
	case types.StringKind, types.BytesKind, types.OpaqueKind: // an optional is as long as what is in it
		return &cost.SizeEstimate{Max: assumedText}
	case types.ListKind, types.MapKind:
		return &cost.SizeEstimate{Max: assumedItems}
	}
	return nil
}

// EstimateCallCost leaves functions to the libraries that declare them.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
