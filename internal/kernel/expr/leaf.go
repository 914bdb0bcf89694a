package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// inputNode is a column of the batch.
type inputNode struct {
	index int
	lane  plan.Kind
	out   *col
}

func (x *inputNode) children() []node { return nil }

// eval is view for the one lane that there is.
func (x *inputNode) eval(b *batch, _ vector.Bitmap) *col {
	v, o := b.cols[x.index], x.out
	o.N = b.n
	switch x.lane {
	case plan.Bool:
		o.Bits = v.Bits
	case plan.Int:
		o.Int = v.Int
	case plan.Double:
		o.Double = v.Double
	case plan.String:
		o.Str = v.Str
	default:
		o.Any = v.Any
	}
	o.Null, o.Err = v.Null, v.Err
	if v.N != b.n {
		o.Null, o.Err = prefix(v.Null, b.n), prefix(v.Err, b.n)
	}
	return o
}

// prefix is the mask of the first n rows.
func prefix(m vector.Bitmap, n int) vector.Bitmap {
	if m == nil {
		return nil
	}
	return m[:vector.Words(n)]
}

// view makes c show the first n rows of v.
func (c *col) view(v *vector.Vector, n int) {
	t := c.Type
	c.Vector = *v
	c.Type, c.N, c.held = t, n, nil
	c.Null, c.Err = prefix(c.Null, n), prefix(c.Err, n)
}

// constNode is one value, null or error for every row.
type constNode struct {
	val    plan.Value // of the lane's type
	null   bool
	held   bool
	err    bool
	mem    *col // lanes filled up to mem.N
	out    *col // what eval returns, a prefix of mem
	filled int
}

func (x *constNode) children() []node { return nil }

func (x *constNode) eval(b *batch, _ vector.Bitmap) *col {
	if x.out.N == b.n && x.filled > 0 {
		return x.out
	}
	if b.n > x.filled {
		x.fill(b.n)
	}
	x.prefix(b.n)
	return x.out
}

func (x *constNode) fill(n int) {
	x.filled = n
	x.mem.reset(n)
	switch vector.Lane(x.mem.Type) {
	case plan.Bool:
		if x.val.Bool() {
			x.mem.Bits.Fill(n)
		}
	case plan.Int:
		fill(x.mem.Int, x.val.Int())
	case plan.Double:
		fill(x.mem.Double, x.val.Double())
	case plan.String:
		fill(x.mem.Str, x.val.Str())
	}
}

func fill[T any](lane []T, v T) {
	for i := range lane {
		lane[i] = v
	}
}

// prefix makes out the first n rows of mem.
func (x *constNode) prefix(n int) {
	o, m := x.out, x.mem
	o.N = n
	switch vector.Lane(m.Type) {
	case plan.Bool:
		o.Bits = zeroed(&o.Bits, n)
		if x.val.Bool() {
			o.Bits.Fill(n)
		}
	case plan.Int:
		o.Int = m.Int[:n]
	case plan.Double:
		o.Double = m.Double[:n]
	case plan.String:
		o.Str = m.Str[:n]
	}
	o.Null, o.Err, o.held = nil, nil, nil
	if x.null {
		o.nulls().Fill(n)
	}
	if x.held {
		o.holds().Fill(n)
	}
	if x.err {
		o.errs().Fill(n)
	}
}

// slot is where the value of a variable bound by cel.bind or optMap stands while
// the expression below is evaluated.
type slot struct{ cur *col }

// localNode reads a bound variable.
type localNode struct{ slot *slot }

func (x *localNode) children() []node { return nil }

func (x *localNode) eval(*batch, vector.Bitmap) *col { return x.slot.cur }

// letNode binds a variable. An error of the variable is an error only where the
// variable is used.
type letNode struct {
	slot       *slot
	init, body node
}

func (x *letNode) children() []node { return []node{x.init, x.body} }

func (x *letNode) eval(b *batch, need vector.Bitmap) *col {
	x.slot.cur = x.init.eval(b, need)
	return x.body.eval(b, need)
}
