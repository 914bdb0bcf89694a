package expr

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

var logicRules = map[string]rule{
	overloads.LogicalNot: {[]plan.Kind{plan.Bool}, not},
}

func not(_ *compiler, e *plan.Expr, args []*term) *term {
	return mapTerm(e.Type, args[0], func(o, a *col) {
		copy(o.Bits, a.Bits)
		o.invert(o.Bits)
	})
}

// junction compiles && and ||, flattening nested ones.
func (c *compiler) junction(e *plan.Expr) *term {
	var terms []*plan.Expr
	flatten(e, e.Name, &terms)
	for _, t := range terms {
		if t.Type.Kind != plan.Bool {
			return nil
		}
	}
	args := c.operands(terms)
	if args == nil {
		return nil
	}
	x := &junctionNode{decisive: e.Name == operators.LogicalOr, out: newCol(e.Type)}
	for _, a := range args {
		x.terms = append(x.terms, a.node)
	}
	return &term{typ: e.Type, node: x}
}

func flatten(e *plan.Expr, op string, out *[]*plan.Expr) {
	if e.Kind != plan.Call || e.Name != op {
		*out = append(*out, e)
		return
	}
	for _, a := range e.Args {
		flatten(a, op, out)
	}
}

// junctionNode is && or ||. An operand that decides (false for &&, true for ||)
// decides the row whatever the others are, errors and nulls included; an
// undecided row with an error or a null operand is an error. Later operands are
// evaluated only for undecided rows.
type junctionNode struct {
	decisive bool
	terms    []node
	openMem  vector.Bitmap
	out      *col
}

func (x *junctionNode) children() []node { return x.terms }

func (x *junctionNode) eval(b *batch, need vector.Bitmap) *col {
	o := x.out
	o.reset(b.n)
	open := sized(&x.openMem, b.n)
	for w := range open {
		open[w] = needWord(need, w, b.n)
	}
	for i, t := range x.terms {
		// Asking for all rows keeps cheap kernels free of masks.
		ask := open
		if i == 0 {
			ask = need
		}
		v := t.eval(b, ask)
		left := uint64(0)
		for w := range open {
			bad := word(v.Err, w) | word(v.Null, w)
			hit := v.Bits[w] &^ bad
			if !x.decisive {
				hit = ^v.Bits[w] &^ bad
			}
			o.addErrWord(w, bad&open[w])
			open[w] &^= hit
			left |= open[w]
		}
		if left == 0 {
			break
		}
	}
	x.settle(o, open, need)
	return o
}

// settle turns the rows left open into results: decided rows have no error.
func (x *junctionNode) settle(o *col, open, need vector.Bitmap) {
	for w := range open {
		if o.Err != nil {
			o.Err[w] &= open[w]
		}
		if x.decisive {
			o.Bits[w] = needWord(need, w, o.N) &^ open[w]
		} else {
			o.Bits[w] = open[w]
		}
	}
}

// conditional compiles c ? a : b.
func (c *compiler) conditional(e *plan.Expr) *term {
	if len(e.Args) != 3 || e.Args[0].Type.Kind != plan.Bool {
		return nil
	}
	cond := c.compile(e.Args[0])
	yes, no := c.arm(e.Args[1], e.Type), c.arm(e.Args[2], e.Type)
	if cond == nil || yes == nil || no == nil {
		return nil
	}
	x := &conditionalNode{cond: cond.node, yes: yes.node, no: no.node, out: newCol(e.Type), one: newCol(e.Type)}
	return either(e.Type, x, yes, no)
}

// arm compiles an expression whose value becomes one of type t.
func (c *compiler) arm(e *plan.Expr, t plan.Type) *term {
	if isNull(e) {
		return nullTerm(t)
	}
	if !e.Type.Equal(t) {
		return nil
	}
	return c.compile(e)
}

// either is a node that yields values of a or of b.
func either(t plan.Type, n node, a, b *term) *term {
	return &term{
		node: n, typ: t,
		floored: a.floored || b.floored,
		zoned:   a.zoned || b.zoned,
		loose:   a.loose || b.loose,
	}
}

type conditionalNode struct {
	cond, yes, no node
	yesMem, noMem vector.Bitmap
	out           *col
	one           *col // view of the only arm that was evaluated
}

func (x *conditionalNode) children() []node { return []node{x.cond, x.yes, x.no} }

func (x *conditionalNode) eval(b *batch, need vector.Bitmap) *col {
	cond := x.cond.eval(b, need)
	yes, no := sized(&x.yesMem, b.n), sized(&x.noMem, b.n)
	anyYes, anyNo := uint64(0), uint64(0)
	for w := range yes {
		rows := needWord(need, w, b.n) &^ (word(cond.Err, w) | word(cond.Null, w))
		yes[w], no[w] = rows&cond.Bits[w], rows&^cond.Bits[w]
		anyYes, anyNo = anyYes|yes[w], anyNo|no[w]
	}
	var o *col
	switch {
	case anyNo == 0:
		o = x.only(x.yes.eval(b, yes))
	case anyYes == 0:
		o = x.only(x.no.eval(b, no))
	default:
		o = x.out
		o.reset(b.n)
		o.blend(yes, x.yes.eval(b, yes), x.no.eval(b, no))
	}
	o.strict(cond)
	return o
}

// only shows a, with masks of its own so that errors can be added.
func (x *conditionalNode) only(a *col) *col {
	x.one.alias(a)
	x.one.copyMasks(a)
	return x.one
}

// copyMasks gives c copies of the masks of a.
func (c *col) copyMasks(a *col) {
	if a.Null != nil {
		copy(c.nulls(), a.Null)
	}
	if a.held != nil {
		copy(c.holds(), a.held)
	}
	if a.Err != nil {
		copy(c.errs(), a.Err)
	}
}

// blend makes c the rows of a where rows is set and those of b elsewhere.
func (c *col) blend(rows vector.Bitmap, a, b *col) {
	switch vector.Lane(c.Type) {
	case plan.Bool:
		for w, m := range rows {
			c.Bits[w] = a.Bits[w]&m | b.Bits[w]&^m
		}
	case plan.Int:
		blendLane(c.Int, a.Int, b.Int, rows)
	case plan.Double:
		blendLane(c.Double, a.Double, b.Double, rows)
	default:
		blendLane(c.Str, a.Str, b.Str, rows)
	}
	if a.Null != nil || b.Null != nil {
		blendMask(c.nulls(), a.Null, b.Null, rows)
	}
	if a.held != nil || b.held != nil {
		blendMask(c.holds(), a.held, b.held, rows)
	}
	if a.Err != nil || b.Err != nil {
		blendMask(c.errs(), a.Err, b.Err, rows)
	}
}

func blendMask(dst, a, b, rows vector.Bitmap) {
	for w, m := range rows {
		dst[w] = word(a, w)&m | word(b, w)&^m
	}
}

func blendLane[T any](dst, a, b []T, rows vector.Bitmap) {
	a, b = a[:len(dst)], b[:len(dst)]
	for w, m := range rows {
		from, to := w*64, min(w*64+64, len(dst))
		switch m {
		case 0:
			copy(dst[from:to], b[from:to])
		case ^uint64(0):
			copy(dst[from:to], a[from:to])
		default:
			for i := from; i < to; i++ {
				if m>>(uint(i)&63)&1 != 0 {
					dst[i] = a[i]
				} else {
					dst[i] = b[i]
				}
			}
		}
	}
}
