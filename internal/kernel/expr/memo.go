package expr

import (
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// What a memo says about an entry.
const (
	saysTrue uint8 = 1 << iota
	saysNull
	saysErr
	saysOfNull
	asked
	known
)

// memoNode evaluates its body once for every entry of a dictionary that a needed row
// has, and otherwise copies the results. While the dictionary rests it evaluates all
// needed rows. Results live as long as the entries; those that are strings lie in the
// memory of the dictionary and count for its limit.
type memoNode struct {
	dict                  *dictionary
	body                  block // reads the dictionary's column
	filled                int   // rows of the body's constants
	longest, longestOfFew int   // mean length of strings up to which it is worth it

	generation int // of the dictionary
	flags      []uint8
	ints       []int64
	doubles    []float64
	strs       []string
	unknown    int  // entries that are strings and have no result yet
	marked     bool // an entry is null, failed or an optional of null

	open     []uint16 // entries to evaluate
	question vector.Vector
	copied   *col
	out      *col // shows copied or the body's result
}

func (x *memoNode) branches() []*block { return []*block{&x.body} }
func (x *memoNode) conditionCost() int { return 0 }

func (x *memoNode) eval(n int, need vector.Bitmap) {
	if n < fewRows && x.longestOfFew < 0 || !x.know(n, need) {
		x.out.show(x.run(n, need))
		return
	}
	x.recall(n, need)
	x.out.show(x.copied)
}

// know finds the results of all entries that needed rows have. It reports false when
// the batch gets no codes, or not for this memo, or there is no room for the results.
func (x *memoNode) know(n int, need vector.Bitmap) bool {
	d := x.dict
	d.begin(n)
	if x.generation != d.generation {
		x.forget()
	}
	most := x.longest
	if n < fewRows {
		most = x.longestOfFew
	}
	if d.length > most || !d.encode(n, need) {
		return false
	}
	x.grow()
	x.findOpen(n, need)
	return len(x.open) == 0 || x.learn()
}

// run evaluates the body for n rows of the column.
func (x *memoNode) run(n int, need vector.Bitmap) *col {
	if x.filled != n {
		x.filled = n
		for _, k := range x.body.consts {
			k.resize(n)
		}
	}
	return x.body.eval(n, need)
}

// forget drops the results of entries that the dictionary has dropped.
func (x *memoNode) forget() {
	x.generation, x.marked, x.unknown = x.dict.generation, false, -firstCode
	x.flags, x.ints, x.doubles, x.strs, x.question = nil, nil, nil, nil, vector.Vector{}
}

// grow makes room for the entries of the dictionary.
func (x *memoNode) grow() {
	more := len(x.dict.entries) - len(x.flags)
	if more == 0 {
		return
	}
	x.unknown += more
	x.flags = append(x.flags, make([]uint8, more)...)
	switch vector.Lane(x.out.Type) {
	case plan.Int:
		x.ints = append(x.ints, make([]int64, more)...)
	case plan.Double:
		x.doubles = append(x.doubles, make([]float64, more)...)
	case plan.String:
		x.strs = append(x.strs, make([]string, more)...)
	}
}

// findOpen finds the entries that a needed row has and that are not known yet.
func (x *memoNode) findOpen(n int, need vector.Bitmap) {
	x.open = x.open[:0]
	if x.unknown == 0 && !x.dict.in.marked {
		return
	}
	for w := range vector.Words(n) {
		codes := x.dict.codes[w*64:]
		for rows := needWord(need, w, n); rows != 0; rows &= rows - 1 {
			if c := codes[bits.TrailingZeros64(rows)]; x.flags[c] == 0 {
				x.flags[c] = asked
				x.open = append(x.open, c)
			}
		}
	}
}

// learn evaluates the open entries as a column of their own. It reports false when
// there is no room for the results.
func (x *memoNode) learn() bool {
	q, in := &x.question, x.dict.in
	q.Type = in.Type
	q.Resize(len(x.open))
	for i, c := range x.open {
		q.Str[i] = x.dict.entries[c].str
		switch c {
		case nullCode:
			q.SetNull(i)
		case errCode:
			q.SetErr(i)
		}
	}
	column, marked := in.Vector, in.marked
	in.Vector, in.marked = q, q.Null != nil || q.Err != nil
	x.generation = 0 // of no dictionary: should the body panic, the open entries are forgotten
	a := x.run(q.N, nil)
	x.generation = x.dict.generation
	in.Vector, in.marked = column, marked
	for i, c := range x.open {
		if !x.note(c, a, i) {
			return false
		}
	}
	return true
}

// note keeps row i of a as the result of entry c, if there is room for it.
func (x *memoNode) note(c uint16, a *col, i int) bool {
	f := known
	if a.Null.Get(i) {
		f |= saysNull
	}
	if a.Err.Get(i) {
		f |= saysErr
	}
	if a.ofNull.Get(i) {
		f |= saysOfNull
	}
	x.marked = x.marked || f != known
	switch vector.Lane(x.out.Type) {
	case plan.Bool:
		if a.Bits.Get(i) {
			f |= saysTrue
		}
	case plan.Int:
		x.ints[c] = a.Int[i]
	case plan.Double:
		x.doubles[c] = a.Double[i]
	default:
		own, ok := x.dict.keep(a.Str[i])
		if !ok {
			return false
		}
		x.strs[c] = own
	}
	x.flags[c] = f
	if c >= firstCode {
		x.unknown--
	}
	return true
}

// recall copies the results of the needed rows.
func (x *memoNode) recall(n int, need vector.Bitmap) {
	o := x.copied
	o.reset(n)
	lane := vector.Lane(o.Type)
	for w := range vector.Words(n) {
		rows, codes := needWord(need, w, n), x.dict.codes[w*64:n]
		switch lane {
		case plan.Bool:
			o.Bits[w] = x.flagged(saysTrue, codes, rows)
		case plan.Int:
			recallLane(o.Int[w*64:], x.ints, codes, rows)
		case plan.Double:
			recallLane(o.Double[w*64:], x.doubles, codes, rows)
		default:
			recallLane(o.Str[w*64:], x.strs, codes, rows)
		}
		if x.marked {
			x.recallMarks(w, codes, rows)
		}
	}
}

func recallLane[T any](dst, memo []T, codes []uint16, rows uint64) {
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		dst[i] = memo[codes[i]]
	}
}

// flagged is the rows whose entry has the flag.
func (x *memoNode) flagged(flag uint8, codes []uint16, rows uint64) (hits uint64) {
	shift := bits.TrailingZeros8(flag)
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		hits |= uint64(x.flags[codes[i]]>>shift&1) << i
	}
	return hits
}

func (x *memoNode) recallMarks(w int, codes []uint16, rows uint64) {
	o := x.copied
	o.addErrWord(w, x.flagged(saysErr, codes, rows))
	if m := x.flagged(saysNull, codes, rows); m != 0 {
		o.nulls()[w] |= m
	}
	if m := x.flagged(saysOfNull, codes, rows); m != 0 {
		o.ofNulls()[w] |= m
	}
}
