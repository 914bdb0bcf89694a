package expr

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
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
	x := &junctionNode{first: args[0].out, cost: args[0].price().always, out: newCol(e.Type)}
	if e.Name == operators.LogicalAnd {
		x.flip = ^uint64(0)
	}
	for _, a := range args[1:] {
		x.rest = append(x.rest, a.block)
	}
	return then(x, x.out, args[0])
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
	flip  uint64 // xor with it turns deciding bits into zeros: all ones for &&
	first *col
	cost  int // of first
	rest  []block
	out   *col
}

func (x *junctionNode) conditionCost() int { return x.cost }

func (x *junctionNode) branches() []*block {
	out := make([]*block, len(x.rest))
	for i := range x.rest {
		out[i] = &x.rest[i]
	}
	return out
}

func (x *junctionNode) eval(n int, need vector.Bitmap) {
	o := x.out
	o.reset(n)
	if len(o.Bits) == 1 {
		x.evalWord(n, needWord(need, 0, n))
		return
	}
	open := o.Bits // the undecided rows
	for w := range open {
		open[w] = needWord(need, w, n)
	}
	for v, i := x.first, 0; ; i++ {
		left := uint64(0)
		for w := range open {
			open[w] = x.decide(v, w, open[w])
			left |= open[w]
		}
		if left == 0 || i == len(x.rest) {
			break
		}
		v = x.rest[i].eval(n, open)
	}
	for w := range open {
		x.result(w, open[w], needWord(need, w, n))
	}
}

// evalWord is eval for up to 64 rows; it keeps the undecided rows in a register.
func (x *junctionNode) evalWord(n int, rows uint64) {
	open := rows
	for v, i := x.first, 0; ; i++ {
		open = x.decide(v, 0, open)
		if open == 0 || i == len(x.rest) {
			break
		}
		x.out.Bits[0] = open
		v = x.rest[i].eval(n, x.out.Bits)
	}
	x.result(0, open, rows)
}

// decide returns the open rows of a word that v leaves undecided, and records those in which
// v failed.
func (x *junctionNode) decide(v *col, w int, open uint64) uint64 {
	if v.marked {
		return x.decideMarked(v, w, open)
	}
	return open &^ (v.Bits[w] ^ x.flip)
}

func (x *junctionNode) decideMarked(v *col, w int, open uint64) uint64 {
	bad := word(v.Err, w) | word(v.Null, w)
	x.out.addErrWord(w, bad&open)
	return open &^ ((v.Bits[w] ^ x.flip) &^ bad)
}

// result computes the results from the undecided rows. It clears the errors of decided rows.
func (x *junctionNode) result(w int, open, rows uint64) {
	o := x.out
	if o.marked {
		o.Err[w] &= open
	}
	if x.flip == 0 {
		open = rows &^ open
	}
	o.Bits[w] = open
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
	x := &conditionalNode{
		cond: cond.out, cost: cond.price().always, yes: yes.block, no: no.block, mixed: newCol(e.Type), out: newCol(e.Type),
	}
	return either(yes, no, then(x, x.out, cond))
}

// arm compiles e as a value of type t. e must be null or of type t, else the result is nil.
func (c *compiler) arm(e *plan.Expr, t plan.Type) *term {
	if isNull(e) {
		return nullTerm(t)
	}
	if !e.Type.Equal(t) {
		return nil
	}
	return c.compile(e)
}

// either gives t the properties of a term that yields values of a or of b.
func either(a, b, t *term) *term {
	t.floored = a.floored || b.floored
	t.zoned = a.zoned || b.zoned
	t.mayBeNull = a.mayBeNull || b.mayBeNull
	return t
}

// like gives t the properties of a term that yields the values of a.
func like(a, t *term) *term { return either(a, a, t) }

type conditionalNode struct {
	cond          *col
	cost          int // of cond
	yes, no       block
	yesMem, noMem vector.Bitmap
	mixed         *col
	out           *col // view of mixed, or of the only arm that was evaluated
}

func (x *conditionalNode) branches() []*block { return []*block{&x.yes, &x.no} }
func (x *conditionalNode) conditionCost() int { return x.cost }

func (x *conditionalNode) eval(n int, need vector.Bitmap) {
	cond := x.cond
	yes, no := sized(&x.yesMem, n), sized(&x.noMem, n)
	anyYes, anyNo := uint64(0), uint64(0)
	for w := range yes {
		rows := needWord(need, w, n)
		if cond.marked {
			rows &^= word(cond.Err, w) | word(cond.Null, w)
		}
		yes[w], no[w] = rows&cond.Bits[w], rows&^cond.Bits[w]
		anyYes, anyNo = anyYes|yes[w], anyNo|no[w]
	}
	switch {
	case anyNo == 0:
		x.only(x.yes.eval(n, yes))
	case anyYes == 0:
		x.only(x.no.eval(n, no))
	default:
		x.mixed.reset(n)
		x.mixed.blend(yes, x.yes.eval(n, yes), x.no.eval(n, no))
		x.mixed.strict(cond)
		x.out.view(x.mixed)
	}
}

// only sets the result to a, the only arm that was evaluated.
func (x *conditionalNode) only(a *col) {
	if !x.cond.marked {
		x.out.view(a)
		return
	}
	x.out.viewLanes(a)
	x.out.copyMasks(a)
	x.out.strict(x.cond)
}

// copyMasks gives c copies of the masks of a.
func (c *col) copyMasks(a *col) {
	if a.Null != nil {
		copy(c.nulls(), a.Null)
	}
	if a.ofNull != nil {
		copy(c.ofNulls(), a.ofNull)
	}
	if a.Err != nil {
		copy(c.errs(), a.Err)
	}
}

// blend sets c to the rows of a where rows is set, and to those of b elsewhere.
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
	if a.ofNull != nil || b.ofNull != nil {
		blendMask(c.ofNulls(), a.ofNull, b.ofNull, rows)
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
