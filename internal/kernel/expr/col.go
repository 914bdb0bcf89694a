package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// col is what a node computes: a vector and, for optionals, which rows hold a
// null. Inside an expression optional.of(null) and none differ; vectors do not
// tell them apart, so ofNull exists between nodes only.
//
// A node owns its col and overwrites it at its next evaluation; nobody else
// modifies it. A view aliases the lanes of another col and is never resized. The col
// of an input shows the caller's vector and is only read.
type col struct {
	*vector.Vector
	marked bool // Null or Err is not nil
	// ready is the number of rows for which reset has nothing to do, -1 for none: while
	// there are masks, and always for strings.
	ready  int
	ofNull vector.Bitmap // optional.of(null); Null is clear there
	Type   plan.Type     // that of the expression, whatever an input's vector says

	own                        vector.Vector
	errMem, nullMem, ofNullMem vector.Bitmap
}

func newCol(t plan.Type) *col {
	c := &col{Type: t, ready: -1, own: vector.Vector{Type: t}}
	c.Vector = &c.own
	return c
}

// reset makes c a col of n rows with no null and no error. Numbers and truths are
// unspecified; strings are empty, because those of an earlier batch may lie in
// memory that is gone, and operators above read rows that nobody needs.
func (c *col) reset(n int) {
	if c.ready != n {
		c.remake(n)
	}
}

// remake is reset where there is something to do.
func (c *col) remake(n int) {
	if c.N != n {
		c.Resize(n)
	}
	c.Null, c.Err, c.ofNull, c.marked = nil, nil, nil, false
	clear(c.Str)
	clear(c.Any)
	c.ready = -1
	if len(c.Str) == 0 && len(c.Any) == 0 {
		c.ready = n
	}
}

// resetFalse is reset with every truth false, for kernels that set bits one by one.
func (c *col) resetFalse(n int) {
	c.reset(n)
	for w := range c.Bits {
		c.Bits[w] = 0
	}
}

// show makes c, a view, the same as src.
func (c *col) show(src *col) { c.Vector, c.ofNull, c.marked = src.Vector, src.ofNull, src.marked }

// alias makes c, a view, show the lanes of src and none of its masks.
func (c *col) alias(src *col) {
	c.Vector = &c.own
	c.N = src.N
	c.Bits, c.Int, c.Double, c.Str = src.Bits, src.Int, src.Double, src.Str
	c.Null, c.Err, c.ofNull, c.marked = nil, nil, nil, false
}

// mark gives c, a view, the masks of others.
func (c *col) mark(null, err vector.Bitmap) {
	c.Null, c.Err = null, err
	c.marked = null != nil || err != nil
}

// addErr marks the rows of m as failed.
func (c *col) addErr(m vector.Bitmap) {
	if m != nil {
		or(c.errs(), m)
	}
}

// addErrWord marks 64 rows at once.
func (c *col) addErrWord(w int, bad uint64) {
	if bad != 0 {
		c.errs()[w] |= bad
	}
}

// errs is c's error mask, made when it has none.
func (c *col) errs() vector.Bitmap {
	if c.Err == nil {
		c.Err, c.marked, c.ready = zeroed(&c.errMem, c.N), true, -1
	}
	return c.Err
}

// nulls is c's null mask, made when it has none.
func (c *col) nulls() vector.Bitmap {
	if c.Null == nil {
		c.Null, c.marked, c.ready = zeroed(&c.nullMem, c.N), true, -1
	}
	return c.Null
}

// ofNulls is c's mask of optionals of null, made when it has none.
func (c *col) ofNulls() vector.Bitmap {
	if c.ofNull == nil {
		c.ofNull, c.ready = zeroed(&c.ofNullMem, c.N), -1
	}
	return c.ofNull
}

// strict gives c the errors of an operator that fails on an error or null operand.
func (c *col) strict(a *col) {
	if a.marked {
		c.addFailed(a)
	}
}

// strictBoth is strict for two operands.
func (c *col) strictBoth(l, r *col) {
	if l.marked || r.marked {
		c.addFailed(l, r)
	}
}

// addFailed marks the rows as failed where an operand has no value.
func (c *col) addFailed(operands ...*col) {
	for _, a := range operands {
		c.addErr(a.Err)
		c.addErr(a.Null)
	}
}

// zeroed is a cleared bitmap of n rows in the memory of mem.
func zeroed(mem *vector.Bitmap, n int) vector.Bitmap {
	m := sized(mem, n)
	m.Zero()
	return m
}

// sized is a bitmap of n rows with unspecified bits in the memory of mem.
func sized(mem *vector.Bitmap, n int) vector.Bitmap {
	w := vector.Words(n)
	if len(*mem) == w {
		return *mem
	}
	if cap(*mem) < w {
		*mem = make(vector.Bitmap, w)
	}
	*mem = (*mem)[:w]
	return *mem
}

func or(dst, src vector.Bitmap) {
	for i := range dst {
		dst[i] |= src[i]
	}
}

// word is word i of m, 0 when m is nil.
func word(m vector.Bitmap, i int) uint64 {
	if m == nil {
		return 0
	}
	return m[i]
}

// needWord is word i of a need mask over n rows; a nil mask needs every row.
func needWord(need vector.Bitmap, i, n int) uint64 {
	if need != nil {
		return need[i]
	}
	return tail(i, n)
}

// tail has a bit for every row of word i that a vector of n rows has.
func tail(i, n int) uint64 {
	if rest := n - i*64; rest < 64 {
		return 1<<uint(rest) - 1
	}
	return ^uint64(0)
}
