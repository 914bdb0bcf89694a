package expr

import (
	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
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
	if t == nil || t.loose {
		return nil
	}
	return t
}

// wrapper compiles optional.of, which may hold null, and optional.ofNonZeroValue,
// for which null and zero are none.
func wrapper(nonZero bool) func(*compiler, *plan.Expr) *term {
	return func(c *compiler, e *plan.Expr) *term {
		if len(e.Args) != 1 || e.Type.Kind != plan.Optional || !e.Args[0].Type.Equal(*e.Type.Elem) {
			return nil
		}
		a := c.compile(e.Args[0])
		if a == nil || nonZero && a.floored {
			return nil
		}
		t := *a
		t.typ, t.lit = e.Type, nil
		t.node = &wrapNode{unary{a.node}, nonZero, newCol(e.Type)}
		return &t
	}
}

type wrapNode struct {
	unary
	nonZero bool
	out     *col // view
}

func (x *wrapNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.alias(a)
	o.Err = a.Err
	if !x.nonZero {
		o.held = a.Null
		return o
	}
	if a.Null != nil {
		copy(o.nulls(), a.Null)
	}
	o.dropZeros()
	return o
}

// dropZeros makes the rows with a zero value none.
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
	t := *a
	t.typ, t.lit = e.Type, nil
	t.node = &valueNode{unary{a.node}, newCol(e.Type)}
	return &t
}

// valueNode is the content of an optional; none is an error.
type valueNode struct {
	unary
	out *col // view
}

func (x *valueNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.alias(a)
	o.Null = a.held
	o.strict(a)
	return o
}

func (c *compiler) hasValue(e *plan.Expr) *term {
	a := c.optional(e.Args[0])
	if a == nil {
		return nil
	}
	return &term{typ: e.Type, node: &hasValueNode{unary{a.node}, newCol(e.Type)}}
}

type hasValueNode struct {
	unary
	out *col
}

func (x *hasValueNode) eval(b *batch, need vector.Bitmap) *col {
	a, o := x.arg.eval(b, need), x.out
	o.reset(b.n)
	o.addErr(a.Err)
	if a.Null != nil {
		copy(o.Bits, a.Null)
	}
	o.invert(o.Bits)
	return o
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
	x := &orElseNode{opt: a.node, alt: alt.node, unwrap: e.Type.Kind != plan.Optional}
	x.some, x.out = newCol(e.Type), newCol(e.Type)
	return either(e.Type, x, a, alt)
}

// orElseNode takes the alternative where the optional is none, and evaluates it
// only there.
type orElseNode struct {
	opt, alt node
	unwrap   bool // orValue: the result is the content
	noneMem  vector.Bitmap
	some     *col // view of opt as a value of the result's type
	out      *col
}

func (x *orElseNode) children() []node { return []node{x.opt, x.alt} }

func (x *orElseNode) eval(b *batch, need vector.Bitmap) *col {
	opt, some := x.opt.eval(b, need), x.some
	some.alias(opt)
	some.Err = opt.Err
	if x.unwrap {
		some.Null = opt.held
	} else {
		some.held = opt.held
	}
	none := sized(&x.noneMem, b.n)
	left := uint64(0)
	for w := range none {
		none[w] = word(opt.Null, w) &^ word(opt.Err, w) & needWord(need, w, b.n)
		left |= none[w]
	}
	if left == 0 {
		return some
	}
	x.out.reset(b.n)
	x.out.blend(none, x.alt.eval(b, none), some)
	return x.out
}
