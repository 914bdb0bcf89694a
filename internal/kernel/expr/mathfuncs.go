package expr

import (
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// mathRules are the functions of CEL's math library except its bit operations and its
// functions of lists.
var mathRules = map[string]rule{
	"math_ceil_double":  {[]plan.Kind{plan.Double}, doubleFunc(math.Ceil)},
	"math_floor_double": {[]plan.Kind{plan.Double}, doubleFunc(math.Floor)},
	"math_round_double": {[]plan.Kind{plan.Double}, doubleFunc(math.Round)},
	"math_trunc_double": {[]plan.Kind{plan.Double}, doubleFunc(math.Trunc)},
	"math_abs_double":   {[]plan.Kind{plan.Double}, doubleFunc(math.Abs)},
	"math_sign_double":  {[]plan.Kind{plan.Double}, doubleFunc(signDouble)},
	"math_sqrt_double":  {[]plan.Kind{plan.Double}, doubleFunc(math.Sqrt)},

	"math_sqrt_int":  {[]plan.Kind{plan.Int}, convert(sqrtInt)},
	"math_sqrt_uint": {[]plan.Kind{plan.Uint}, convert(sqrtUint)},
	"math_abs_int":   {[]plan.Kind{plan.Int}, convert(absInt)},
	"math_abs_uint":  {[]plan.Kind{plan.Uint}, identity},
	"math_sign_int":  {[]plan.Kind{plan.Int}, convert(signInt)},
	"math_sign_uint": {[]plan.Kind{plan.Uint}, convert(signUint)},

	"math_isNaN_double":    {[]plan.Kind{plan.Double}, convert(isNaN)},
	"math_isInf_double":    {[]plan.Kind{plan.Double}, convert(isInf)},
	"math_isFinite_double": {[]plan.Kind{plan.Double}, convert(isFinite)},

	"math_@min_int":           {[]plan.Kind{plan.Int}, identity},
	"math_@min_uint":          {[]plan.Kind{plan.Uint}, identity},
	"math_@min_double":        {[]plan.Kind{plan.Double}, identity},
	"math_@max_int":           {[]plan.Kind{plan.Int}, identity},
	"math_@max_uint":          {[]plan.Kind{plan.Uint}, identity},
	"math_@max_double":        {[]plan.Kind{plan.Double}, identity},
	"math_@min_int_int":       {[]plan.Kind{plan.Int, plan.Int}, extreme(minInt)},
	"math_@min_uint_uint":     {[]plan.Kind{plan.Uint, plan.Uint}, extreme(minUint)},
	"math_@min_double_double": {[]plan.Kind{plan.Double, plan.Double}, extreme(minDouble)},
	"math_@max_int_int":       {[]plan.Kind{plan.Int, plan.Int}, extreme(maxInt)},
	"math_@max_uint_uint":     {[]plan.Kind{plan.Uint, plan.Uint}, extreme(maxUint)},
	"math_@max_double_double": {[]plan.Kind{plan.Double, plan.Double}, extreme(maxDouble)},
}

func doubleFunc(f func(float64) float64) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		return mapTerm(e.Type, args[0], func(o, a *col) {
			for i := range o.Double {
				o.Double[i] = f(a.Double[i])
			}
		})
	}
}

// signDouble is NaN for NaN and +0 for both zeros.
func signDouble(f float64) float64 {
	switch {
	case f > 0:
		return 1
	case f < 0:
		return -1
	case f == 0:
		return 0
	}
	return f
}

func sqrtInt(o, a *col, i int) bool  { o.Double[i] = math.Sqrt(float64(a.Int[i])); return true }
func sqrtUint(o, a *col, i int) bool { o.Double[i] = math.Sqrt(float64(uint64(a.Int[i]))); return true }

func absInt(o, a *col, i int) bool {
	o.Int[i] = max(a.Int[i], -a.Int[i])
	return a.Int[i] != math.MinInt64
}

func signInt(o, a *col, i int) bool {
	o.Int[i] = min(max(a.Int[i], -1), 1)
	return true
}

func signUint(o, a *col, i int) bool {
	o.Int[i] = int64(min(uint64(a.Int[i]), 1))
	return true
}

func isNaN(o, a *col, i int) bool { o.Bits.Put(i, math.IsNaN(a.Double[i])); return true }
func isInf(o, a *col, i int) bool { o.Bits.Put(i, math.IsInf(a.Double[i], 0)); return true }

func isFinite(o, a *col, i int) bool {
	o.Bits.Put(i, !math.IsInf(a.Double[i], 0) && !math.IsNaN(a.Double[i]))
	return true
}

// choice picks one of two values and reports whether they can be ordered.
type choice func(o, l, r *col, i int) bool

func extreme(f choice) builder {
	return func(_ *compiler, e *plan.Expr, args []*term) *term {
		x := &extremeNode{two(e.Type, args[0], args[1]), f}
		return then(x, x.out, args[0], args[1])
	}
}

// extremeNode is math.least or math.greatest of two numbers. Of equal numbers it takes the
// first; NaN is an error.
type extremeNode struct {
	binary
	choose choice
}

func (x *extremeNode) eval(n int, need vector.Bitmap) {
	l, r, o := x.l, x.r, x.out
	o.reset(n)
	o.strictBoth(l, r)
	for i := 0; i < n; i++ {
		if !x.choose(o, l, r, i) {
			o.errs().Set(i)
		}
	}
}

func minInt(o, l, r *col, i int) bool { o.Int[i] = min(l.Int[i], r.Int[i]); return true }
func maxInt(o, l, r *col, i int) bool { o.Int[i] = max(l.Int[i], r.Int[i]); return true }

func minUint(o, l, r *col, i int) bool {
	o.Int[i] = int64(min(uint64(l.Int[i]), uint64(r.Int[i])))
	return true
}

func maxUint(o, l, r *col, i int) bool {
	o.Int[i] = int64(max(uint64(l.Int[i]), uint64(r.Int[i])))
	return true
}

func minDouble(o, l, r *col, i int) bool {
	a, b := l.Double[i], r.Double[i]
	if o.Double[i] = a; a > b {
		o.Double[i] = b
	}
	return a == a && b == b
}

func maxDouble(o, l, r *col, i int) bool {
	a, b := l.Double[i], r.Double[i]
	if o.Double[i] = a; a < b {
		o.Double[i] = b
	}
	return a == a && b == b
}
