package main

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// row gives cel-go row i of columns. It reads only the columns that an expression uses, when it
// uses them.
type row struct {
	vars []variable
	i    int
}

type variable struct {
	name string
	col  *vector.Vector
}

var _ interpreter.Activation = (*row)(nil)

// ResolveName finds a variable. It returns a CEL value, which cel-go need not convert.
func (r *row) ResolveName(name string) (any, bool) {
	for k := range r.vars {
		if r.vars[k].name == name {
			return r.value(r.vars[k].col), true
		}
	}
	return nil, false
}

func (r *row) value(v *vector.Vector) ref.Val {
	if v.IsNull(r.i) {
		return types.NullValue
	}
	switch v.Type.Kind {
	case plan.Int:
		return types.Int(v.Int[r.i])
	case plan.Double:
		return types.Double(v.Double[r.i])
	case plan.String:
		return types.String(v.Str[r.i])
	case plan.Timestamp:
		return types.Timestamp{Time: plan.EventTime(v.Int[r.i]).Time()}
	}
	return celenv.ToRef(v.Value(r.i), v.Type)
}

// Parent is nil: there are no other variables.
func (r *row) Parent() interpreter.Activation { return nil }
