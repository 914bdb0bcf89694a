package agg

import (
	"math"
	"math/bits"
)

// What follows does to many rows or partials what the methods of Column do to one. A
// Column that can do so in a tight loop has the method of that name.

// AddRows adds rows to partial p of c.
func AddRows(c Column, p int, in *Input, rows []int32) {
	if b, ok := c.(interface {
		addRows(p int, in *Input, rows []int32)
	}); ok {
		b.addRows(p, in, rows)
		return
	}
	for _, r := range rows {
		c.Add(p, in, int(r))
	}
}

// RemoveRows takes rows that were added out of partial p of c.
func RemoveRows(c Column, p int, in *Input, rows []int32) {
	if b, ok := c.(interface {
		removeRows(p int, in *Input, rows []int32)
	}); ok {
		b.removeRows(p, in, rows)
		return
	}
	for _, r := range rows {
		c.Remove(p, in, int(r))
	}
}

// MergeAll adds the partials qs of from, none of them p of c itself, to partial p of c.
func MergeAll(c Column, p int, from Column, qs []int32) {
	if b, ok := c.(interface {
		mergeAll(p int, from Column, qs []int32)
	}); ok {
		b.mergeAll(p, from, qs)
		return
	}
	for _, q := range qs {
		c.Merge(p, from, int(q))
	}
}

func (c *countColumn) addRows(p int, _ *Input, rows []int32)    { c.ps[p] += int64(len(rows)) }
func (c *countColumn) removeRows(p int, _ *Input, rows []int32) { c.ps[p] -= int64(len(rows)) }

func (c *countColumn) mergeAll(p int, from Column, qs []int32) {
	ps, n := sibling[*countColumn](from).ps, int64(0)
	for _, q := range qs {
		n += ps[q]
	}
	c.ps[p] += n
}

func (c *intSumColumn) addRows(p int, in *Input, rows []int32) {
	s := c.ps[p]
	for _, r := range rows {
		s.add(in.Arg.Int[r])
	}
	s.n += int64(len(rows))
	c.ps[p] = s
}

func (c *intSumColumn) removeRows(p int, in *Input, rows []int32) {
	s := c.ps[p]
	for _, r := range rows {
		s.sub(in.Arg.Int[r])
	}
	s.n -= int64(len(rows))
	c.ps[p] = s
}

func (c *doubleSumColumn) addRows(p int, in *Input, rows []int32) {
	s, xs := &c.ps[p], in.Arg.Double
	for _, r := range rows {
		s.Add(xs[r])
	}
	s.n += int64(len(rows))
}

func (c *doubleSumColumn) removeRows(p int, in *Input, rows []int32) {
	s, xs := &c.ps[p], in.Arg.Double
	for _, r := range rows {
		s.Sub(xs[r])
	}
	s.n -= int64(len(rows))
}

func (c *doubleSumColumn) mergeAll(p int, from Column, qs []int32) {
	s, ps := &c.ps[p], sibling[*doubleSumColumn](from).ps
	for len(qs) > 0 {
		n := s.mergeRun(ps, qs)
		if n == 0 {
			o := &ps[qs[0]]
			s.Merge(&o.ExactSum)
			s.n += o.n
			n = 1
		}
		qs = qs[n:]
	}
}

// mergeRun merges the first of the partials qs, as many as lie in the same window as
// s, and returns their number. It keeps the window in registers.
func (s *doubleSum) mergeRun(ps []doubleSum, qs []int32) int {
	if s.ext != nil {
		return 0
	}
	w0, w1, w2, w3, rows := s.win[0], s.win[1], s.win[2], s.win[3], s.n
	done := 0
	for _, q := range qs {
		o := &ps[q]
		if o.base != s.base || o.ext != nil || (w3+guard)>>63 != 0 {
			break
		}
		var c uint64
		w0, c = bits.Add64(w0, o.win[0], 0)
		w1, c = bits.Add64(w1, o.win[1], c)
		w2, c = bits.Add64(w2, o.win[2], c)
		w3, _ = bits.Add64(w3, o.win[3], c)
		rows += o.n
		done++
	}
	s.win, s.n = [4]uint64{w0, w1, w2, w3}, rows
	if (w3+guard)>>63 != 0 {
		s.makeRoom(math.MaxInt32, math.MinInt32)
	}
	return done
}

func (c *extremeColumn) mergeAll(p int, from Column, qs []int32) {
	// The key of an empty partial is 0, which never wins.
	best, ps := c.ps[p], sibling[*extremeColumn](from).ps
	for _, q := range qs {
		o := &ps[q]
		best.key = max(best.key, o.key)
		best.has = best.has || o.has
	}
	c.ps[p] = best
}
