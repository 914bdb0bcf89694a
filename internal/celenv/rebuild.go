package celenv

import (
	"fmt"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/unskew/unskew/featuredefs/plan"
)

// NowName is the activation variable of T.
const NowName = "now"

// InputName is the activation variable of a leaf of an expression: "amount" for a column,
// "@agg0" for an aggregate, "@feature0" for a feature reference, "request.amount" for a
// request field, "now" for T. It is "" for any other node.
func InputName(e *plan.Expr) string {
	switch e.Kind {
	case plan.Column:
		return e.Name
	case plan.Aggregate:
		return "@agg" + strconv.Itoa(e.Index)
	case plan.FeatureRef:
		return "@feature" + strconv.Itoa(e.Index)
	case plan.Request:
		return "request." + e.Name
	case plan.Now:
		return NowName
	}
	return ""
}

// Rebuild converts e to a checked CEL tree, for PlanProgram of an environment with Options.
// Its variables are named by InputName. Comprehensions over maps visit the keys in order,
// and map literals fail for invalid keys.
func Rebuild(e *plan.Expr) (*ast.AST, error) {
	b := &rebuilder{
		fac:   ast.NewExprFactory(),
		types: map[int64]*types.Type{},
		refs:  map[int64]*ast.ReferenceInfo{},
	}
	root, err := b.expr(e)
	if err != nil {
		return nil, err
	}
	return ast.NewCheckedAST(ast.NewAST(root, ast.NewSourceInfo(nil)), b.types, b.refs), nil
}

type rebuilder struct {
	fac    ast.ExprFactory
	types  map[int64]*types.Type
	refs   map[int64]*ast.ReferenceInfo
	lastID int64
	locals []string // variables of the enclosing comprehensions
}

func (b *rebuilder) id(t plan.Type) int64 {
	b.lastID++
	b.types[b.lastID] = ToCEL(t)
	return b.lastID
}

func (b *rebuilder) expr(e *plan.Expr) (ast.Expr, error) {
	id := b.id(e.Type)
	switch e.Kind {
	case plan.Literal:
		return b.fac.NewLiteral(id, ToRef(e.Lit, e.Type)), nil
	case plan.Column, plan.Aggregate, plan.FeatureRef, plan.Request, plan.Now:
		return b.input(id, InputName(e)), nil
	case plan.Local:
		b.refs[id] = ast.NewIdentReference(e.Name, nil)
		return b.fac.NewIdent(id, e.Name), nil
	case plan.Comprehension:
		return b.comprehension(id, e.Comp)
	}
	args, err := b.exprs(e.Args)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case plan.Call:
		return b.call(id, e, args)
	case plan.Select:
		if len(args) != 1 {
			return nil, malformed(e, "a selection has one operand")
		}
		if e.TestOnly {
			return b.fac.NewPresenceTest(id, args[0], e.Name), nil
		}
		return b.fac.NewSelect(id, args[0], e.Name), nil
	case plan.ListLit:
		return b.list(id, e, args), nil
	case plan.MapLit:
		return b.mapLit(id, e, args)
	}
	return nil, malformed(e, "unknown kind "+strconv.Itoa(int(e.Kind)))
}

func malformed(e *plan.Expr, why string) error {
	return fmt.Errorf("%s:%d:%d: malformed expression: %s", e.Pos.File, e.Pos.Line, e.Pos.Col, why)
}

func (b *rebuilder) exprs(list []*plan.Expr) ([]ast.Expr, error) {
	out := make([]ast.Expr, len(list))
	for i, a := range list {
		var err error
		if out[i], err = b.expr(a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// input refers to a variable of the activation. If a comprehension variable has the same
// name, a leading dot selects the former.
func (b *rebuilder) input(id int64, name string) ast.Expr {
	if slices.Contains(b.locals, name) {
		name = "." + name
	}
	b.refs[id] = ast.NewIdentReference(name, nil)
	return b.fac.NewIdent(id, name)
}

func (b *rebuilder) call(id int64, e *plan.Expr, args []ast.Expr) (ast.Expr, error) {
	b.refs[id] = ast.NewFunctionReference(e.Overloads...)
	if !e.Member {
		return b.fac.NewCall(id, e.Name, args...), nil
	}
	if len(args) == 0 {
		return nil, malformed(e, "a member call needs a receiver")
	}
	return b.fac.NewMemberCall(id, e.Name, args[0], args[1:]...), nil
}

func (b *rebuilder) list(id int64, e *plan.Expr, args []ast.Expr) ast.Expr {
	opt := make([]int32, len(e.Optional))
	for i, x := range e.Optional {
		opt[i] = int32(x)
	}
	return b.fac.NewList(id, args, opt)
}

func (b *rebuilder) mapLit(id int64, e *plan.Expr, args []ast.Expr) (ast.Expr, error) {
	if len(args)%2 != 0 {
		return nil, malformed(e, "a map literal needs a value for every key")
	}
	entries := make([]ast.EntryExpr, len(args)/2)
	for i := range entries {
		key := b.keyed(e.Args[2*i], args[2*i])
		b.lastID++
		entries[i] = b.fac.NewMapEntry(b.lastID, key, args[2*i+1], slices.Contains(e.Optional, i))
	}
	return b.fac.NewMap(id, entries), nil
}

func (b *rebuilder) comprehension(id int64, c *plan.Comp) (ast.Expr, error) {
	outside, err := b.exprs([]*plan.Expr{c.Range, c.Init})
	if err != nil {
		return nil, err
	}
	over := outside[0]
	if c.Range.Type.Kind == plan.Map {
		over = b.sorted(c.Range.Type, over)
	}
	depth := len(b.locals)
	defer func() { b.locals = b.locals[:depth] }()
	b.locals = append(b.locals, c.AccuVar, c.IterVar)
	if c.IterVar2 != "" {
		b.locals = append(b.locals, c.IterVar2)
	}
	inside, err := b.exprs([]*plan.Expr{c.Cond, c.Step})
	if err != nil {
		return nil, err
	}
	b.locals = append(b.locals[:depth], c.AccuVar)
	result, err := b.expr(c.Result)
	if err != nil {
		return nil, err
	}
	return b.fac.NewComprehensionTwoVar(id, over, c.IterVar, c.IterVar2, c.AccuVar,
		outside[1], inside[0], inside[1], result), nil
}

func (b *rebuilder) sorted(t plan.Type, m ast.Expr) ast.Expr {
	id := b.id(t)
	b.refs[id] = ast.NewFunctionReference(sortedMapOverload)
	return b.fac.NewCall(id, sortedMapName, m)
}
