package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// membership compiles `x in [a, b, c]`; other containers fall back to cel-go.
func (c *compiler) membership(e *plan.Expr) *term {
	if len(e.Args) != 2 {
		return nil
	}
	x, list := e.Args[0], e.Args[1]
	if list.Kind != plan.ListLit || len(list.Optional) != 0 || !x.Type.Kind.Scalar() {
		return nil
	}
	for _, m := range list.Args {
		if !isNull(m) && !m.Type.Equal(x.Type) {
			return nil
		}
	}
	arg := c.compile(x)
	if arg == nil || arg.floored {
		return nil
	}
	n := &inNode{unary: one(e.Type, arg)}
	operands := []*term{arg}
	for _, m := range list.Args {
		t := c.member(m, x.Type)
		if t == nil || t.floored {
			return nil
		}
		if !n.addConstant(t) {
			n.members = append(n.members, t.out)
			operands = append(operands, t)
		}
	}
	n.index()
	return then(n, n.out, operands...)
}

func (c *compiler) member(m *plan.Expr, t plan.Type) *term {
	if isNull(m) {
		return nullTerm(t)
	}
	return c.compile(m)
}

// inNode tests membership in a list of constants and other expressions.
type inNode struct {
	unary
	consts  []*constant
	null    bool   // null is in the list
	members []*col // elements that are not constants
	ints    map[int64]struct{}
	short   []uint64 // the constants as numbers, if all are short strings
	length  int      // of the strings in short, 0 if it differs
	strs    map[string]struct{}
	eqMem   vector.Bitmap
}

// addConstant adds t if it is a constant.
func (x *inNode) addConstant(t *term) bool {
	if t.lit == nil || t.lit.err {
		return false
	}
	if t.lit.null {
		x.null = true
	} else {
		x.consts = append(x.consts, t.lit)
	}
	return true
}

// smallSet is the largest number of constants for which comparing is faster than hashing.
const smallSet = 6

func (x *inNode) index() {
	if len(x.consts) <= smallSet {
		x.pack()
		return
	}
	switch vector.Lane(x.consts[0].mem.Type) {
	case plan.Int:
		x.ints = make(map[int64]struct{}, len(x.consts))
		for _, k := range x.consts {
			x.ints[k.val.Int()] = struct{}{}
		}
	case plan.String:
		x.strs = make(map[string]struct{}, len(x.consts))
		for _, k := range x.consts {
			x.strs[k.val.Str()] = struct{}{}
		}
	}
}

// pack converts the constants to numbers if all are short strings.
func (x *inNode) pack() {
	if len(x.consts) < 2 || vector.Lane(x.consts[0].mem.Type) != plan.String {
		return
	}
	x.length = len(x.consts[0].val.Str())
	for _, k := range x.consts {
		s := k.val.Str()
		if len(s) == 0 || len(s) > maxPacked {
			x.short = nil
			return
		}
		if len(s) != x.length {
			x.length = 0
		}
		x.short = append(x.short, packed(s))
	}
	if x.length == 0 {
		return
	}
	for i, k := range x.consts {
		x.short[i] = packBytes(k.val.Str())
	}
}

func (x *inNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.resetFalse(n)
	if x.short != nil {
		x.searchShort(o.Bits, a.Str[:n])
	} else {
		x.searchConsts(o, a)
	}
	o.addErr(a.Err)
	if a.Null != nil {
		for w := range o.Bits {
			o.Bits[w] &^= a.Null[w]
			if x.null {
				o.Bits[w] |= a.Null[w]
			}
		}
	}
	for _, v := range x.members {
		o.addErr(v.Err)
		eq := sized(&x.eqMem, n)
		equalRows(eq, a, v, n)
		or(o.Bits, eq)
	}
}

func (x *inNode) searchConsts(o, a *col) {
	switch {
	case x.ints != nil:
		for i, v := range a.Int[:a.N] {
			if _, ok := x.ints[v]; ok {
				o.Bits.Set(i)
			}
		}
	case x.strs != nil:
		for i, v := range a.Str[:a.N] {
			if _, ok := x.strs[v]; ok {
				o.Bits.Set(i)
			}
		}
	default:
		for _, k := range x.consts {
			searchConst(o.Bits, a, k.val)
		}
	}
}

func searchConst(dst vector.Bitmap, a *col, k plan.Value) {
	switch vector.Lane(a.Type) {
	case plan.Bool:
		for w := range dst {
			if k.Bool() {
				dst[w] |= a.Bits[w]
			} else {
				dst[w] |= ^a.Bits[w] & tail(w, a.N)
			}
		}
	case plan.Int:
		searchLane(dst, a.Int[:a.N], k.Int())
	case plan.Double:
		searchLane(dst, a.Double[:a.N], k.Double())
	default:
		searchLane(dst, a.Str[:a.N], k.Str())
	}
}

func searchLane[T int64 | float64 | string](dst vector.Bitmap, a []T, k T) {
	for w := range dst {
		dst[w] |= equalToWord(a[w*64:min(w*64+64, len(a))], k)
	}
}
