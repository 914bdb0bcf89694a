package expr

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// test is a comparison of two values.
type test uint8

const (
	below test = iota
	atMost
	above
	atLeast
	equalTo
	unequalTo
)

// mirrored is the test of b against a that is equivalent to t of a against b.
func (t test) mirrored() test {
	switch t {
	case below:
		return above
	case atMost:
		return atLeast
	case above:
		return below
	case atLeast:
		return atMost
	}
	return t
}

var comparisonRules = makeComparisonRules()

func makeComparisonRules() map[string]rule {
	type ids struct {
		kind           plan.Kind
		lt, le, gt, ge string
	}
	rules := map[string]rule{}
	for _, k := range []ids{
		{plan.Int, overloads.LessInt64, overloads.LessEqualsInt64, overloads.GreaterInt64, overloads.GreaterEqualsInt64},
		{plan.Uint, overloads.LessUint64, overloads.LessEqualsUint64, overloads.GreaterUint64, overloads.GreaterEqualsUint64},
		{plan.Double, overloads.LessDouble, overloads.LessEqualsDouble, overloads.GreaterDouble, overloads.GreaterEqualsDouble},
		{plan.String, overloads.LessString, overloads.LessEqualsString, overloads.GreaterString, overloads.GreaterEqualsString},
		{plan.Bytes, overloads.LessBytes, overloads.LessEqualsBytes, overloads.GreaterBytes, overloads.GreaterEqualsBytes},
		{plan.Timestamp, overloads.LessTimestamp, overloads.LessEqualsTimestamp, overloads.GreaterTimestamp, overloads.GreaterEqualsTimestamp},
		{plan.Duration, overloads.LessDuration, overloads.LessEqualsDuration, overloads.GreaterDuration, overloads.GreaterEqualsDuration},
	} {
		rules[k.lt] = orderRule(k.kind, below)
		rules[k.le] = orderRule(k.kind, atMost)
		rules[k.gt] = orderRule(k.kind, above)
		rules[k.ge] = orderRule(k.kind, atLeast)
	}
	return rules
}

func orderRule(k plan.Kind, t test) rule {
	return rule{[]plan.Kind{k, k}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		if args[0].floored || args[1].floored {
			return nil
		}
		if x := orderWithLiteral(e, t, args); x != nil {
			return x
		}
		x := &orderNode{two(e.Type, args[0], args[1]), k, t}
		return then(x, x.out, args[0], args[1])
	}}
}

type orderNode struct {
	binary
	kind plan.Kind
	test test // an ordering
}

func (x *orderNode) eval(n int, need vector.Bitmap) {
	l, r, o := x.l, x.r, x.out
	o.resetFalse(n)
	o.strictBoth(l, r)
	if x.kind == plan.Double && r.Null != nil {
		o.forgiveNaN(l, r)
	}
	t := x.test
	if t == above || t == atLeast {
		l, r, t = r, l, t.mirrored()
	}
	equal := t == atMost
	switch {
	case x.kind == plan.Double:
		orderLanes(o.Bits, l.Double[:n], r.Double, equal)
	case x.kind == plan.Uint:
		orderUints(o.Bits, l.Int[:n], r.Int, equal)
	case vector.Lane(l.Type) == plan.Int:
		orderLanes(o.Bits, l.Int[:n], r.Int, equal)
	default:
		orderLanes(o.Bits, l.Str[:n], r.Str, equal)
	}
}

// forgiveNaN clears the errors of rows where cel-go looks for NaN before it looks
// for null: `NaN < null` is false, although `null < NaN` is an error.
func (c *col) forgiveNaN(l, r *col) {
	for w, nulls := range r.Null {
		rows := nulls &^ (word(r.Err, w) | word(l.Err, w) | word(l.Null, w)) & tail(w, c.N)
		for i := w * 64; rows != 0; i, rows = i+1, rows>>1 {
			if rows&1 != 0 && l.Double[i] != l.Double[i] {
				c.Err.Clear(i)
			}
		}
	}
}

func orderLanes[T int64 | float64 | string](dst vector.Bitmap, a, b []T, equal bool) {
	b = b[:len(a)]
	for w := range dst {
		from, to := w*64, min(w*64+64, len(a))
		if equal {
			dst[w] = lessEqualWord(a[from:to], b[from:to])
		} else {
			dst[w] = lessWord(a[from:to], b[from:to])
		}
	}
}

func lessWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x < b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func lessEqualWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x <= b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func orderUints(dst vector.Bitmap, a, b []int64, equal bool) {
	for i, x := range a {
		if uint64(x) < uint64(b[i]) || equal && x == b[i] {
			dst.Set(i)
		}
	}
}

// equality compiles == and !=, which are defined for null too.
func (c *compiler) equality(e *plan.Expr) *term {
	if len(e.Args) != 2 {
		return nil
	}
	not := e.Name == operators.NotEquals
	l, r := e.Args[0], e.Args[1]
	switch {
	case isNull(r):
		return c.nullTest(e, l, not)
	case isNull(l):
		return c.nullTest(e, r, not)
	case !l.Type.Kind.Scalar() || !l.Type.Equal(r.Type):
		return nil
	}
	args := c.operands(e.Args)
	if args == nil || args[0].floored || args[1].floored {
		return nil
	}
	t := equalTo
	if not {
		t = unequalTo
	}
	if x := withLiteral(e, t, args); x != nil {
		return x
	}
	x := &equalNode{two(e.Type, args[0], args[1]), not}
	return then(x, x.out, args[0], args[1])
}

type equalNode struct {
	binary
	not bool
}

func (x *equalNode) eval(n int, need vector.Bitmap) {
	l, r, o := x.l, x.r, x.out
	o.reset(n)
	o.addErr(l.Err)
	o.addErr(r.Err)
	equalRows(o.Bits, l, r, n)
	if x.not {
		o.invert(o.Bits)
	}
}

// equalRows sets the rows in which l and r are equal; two nulls are equal.
func equalRows(dst vector.Bitmap, l, r *col, n int) {
	switch vector.Lane(l.Type) {
	case plan.Bool:
		for w := range dst {
			dst[w] = ^(l.Bits[w] ^ r.Bits[w]) & tail(w, n)
		}
	case plan.Int:
		equalLanes(dst, l.Int[:n], r.Int)
	case plan.Double:
		equalLanes(dst, l.Double[:n], r.Double)
	default:
		equalLanes(dst, l.Str[:n], r.Str)
	}
	if l.Null == nil && r.Null == nil {
		return
	}
	for w := range dst {
		ln, rn := word(l.Null, w), word(r.Null, w)
		dst[w] = dst[w]&^(ln|rn) | ln&rn
	}
}

func equalLanes[T int64 | float64 | string](dst vector.Bitmap, a, b []T) {
	b = b[:len(a)]
	for w := range dst {
		from, to := w*64, min(w*64+64, len(a))
		dst[w] = equalWord(a[from:to], b[from:to])
	}
}

func equalWord[T int64 | float64 | string](a, b []T) (bits uint64) {
	b = b[:len(a)]
	for i, x := range a {
		var bit uint64
		if x == b[i] {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

// invert flips the rows of m.
func (c *col) invert(m vector.Bitmap) {
	for w := range m {
		m[w] = ^m[w] & tail(w, c.N)
	}
}

// nullTest compiles a comparison of e with the literal null.
func (c *compiler) nullTest(e, arg *plan.Expr, not bool) *term {
	if !native(arg.Type) {
		return nil
	}
	a := c.compile(arg)
	if a == nil || a.mayBeNull {
		return nil
	}
	x := &nullNode{one(e.Type, a), not}
	return then(x, x.out, a)
}

type nullNode struct {
	unary
	not bool
}

func (x *nullNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	nulls := a.Null
	if a.Type.Kind == plan.Optional {
		nulls = nil // neither none nor optional.of(null) is equal to null
	}
	for w := range o.Bits {
		bits := word(nulls, w)
		if x.not {
			bits = ^bits & tail(w, n)
		}
		o.Bits[w] = bits
	}
	if a.marked {
		o.addErr(a.Err)
	}
}
