package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// col is the result of a node: a vector and, for optionals, which rows contain a null.
// Inside an expression optional.of(null) and none differ. Vectors do not distinguish them,
// so ofNull exists only between nodes.
//
// A node owns its col and overwrites it at its next evaluation; only the owner modifies it.
// A view aliases the lanes of another col and is never resized. The col of an input is a view
// of the caller's vector and read-only.
type col struct {
	*vector.Vector
	marked bool // Null or Err is not nil
	// ready is the number of rows for which reset has nothing to do. It is -1 while there are
	// masks, and always for strings.
	ready  int
	ofNull vector.Bitmap // rows with optional.of(null); Null is not set for them
	Type   plan.Type     // the type of the expression; that of an input's vector may differ

	own                        vector.Vector
	errMem, nullMem, ofNullMem vector.Bitmap
}

func newCol(t plan.Type) *col {
	c := &col{Type: t, ready: -1, own: vector.Vector{Type: t}}
	c.Vector = &c.own
	return c
}

// reset makes c a col of n rows without nulls and errors. Numbers and bools are
// unspecified. Strings are empty, because those of an earlier batch may refer to memory
// that has been freed, and later nodes read unneeded rows too.
func (c *col) reset(n int) {
	if c.ready != n {
		c.resetSlow(n)
	}
}

// resetSlow is reset if there is something to do.
func (c *col) resetSlow(n int) {
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

// resetFalse is reset with every bool false, for kernels that set bits one by one.
func (c *col) resetFalse(n int) {
	c.reset(n)
	for w := range c.Bits {
		c.Bits[w] = 0
	}
}

// view makes c a view of all of src.
func (c *col) view(src *col) { c.Vector, c.ofNull, c.marked = src.Vector, src.ofNull, src.marked }

// viewLanes makes c a view of the lanes of src, without its masks.
func (c *col) viewLanes(src *col) {
	c.Vector = &c.own
	c.N = src.N
	c.Bits, c.Int, c.Double, c.Str = src.Bits, src.Int, src.Double, src.Str
	c.Null, c.Err, c.ofNull, c.marked = nil, nil, nil, false
}

// mark sets the masks of c, a view, to those of other cols.
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

// errs is c's error mask, which it creates if there is none.
func (c *col) errs() vector.Bitmap {
	if c.Err == nil {
		c.Err, c.marked, c.ready = zeroed(&c.errMem, c.N), true, -1
	}
	return c.Err
}

// nulls is c's null mask, which it creates if there is none.
func (c *col) nulls() vector.Bitmap {
	if c.Null == nil {
		c.Null, c.marked, c.ready = zeroed(&c.nullMem, c.N), true, -1
	}
	return c.Null
}

// ofNulls is c's mask of optionals of null, which it creates if there is none.
func (c *col) ofNulls() vector.Bitmap {
	if c.ofNull == nil {
		c.ofNull, c.ready = zeroed(&c.ofNullMem, c.N), -1
	}
	return c.ofNull
}

// strict marks the rows as failed in which the operand is an error or null.
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

// addFailed marks the rows as failed in which an operand is an error or null.
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

// tail is word i of a bitmap with the first n bits set.
func tail(i, n int) uint64 {
	if rest := n - i*64; rest < 64 {
		return 1<<uint(rest) - 1
	}
	return ^uint64(0)
}
