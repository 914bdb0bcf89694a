// Package expr evaluates checked expressions over columns, exactly as cel-go
// does: the one evaluator of the kernel.
//
// An expression becomes a tree of nodes, each of which computes one operator for
// a whole batch over typed lanes, with null and error bitmaps. No node fuses two
// operators, so no floating-point operation is ever contracted. A sub-tree that
// has no kernel is run by cel-go row by row. Expensive nodes evaluate only the
// rows that operators above them have not decided.
package expr

import (
	"fmt"
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
	root   node
	batch  batch
	out    vector.Vector // of optionals that hold null
	null   vector.Bitmap
}

// shared is the part of a program that all its clones use concurrently.
type shared struct {
	expr      *plan.Expr
	inputs    []Input
	plans     map[*plan.Expr]cel.Program // of the sub-trees cel-go runs
	fallbacks []Fallback
	whole     func() (cel.Program, error)
}

// Compile compiles e over the given inputs, which must include every variable
// that e reads, with the same type.
func Compile(e *plan.Expr, inputs []Input) (*Program, error) {
	sh := &shared{
		expr:   e,
		inputs: inputs,
		plans:  map[*plan.Expr]cel.Program{},
		whole:  sync.OnceValues(func() (cel.Program, error) { return celenv.Plan(e) }),
	}
	c, root, err := compile(sh)
	if err != nil {
		return nil, err
	}
	sh.fallbacks = c.report(root)
	return newProgram(sh, root), nil
}

func newProgram(sh *shared, root node) *Program {
	return &Program{shared: sh, root: root}
}

// Clone makes a program for another goroutine. It may be called concurrently
// with Eval and Clone.
func (p *Program) Clone() *Program {
	_, root, err := compile(p.shared)
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
	p.batch.cols, p.batch.n = cols, n
	c := p.root.eval(&p.batch, need)
	if c.held == nil {
		return &c.Vector
	}
	p.out = c.Vector
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
			c.view(cols[i], cols[i].N)
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

// batch is the input of one evaluation.
type batch struct {
	cols []*vector.Vector
	n    int
}

// node is one operator. eval computes the rows of need (nil: all); the others
// hold anything. The result is the node's until its next eval, which comes
// with the next batch.
type node interface {
	eval(b *batch, need vector.Bitmap) *col
	children() []node
}
