package agg

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
	for _, q := range qs {
		o := &ps[q]
		s.Merge(&o.ExactSum)
		s.n += o.n
	}
}

func (c *extremeColumn) mergeAll(p int, from Column, qs []int32) {
	best, ps := c.ps[p], sibling[*extremeColumn](from).ps
	for _, q := range qs {
		if o := ps[q]; o.has && (!best.has || o.key > best.key) {
			best = o
		}
	}
	c.ps[p] = best
}
