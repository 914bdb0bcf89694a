// Package expr evaluates checked expressions over columns, exactly as cel-go
// does: the one evaluator of the kernel.
//
// An expression becomes a list of nodes, each of which computes one operator for
// a whole batch over typed lanes, with null and error bitmaps. No node fuses two
// operators, so no floating-point operation is ever contracted. A sub-expression
// that has no kernel is run by cel-go row by row. Operands that matter for some rows
// only are lists of their own, and expensive nodes evaluate only the rows that the
// operators above them have not decided. An expensive sub-expression of one column of
// strings is evaluated once for each string, as long as strings come again.
package expr

import (
	"fmt"
	"slices"
	"sync"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// Input is one variable of an expression; its name is that of celenv.InputName.
type Input struct {
	Name string
	Type plan.Type
}

// Program is a compiled expression with the scratch memory of one goroutine. It
// is not safe for concurrent use; Clone makes one for another goroutine.
type Program struct {
	shared *shared
	root   *block
	inputs []input       // of root, each once
	dicts  []*dictionary // of root, each once
	filled int           // rows of the constants, -1 at first
	out    vector.Vector // where the root's does not do
	null   vector.Bitmap
}

// shared is the part of a program that all its clones use concurrently.
type shared struct {
	expr      *plan.Expr
	inputs    []Input
	plans     map[*plan.Expr]cel.Program // of the sub-trees cel-go runs
	fallbacks []Fallback
	bias      int // of costs, see memo
	whole     func() (cel.Program, error)
}

// Compile compiles e over the given inputs, which must include every variable
// that e reads, with the same type.
func Compile(e *plan.Expr, inputs []Input) (*Program, error) {
	return compileFor(e, inputs, 0)
}

// compileFor is Compile with a bias added to the cost of what may have a memo.
func compileFor(e *plan.Expr, inputs []Input, bias int) (*Program, error) {
	sh := &shared{
		expr:   e,
		inputs: inputs,
		plans:  map[*plan.Expr]cel.Program{},
		bias:   bias,
		whole:  sync.OnceValues(func() (cel.Program, error) { return celenv.Plan(e) }),
	}
	root, err := compile(sh)
	if err != nil {
		return nil, err
	}
	sh.fallbacks = root.fallbacks()
	return newProgram(sh, root), nil
}

func newProgram(sh *shared, root *block) *Program {
	p := &Program{shared: sh, root: root, filled: -1}
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
	return p
}

// Clone makes a program for another goroutine. It may be called concurrently
// with Eval and Clone.
func (p *Program) Clone() *Program {
	root, err := compile(p.shared)
	if err != nil {
		panic(fmt.Sprintf("expr: what compiled once does not compile again: %v", err))
	}
	return newProgram(p.shared, root)
}

// Type is the type of the results.
func (p *Program) Type() plan.Type { return p.shared.expr.Type }

// Eval computes the expression for n rows. cols are parallel to the inputs of
// Compile and have n rows each; a column the expression does not read may be
// nil. need says which rows matter, nil all of them; the others hold
// anything afterwards. The result belongs to the program until its next Eval
// and may alias cols; strings in it stay valid.
func (p *Program) Eval(cols []*vector.Vector, n int, need vector.Bitmap) *vector.Vector {
	for i := range p.inputs {
		x := &p.inputs[i]
		v, o := cols[x.index], x.out
		o.Vector, o.marked = v, v.Null != nil || v.Err != nil
		if v.N != n {
			o.cut(n)
		}
	}
	for _, d := range p.dicts {
		d.begun = false
	}
	if p.filled != n {
		p.fill(n)
	}
	c := p.root.eval(n, need)
	if c.held == nil && c.Vector.Type == c.Type {
		return c.Vector
	}
	return p.settle(c, n)
}

// fill gives the constants n rows.
func (p *Program) fill(n int) {
	p.filled = n
	for _, x := range p.root.consts {
		x.resize(n)
	}
}

// settle makes c, which has held nulls or shows a vector of another type, a result.
func (p *Program) settle(c *col, n int) *vector.Vector {
	p.out = *c.Vector
	p.out.Type = c.Type
	if c.held == nil {
		return &p.out
	}
	p.out.Null = zeroed(&p.null, n)
	or(p.out.Null, c.held)
	if c.Null != nil {
		or(p.out.Null, c.Null)
	}
	return &p.out
}

// ErrorText is what cel-go says about the failure of one row, "" when the row
// does not fail.
func (p *Program) ErrorText(cols []*vector.Vector, row int) string {
	prg, err := p.shared.whole()
	if err != nil {
		return err.Error()
	}
	act := &activation{row: row}
	reads := map[string]bool{}
	p.shared.expr.Walk(func(e *plan.Expr) { reads[celenv.InputName(e)] = true })
	for i, in := range p.shared.inputs {
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
func (p *Program) Fallbacks() []Fallback { return p.shared.fallbacks }
