// Package expr evaluates checked expressions over columns, exactly as cel-go
// does: the one evaluator of the kernel.
//
// An expression becomes a list of nodes, each of which computes one operator for
// a whole batch over typed lanes, with null and error bitmaps. No node combines two
// floating-point operations, so none are ever fused. A sub-expression that has no kernel is
// run by cel-go row by row. Operands that are needed for some rows only are lists of their
// own, and expensive nodes evaluate only the rows that the enclosing operators have not
// decided. An expensive sub-expression that reads only one column of strings is evaluated
// once per distinct string, as long as strings repeat.
package expr

import (
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// Input is one variable of an expression; its name is that of celenv.InputName.
type Input struct {
	Name string
	Type plan.Type
}

// Program is a compiled expression with the scratch memory of one goroutine. It
// is not safe for concurrent use.
type Program struct {
	expr      *plan.Expr
	reads     []Input
	root      *block
	inputs    []input       // of root, without duplicates
	dicts     []*dictionary // of root, without duplicates
	fallbacks []Fallback
	whole     func() (cel.Program, error)
	halt      *halt
	filled    int           // rows of the constants, -1 at first
	out       vector.Vector // the result, if the vector of the root is not it
	null      vector.Bitmap
}

// Compile compiles e over the given inputs, which must include every variable
// that e reads, with the same type.
func Compile(e *plan.Expr, inputs []Input) (*Program, error) {
	return compileFor(e, inputs, 0)
}

// compileFor is Compile with a bias added to the costs that decide about memos.
func compileFor(e *plan.Expr, inputs []Input, bias int) (*Program, error) {
	h := &halt{}
	root, err := compile(e, inputs, bias, h)
	if err != nil {
		return nil, err
	}
	p := &Program{
		halt:      h,
		expr:      e,
		reads:     inputs,
		root:      root,
		fallbacks: root.fallbacks(),
		whole:     sync.OnceValues(func() (cel.Program, error) { return celenv.Plan(e) }),
		filled:    -1,
	}
	for _, x := range root.inputs {
		if !slices.Contains(p.inputs, *x) {
			p.inputs = append(p.inputs, *x)
		}
	}
	for _, d := range root.dicts {
		if !slices.Contains(p.dicts, d) {
			p.dicts = append(p.dicts, d)
		}
	}
	return p, nil
}

// Type is the type of the results.
func (p *Program) Type() plan.Type { return p.expr.Type }

// Eval computes the expression for n rows. cols are parallel to the inputs of
// Compile and have n rows each; a column that the expression does not read may be
// nil. need is the rows to compute, nil for all; the other rows of the result are
// unspecified. need must have no bits beyond row n-1; the result does not alias it.
//
// The program owns the result, which is valid until the next Eval and must not be modified.
// It may alias cols. Strings in it may be strings of cols, valid only as long as those;
// all other strings stay valid.
func (p *Program) Eval(cols []*vector.Vector, n int, need vector.Bitmap) *vector.Vector {
	for i := range p.inputs {
		x := &p.inputs[i]
		v, o := cols[x.index], x.out
		o.Vector, o.marked = v, v.Null != nil || v.Err != nil
		if v.N != n {
			panic(fmt.Sprintf("expr: a column of %d rows in a batch of %d", v.N, n))
		}
	}
	for _, d := range p.dicts {
		d.begun = false
	}
	if p.filled != n {
		p.fill(n)
	}
	c := p.root.eval(n, need)
	if c.ofNull == nil && c.Vector.Type == c.Type {
		return c.Vector
	}
	return p.finish(c, n)
}

// fill gives the constants n rows.
func (p *Program) fill(n int) {
	p.filled = n
	for _, x := range p.root.consts {
		x.resize(n)
	}
}

// finish converts c to a result: it makes optionals of null null, and sets the type.
func (p *Program) finish(c *col, n int) *vector.Vector {
	p.out = *c.Vector
	p.out.Type = c.Type
	if c.ofNull == nil {
		return &p.out
	}
	p.out.Null = zeroed(&p.null, n)
	or(p.out.Null, c.ofNull)
	if c.Null != nil {
		or(p.out.Null, c.Null)
	}
	return &p.out
}

// ErrorText is cel-go's error message for one row, "" if the row does not fail.
func (p *Program) ErrorText(cols []*vector.Vector, row int) string {
	prg, err := p.whole()
	if err != nil {
		return err.Error()
	}
	act := &activation{row: row}
	reads := map[string]bool{}
	p.expr.Walk(func(e *plan.Expr) { reads[celenv.InputName(e)] = true })
	for i, in := range p.reads {
		if reads[in.Name] {
			c := newCol(in.Type)
			c.Vector = cols[i]
			act.vars = append(act.vars, variable{in.Name, c})
		}
	}
	if _, _, err := prg.Eval(act); err != nil {
		return err.Error()
	}
	return ""
}

// Fallbacks lists the sub-trees that cel-go runs row by row, in evaluation order.
func (p *Program) Fallbacks() []Fallback { return p.fallbacks }
