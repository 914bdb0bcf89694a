package expr

import (
	"math"
	"math/bits"

	"cel.dev/cel-go/common/overloads"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

var arithmeticRules = map[string]rule{
	overloads.AddInt64:                 intRule(plan.Int, addInt),
	overloads.SubtractInt64:            intRule(plan.Int, subInt),
	overloads.MultiplyInt64:            intRule(plan.Int, mulInt),
	overloads.DivideInt64:              intRule(plan.Int, divInt),
	overloads.ModuloInt64:              intRule(plan.Int, modInt),
	overloads.AddUint64:                intRule(plan.Uint, addUint),
	overloads.SubtractUint64:           intRule(plan.Uint, subUint),
	overloads.MultiplyUint64:           intRule(plan.Uint, mulUint),
	overloads.DivideUint64:             intRule(plan.Uint, divUint),
	overloads.ModuloUint64:             intRule(plan.Uint, modUint),
	overloads.AddDurationDuration:      intRule(plan.Duration, addInt),
	overloads.SubtractDurationDuration: intRule(plan.Duration, subInt),
	overloads.AddDouble:                doubleRule(addDouble),
	overloads.SubtractDouble:           doubleRule(subDouble),
	overloads.MultiplyDouble:           doubleRule(mulDouble),
	overloads.DivideDouble:             doubleRule(divDouble),
	overloads.NegateInt64:              {[]plan.Kind{plan.Int}, negateInt},
	overloads.NegateDouble:             {[]plan.Kind{plan.Double}, negateDouble},
}

// intKernel computes up to 64 rows and returns a bitmap of those that fail. It must not
// panic on any input, because it runs for failed and unneeded rows too.
type intKernel func(dst, a, b []int64) (bad uint64)

func intRule(k plan.Kind, f intKernel) rule {
	return rule{[]plan.Kind{k, k}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &intNode{two(e.Type, args[0], args[1]), f}
		return then(x, x.out, args[0], args[1])
	}}
}

type intNode struct {
	binary
	kernel intKernel
}

func (x *intNode) eval(n int, need vector.Bitmap) {
	l, r, o := x.l, x.r, x.out
	o.reset(n)
	o.strictBoth(l, r)
	if n <= 64 {
		o.addErrWord(0, x.kernel(o.Int, l.Int, r.Int))
		return
	}
	for from := 0; from < n; from += 64 {
		to := min(from+64, n)
		o.addErrWord(from/64, x.kernel(o.Int[from:to], l.Int[from:to], r.Int[from:to]))
	}
}

func addInt(dst, a, b []int64) (bad uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		s := a[i] + b[i]
		dst[i] = s
		bad |= uint64((a[i]^s)&(b[i]^s)) >> 63 << i
	}
	return bad
}

func subInt(dst, a, b []int64) (bad uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		s := a[i] - b[i]
		dst[i] = s
		bad |= uint64((a[i]^b[i])&(a[i]^s)) >> 63 << i
	}
	return bad
}

func mulInt(dst, a, b []int64) (bad uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		x, y := a[i], b[i]
		dst[i] = x * y
		if int64(int32(x)) == x && int64(int32(y)) == y {
			continue
		}
		if mulOverflows(x, y) {
			bad |= 1 << i
		}
	}
	return bad
}

// mulOverflows reports whether x*y does not fit an int64.
func mulOverflows(x, y int64) bool {
	hi, lo := bits.Mul64(uint64(x), uint64(y))
	// The signed high word is the unsigned one minus the terms of the operands' sign bits.
	high := int64(hi) - x>>63&y - y>>63&x
	return high != int64(lo)>>63
}

func divInt(dst, a, b []int64) (bad uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		if b[i] == 0 || b[i] == -1 && a[i] == math.MinInt64 {
			bad |= 1 << i
			continue
		}
		dst[i] = a[i] / b[i]
	}
	return bad
}

func modInt(dst, a, b []int64) (bad uint64) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		if b[i] == 0 || b[i] == -1 && a[i] == math.MinInt64 {
			bad |= 1 << i
			continue
		}
		dst[i] = a[i] % b[i]
	}
	return bad
}

func addUint(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		s, carry := bits.Add64(uint64(a[i]), uint64(b[i]), 0)
		dst[i] = int64(s)
		bad |= carry << i
	}
	return bad
}

func subUint(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		s, borrow := bits.Sub64(uint64(a[i]), uint64(b[i]), 0)
		dst[i] = int64(s)
		bad |= borrow << i
	}
	return bad
}

func mulUint(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		hi, lo := bits.Mul64(uint64(a[i]), uint64(b[i]))
		dst[i] = int64(lo)
		if hi != 0 {
			bad |= 1 << i
		}
	}
	return bad
}

func divUint(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		if b[i] == 0 {
			bad |= 1 << i
			continue
		}
		dst[i] = int64(uint64(a[i]) / uint64(b[i]))
	}
	return bad
}

func modUint(dst, a, b []int64) (bad uint64) {
	for i := range dst {
		if b[i] == 0 {
			bad |= 1 << i
			continue
		}
		dst[i] = int64(uint64(a[i]) % uint64(b[i]))
	}
	return bad
}

// doubleKernel fills o; doubles never fail.
type doubleKernel func(o, l, r *col)

func doubleRule(f doubleKernel) rule {
	return rule{[]plan.Kind{plan.Double, plan.Double}, func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &doubleNode{two(e.Type, args[0], args[1]), f}
		return then(x, x.out, args[0], args[1])
	}}
}

type doubleNode struct {
	binary
	kernel doubleKernel
}

func (x *doubleNode) eval(n int, need vector.Bitmap) {
	x.out.reset(n)
	x.out.strictBoth(x.l, x.r)
	x.kernel(x.out, x.l, x.r)
}

// doubles returns the lanes of a double operator, cut to equal length.
func doubles(o, l, r *col) (dst, a, b []float64) {
	dst = o.Double
	return dst, l.Double[:len(dst)], r.Double[:len(dst)]
}

func addDouble(o, l, r *col) {
	dst, a, b := doubles(o, l, r)
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func subDouble(o, l, r *col) {
	dst, a, b := doubles(o, l, r)
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

func mulDouble(o, l, r *col) {
	dst, a, b := doubles(o, l, r)
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func divDouble(o, l, r *col) {
	dst, a, b := doubles(o, l, r)
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

// mapNode applies a function to every row of one operand.
type mapNode struct {
	unary
	apply func(o, a *col)
}

func (x *mapNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	o.strict(a)
	x.apply(o, a)
}

// mapTerm makes a term of a kernel with one operand that fails on null.
func mapTerm(t plan.Type, arg *term, apply func(o, a *col)) *term {
	x := &mapNode{one(t, arg), apply}
	return then(x, x.out, arg)
}

func negateInt(_ *compiler, e *plan.Expr, args []*term) *term {
	return mapTerm(e.Type, args[0], func(o, a *col) {
		for i := range o.Int {
			if a.Int[i] == math.MinInt64 {
				o.errs().Set(i)
			}
			o.Int[i] = -a.Int[i]
		}
	})
}

func negateDouble(_ *compiler, e *plan.Expr, args []*term) *term {
	return mapTerm(e.Type, args[0], func(o, a *col) {
		for i := range o.Double {
			o.Double[i] = -a.Double[i]
		}
	})
}
