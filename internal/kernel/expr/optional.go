package expr

import (
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// optionalCalls are the kernels for optionals over scalars, by overload id;
// optional.none() is a constant.
var optionalCalls map[string]func(*compiler, *plan.Expr) *term

func init() {
	optionalCalls = map[string]func(*compiler, *plan.Expr) *term{
		overloads.OptionalOf:             wrapper(false),
		overloads.OptionalOfNonZeroValue: wrapper(true),
		overloads.OptionalValue:          (*compiler).value,
		"optional_hasValue":              (*compiler).hasValue,
		overloads.OptionalOrValueValue:   (*compiler).orElse,
		overloads.OptionalOrOptional:     (*compiler).orElse,
	}
}

// optional compiles an operand that must be an optional at run time.
func (c *compiler) optional(e *plan.Expr) *term {
	if e.Type.Kind != plan.Optional || !native(e.Type) {
		return nil
	}
	t := c.compile(e)
	if t == nil || t.mayBeNull {
		return nil
	}
	return t
}

// wrapper compiles optional.of, whose result may contain null, and optional.ofNonZeroValue,
// which is none for null and zero.
func wrapper(nonZero bool) func(*compiler, *plan.Expr) *term {
	return func(c *compiler, e *plan.Expr) *term {
		if len(e.Args) != 1 || e.Type.Kind != plan.Optional || !e.Args[0].Type.Equal(*e.Type.Elem) {
			return nil
		}
		a := c.compile(e.Args[0])
		if a == nil || nonZero && a.floored {
			return nil
		}
		x := &wrapNode{one(e.Type, a), nonZero}
		return like(a, then(x, x.out, a))
	}
}

type wrapNode struct {
	unary
	nonZero bool
}

func (x *wrapNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.viewLanes(a)
	o.mark(nil, a.Err)
	if !x.nonZero {
		o.ofNull = a.Null
		return
	}
	if a.Null != nil {
		copy(o.nulls(), a.Null)
	}
	o.dropZeros()
}

// dropZeros sets the rows with a zero value to none.
func (c *col) dropZeros() {
	none := c.nulls()
	switch kind := c.Type.Unwrap().Kind; vector.Lane(c.Type) {
	case plan.Bool:
		for w := range none {
			none[w] |= ^c.Bits[w] & tail(w, c.N)
		}
	case plan.Int:
		zero := int64(0)
		if kind == plan.Timestamp {
			zero = int64(plan.MinTime) // Go's zero time, year 1
		}
		searchLane(none, c.Int[:c.N], zero)
	case plan.Double:
		searchLane(none, c.Double[:c.N], 0)
	default:
		searchLane(none, c.Str[:c.N], "")
	}
}

func (c *compiler) value(e *plan.Expr) *term {
	a := c.optional(e.Args[0])
	if a == nil {
		return nil
	}
	x := &valueNode{one(e.Type, a)}
	return like(a, then(x, x.out, a))
}

// valueNode is the content of an optional; none is an error.
type valueNode struct{ unary }

func (x *valueNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.viewLanes(a)
	o.mark(a.ofNull, nil)
	o.strict(a)
}

func (c *compiler) hasValue(e *plan.Expr) *term {
	a := c.optional(e.Args[0])
	if a == nil {
		return nil
	}
	x := &hasValueNode{one(e.Type, a)}
	return then(x, x.out, a)
}

type hasValueNode struct{ unary }

func (x *hasValueNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.resetFalse(n)
	o.addErr(a.Err)
	if a.Null != nil {
		copy(o.Bits, a.Null)
	}
	o.invert(o.Bits)
}

// orElse compiles orValue and or.
func (c *compiler) orElse(e *plan.Expr) *term {
	if len(e.Args) != 2 {
		return nil
	}
	a := c.optional(e.Args[0])
	if a == nil {
		return nil
	}
	alt := c.arm(e.Args[1], e.Type)
	if alt == nil || e.Type.Kind != plan.Optional && !e.Type.Equal(*e.Args[0].Type.Elem) {
		return nil
	}
	x := &orElseNode{
		opt: a.out, cost: a.price().always, alt: alt.block, unwrap: e.Type.Kind != plan.Optional,
		some: newCol(e.Type), mixed: newCol(e.Type), out: newCol(e.Type),
	}
	return either(a, alt, then(x, x.out, a))
}

// orElseNode takes the alternative where the optional is none, and evaluates it
// only there.
type orElseNode struct {
	opt     *col
	cost    int // of opt
	alt     block
	unwrap  bool // orValue: the result is the content of the optional
	noneMem vector.Bitmap
	some    *col // view of opt as a value of the result's type
	mixed   *col
	out     *col // view of some or mixed
}

func (x *orElseNode) branches() []*block { return []*block{&x.alt} }
func (x *orElseNode) conditionCost() int { return x.cost }

func (x *orElseNode) eval(n int, need vector.Bitmap) {
	opt, some := x.opt, x.some
	some.viewLanes(opt)
	if x.unwrap {
		some.mark(opt.ofNull, opt.Err)
	} else {
		some.mark(nil, opt.Err)
		some.ofNull = opt.ofNull
	}
	none := sized(&x.noneMem, n)
	left := uint64(0)
	for w := range none {
		none[w] = word(opt.Null, w) &^ word(opt.Err, w) & needWord(need, w, n)
		left |= none[w]
	}
	if left == 0 {
		x.out.view(some)
		return
	}
	x.mixed.reset(n)
	x.mixed.blend(none, x.alt.eval(n, none), some)
	x.out.view(x.mixed)
}
