package agg

// partials is embedded by most Columns: one struct per partial, whose zero value is the
// empty partial.
type partials[P any] struct{ ps []P }

func (c *partials[P]) Len() int { return len(c.ps) }

// Grow need not clear memory that is reused: Truncate and cut have cleared it.
func (c *partials[P]) Grow(n int) {
	if n += len(c.ps); n <= cap(c.ps) {
		c.ps = c.ps[:n]
		return
	}
	c.ps = append(c.ps, make([]P, n-len(c.ps))...)
}

func (c *partials[P]) Truncate(n int) {
	clear(c.ps[n:])
	c.ps = c.ps[:n]
}

func (c *partials[P]) Reset(p int) {
	var zero P
	c.ps[p] = zero
}

// open inserts an empty partial p; the partials from p on move up by one.
func (c *partials[P]) open(p int) {
	c.Grow(1)
	last := c.ps[len(c.ps)-1]
	copy(c.ps[p+1:], c.ps[p:])
	c.ps[p] = last
}

// cut removes the partials [from, to), all empty.
func (c *partials[P]) cut(from, to int) {
	n := from + copy(c.ps[from:], c.ps[to:])
	clear(c.ps[n:])
	c.ps = c.ps[:n]
}

func (c *partials[P]) swap(p, q int) { c.ps[p], c.ps[q] = c.ps[q], c.ps[p] }

// irremovable is embedded by the Columns of aggregates whose Add cannot be undone.
type irremovable struct{}

func (irremovable) Remove(int, *Input, int) {
	panic("agg: Remove from an aggregate that is not Removable")
}

// sibling asserts that from is a Column of the caller's type.
func sibling[C Column](from Column) C {
	c, ok := from.(C)
	if !ok {
		panic("agg: merging partials of different slots")
	}
	return c
}
