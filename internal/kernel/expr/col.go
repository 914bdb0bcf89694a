package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// col is what a node computes: a vector and, for optionals, which rows hold a
// null. Inside an expression optional.of(null) and none differ; vectors do not
// tell them apart, so held exists between nodes only.
//
// A node owns its col and overwrites it at its next evaluation; nobody else
// modifies it. A view aliases the lanes of another col and is never resized.
type col struct {
	vector.Vector
	held vector.Bitmap // optional.of(null); Null is clear there
	// reset has made lanes of N rows, and they are numbers
	made, numbers bool

	errMem, nullMem, heldMem vector.Bitmap
}

func newCol(t plan.Type) *col { return &col{Vector: vector.Vector{Type: t}} }

// reset makes c a col of n rows with no null and no error. Numbers are
// unspecified; strings are empty, because those of an earlier batch may lie in
// memory that is gone, and operators above read rows that nobody needs.
func (c *col) reset(n int) {
	if c.numbers && c.N == n {
		c.Null, c.Err, c.held = nil, nil, nil
		return
	}
	c.remake(n)
}

// remake is reset where there is more to do than to forget the masks.
func (c *col) remake(n int) {
	if c.made && c.N == n {
		c.Null, c.Err = nil, nil
		clear(c.Bits)
	} else {
		c.Resize(n)
		lane := vector.Lane(c.Type)
		c.made, c.numbers = true, lane == plan.Int || lane == plan.Double
	}
	c.held = nil
	clear(c.Str)
	clear(c.Any)
}

// alias makes c, a view, show the lanes of src and none of its masks.
func (c *col) alias(src *col) {
	c.N = src.N
	c.Bits, c.Int, c.Double, c.Str = src.Bits, src.Int, src.Double, src.Str
	c.Null, c.Err, c.held = nil, nil, nil
}

// addErr marks the rows of ms as failed; nil masks have none.
func (c *col) addErr(ms ...vector.Bitmap) {
	for _, m := range ms {
		if m != nil {
			or(c.errs(), m)
		}
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
		c.Err = zeroed(&c.errMem, c.N)
	}
	return c.Err
}

// nulls is c's null mask, made when it has none.
func (c *col) nulls() vector.Bitmap {
	if c.Null == nil {
		c.Null = zeroed(&c.nullMem, c.N)
	}
	return c.Null
}

// holds is c's mask of held nulls, made when it has none.
func (c *col) holds() vector.Bitmap {
	if c.held == nil {
		c.held = zeroed(&c.heldMem, c.N)
	}
	return c.held
}

// strict gives c the errors of an operator that fails on an error or null operand.
func (c *col) strict(a *col) {
	if a.Err != nil || a.Null != nil {
		c.addErr(a.Err, a.Null)
	}
}

// strictBoth is strict for two operands.
func (c *col) strictBoth(l, r *col) {
	if l.Err != nil || l.Null != nil || r.Err != nil || r.Null != nil {
		c.addErr(l.Err, l.Null, r.Err, r.Null)
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
