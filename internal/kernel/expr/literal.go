package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// literalNode compares a column with a literal.
type literalNode struct {
	unary
	test   test
	lane   plan.Kind
	int    int64
	double float64
	str    string
}

func (x *literalNode) eval(n int, need vector.Bitmap) {
	a, o := x.arg, x.out
	o.reset(n)
	switch x.lane {
	case plan.Int:
		testLane(o.Bits, a.Int[:n], x.int, x.test)
	case plan.Double:
		testLane(o.Bits, a.Double[:n], x.double, x.test)
	default:
		x.strings(o.Bits, a.Str[:n])
	}
	if a.marked {
		x.absent(o, a)
	}
}

func (x *literalNode) strings(dst vector.Bitmap, a []string) {
	if x.test < equalTo || len(x.str) == 0 || len(x.str) > maxShort {
		testLane(dst, a, x.str, x.test)
		return
	}
	for w := range dst {
		dst[w] = equalToShort(a[w*64:min(w*64+64, len(a))], x.str)
		if x.test == unequalTo {
			dst[w] = ^dst[w] & tail(w, len(a))
		}
	}
}

// absent sets the results of rows without a value: null is unequal to the literal, and
// ordering it is an error.
func (x *literalNode) absent(o, a *col) {
	o.addErr(a.Err)
	switch {
	case a.Null == nil:
	case x.test == unequalTo:
		or(o.Bits, a.Null)
	case x.test == equalTo:
		for w := range o.Bits {
			o.Bits[w] &^= a.Null[w]
		}
	default:
		o.addErr(a.Null)
	}
}

// testLane compares a with k, 64 rows at a time.
func testLane[T int64 | float64 | string](dst vector.Bitmap, a []T, k T, t test) {
	for w := range dst {
		part := a
		if len(a) > 64 {
			part, a = a[:64], a[64:]
		}
		switch t {
		case below:
			dst[w] = belowWord(part, k)
		case atMost:
			dst[w] = atMostWord(part, k)
		case above:
			dst[w] = aboveWord(part, k)
		case atLeast:
			dst[w] = atLeastWord(part, k)
		case equalTo:
			dst[w] = equalToWord(part, k)
		default:
			dst[w] = ^equalToWord(part, k) & tail(0, len(part))
		}
	}
}

// The loops below are written out, because a branch or a call per row costs more than the
// comparison itself.

func belowWord[T int64 | float64 | string](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x < k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func atMostWord[T int64 | float64 | string](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x <= k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func aboveWord[T int64 | float64 | string](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x > k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func atLeastWord[T int64 | float64 | string](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x >= k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

func equalToWord[T int64 | float64 | string](a []T, k T) (bits uint64) {
	for i, x := range a {
		var bit uint64
		if x == k {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

// literal finds an operand that is a literal value and returns the other one, nil if there is
// no literal.
func literal(args []*term) (val plan.Value, left bool, other *term) {
	for i, t := range args {
		if t.lit != nil && !t.lit.null && !t.lit.err && t.typ.Kind.Scalar() {
			return t.lit.val, i == 0, args[1-i]
		}
	}
	return plan.Value{}, false, nil
}

// withLiteral compiles a comparison with a literal; nil if no operand is one.
func withLiteral(e *plan.Expr, t test, args []*term) *term {
	val, left, other := literal(args)
	if other == nil {
		return nil
	}
	if left {
		t = t.mirrored()
	}
	x := &literalNode{unary: one(e.Type, other), test: t, lane: vector.Lane(other.typ)}
	switch x.lane {
	case plan.Int:
		x.int = val.Int()
	case plan.Double:
		x.double = val.Double()
	case plan.String:
		x.str = val.Str()
	default:
		return nil
	}
	return then(x, x.out, other)
}

// orderWithLiteral is withLiteral for orderings.
func orderWithLiteral(e *plan.Expr, t test, args []*term) *term {
	val, _, other := literal(args)
	if other == nil || other.typ.Kind == plan.Uint {
		return nil
	}
	if k := val.Kind(); k == plan.Double && val.Double() != val.Double() {
		return nil // see forgiveNaN
	}
	return withLiteral(e, t, args)
}
