package expr

import (
	"math/bits"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Flags of an entry in a memo.
const (
	memoTrue uint8 = 1 << iota
	memoNull
	memoErr
	memoOfNull
	memoPending // it is about to be evaluated
	memoKnown   // its result is stored
)

// memoNode evaluates its body once for each dictionary entry that occurs in a needed row,
// and copies the result to the rows. While the dictionary is paused, it evaluates the body
// for all needed rows. Results live as long as the entries. Strings among them are stored in
// the dictionary and count towards its limit.
type memoNode struct {
	dict                  *dictionary
	body                  block // reads the dictionary's column
	filled                int   // rows of the body's constants
	longest, longestOfFew int   // the memo is used up to this mean string length

	generation int // of the dictionary
	flags      []uint8
	ints       []int64
	doubles    []float64
	strs       []string
	unknown    int  // entries of strings without a result
	marked     bool // some result is null, an error or optional.of(null)

	open   []uint16      // codes of entries to evaluate
	column vector.Vector // their strings
	copied *col
	out    *col // view of copied or of the body's result
}

func (x *memoNode) branches() []*block { return []*block{&x.body} }
func (x *memoNode) conditionCost() int { return 0 }

func (x *memoNode) eval(n int, need vector.Bitmap) {
	if n < fewRows && x.longestOfFew < 0 || !x.evalEntries(n, need) {
		x.out.view(x.run(n, need))
		return
	}
	x.copyResults(n, need)
	x.out.view(x.copied)
}

// evalEntries makes the results of all entries in needed rows known. It reports false if the
// memo is not used for this batch, if the rows get no codes, or if there is no room for the
// results.
func (x *memoNode) evalEntries(n int, need vector.Bitmap) bool {
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
	return len(x.open) == 0 || x.evalOpen()
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
	x.flags, x.ints, x.doubles, x.strs, x.column = nil, nil, nil, nil, vector.Vector{}
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

// findOpen finds the entries in needed rows that have no result yet.
func (x *memoNode) findOpen(n int, need vector.Bitmap) {
	x.open = x.open[:0]
	if x.unknown == 0 && !x.dict.in.marked {
		return
	}
	for w := range vector.Words(n) {
		codes := x.dict.codes[w*64:]
		for rows := needWord(need, w, n); rows != 0; rows &= rows - 1 {
			if c := codes[bits.TrailingZeros64(rows)]; x.flags[c] == 0 {
				x.flags[c] = memoPending
				x.open = append(x.open, c)
			}
		}
	}
}

// evalOpen evaluates the body for the open entries, whose strings temporarily replace the
// column. It reports false if there is no room for the results.
func (x *memoNode) evalOpen() bool {
	q, in := &x.column, x.dict.in
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
	x.generation = 0 // never valid: if the body panics, the next batch forgets all results
	a := x.run(q.N, nil)
	x.generation = x.dict.generation
	in.Vector, in.marked = column, marked
	for i, c := range x.open {
		if !x.store(c, a, i) {
			return false
		}
	}
	return true
}

// store stores row i of a as the result of entry c and reports whether there was room for it.
func (x *memoNode) store(c uint16, a *col, i int) bool {
	f := memoKnown
	if a.Null.Get(i) {
		f |= memoNull
	}
	if a.Err.Get(i) {
		f |= memoErr
	}
	if a.ofNull.Get(i) {
		f |= memoOfNull
	}
	x.marked = x.marked || f != memoKnown
	switch vector.Lane(x.out.Type) {
	case plan.Bool:
		if a.Bits.Get(i) {
			f |= memoTrue
		}
	case plan.Int:
		x.ints[c] = a.Int[i]
	case plan.Double:
		x.doubles[c] = a.Double[i]
	default:
		own, ok := x.dict.store(a.Str[i])
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

// copyResults copies the results to the needed rows.
func (x *memoNode) copyResults(n int, need vector.Bitmap) {
	o := x.copied
	o.reset(n)
	lane := vector.Lane(o.Type)
	for w := range vector.Words(n) {
		rows, codes := needWord(need, w, n), x.dict.codes[w*64:n]
		switch lane {
		case plan.Bool:
			o.Bits[w] = x.flagged(memoTrue, codes, rows)
		case plan.Int:
			copyLane(o.Int[w*64:], x.ints, codes, rows)
		case plan.Double:
			copyLane(o.Double[w*64:], x.doubles, codes, rows)
		default:
			copyLane(o.Str[w*64:], x.strs, codes, rows)
		}
		if x.marked {
			x.copyMarks(w, codes, rows)
		}
	}
}

func copyLane[T any](dst, memo []T, codes []uint16, rows uint64) {
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		dst[i] = memo[codes[i]]
	}
}

// flagged is the rows whose entry has a flag.
func (x *memoNode) flagged(flag uint8, codes []uint16, rows uint64) (hits uint64) {
	shift := bits.TrailingZeros8(flag)
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		hits |= uint64(x.flags[codes[i]]>>shift&1) << i
	}
	return hits
}

func (x *memoNode) copyMarks(w int, codes []uint16, rows uint64) {
	o := x.copied
	o.addErrWord(w, x.flagged(memoErr, codes, rows))
	if m := x.flagged(memoNull, codes, rows); m != 0 {
		o.nulls()[w] |= m
	}
	if m := x.flagged(memoOfNull, codes, rows); m != 0 {
		o.ofNulls()[w] |= m
	}
}
