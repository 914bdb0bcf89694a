package expr

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// input is a column of the batch.
type input struct {
	index int
	out   *col
}

// constant is one value, null or error for every row.
type constant struct {
	val    plan.Value // of the lane's type
	null   bool
	ofNull bool // optional.of(null)
	err    bool
	mem    *col // lanes filled up to mem.N
	out    *col // a prefix of mem
	filled int
}

// resize makes out a column of n rows.
func (x *constant) resize(n int) {
	if n > x.filled {
		x.fill(n)
	}
	x.prefix(n)
}

func (x *constant) fill(n int) {
	x.filled = n
	x.mem.reset(n)
	switch vector.Lane(x.mem.Type) {
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
func (x *constant) prefix(n int) {
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
	o.Null, o.Err, o.ofNull, o.marked = nil, nil, nil, false
	if x.null {
		o.nulls().Fill(n)
	}
	if x.ofNull {
		o.ofNulls().Fill(n)
	}
	if x.err {
		o.errs().Fill(n)
	}
}
