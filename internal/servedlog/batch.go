package servedlog

import (
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// Batch is the rows of a row group as columns.
type Batch struct {
	N                            int
	RequestID, Row, ReadAt, AsOf *vector.Vector
	Keys, Request                []*vector.Vector
	Outputs                      []OutputColumns
	Views                        []ViewColumns
}

// OutputColumns is an output in the rows of a batch, with Status and Reason by name; all three are null in rows whose request did
// not ask for it.
type OutputColumns struct{ Value, Status, Reason *vector.Vector }

// ViewColumns is what the values of a view were computed from; see View.
type ViewColumns struct{ Fingerprint, Generation, Build, Known, Newest, Positions, Staleness *vector.Vector }

// PositionsOf is View.Positions of row i.
func (c *ViewColumns) PositionsOf(i int) (v logpos.Vector) {
	for _, p := range c.Positions.Value(i).List() {
		v = append(v, p.Uint())
	}
	return v
}

// Groups is the number of rows of each row group.
func (s *Segment) Groups() []int {
	rows := make([]int, len(s.groups))
	for i := range s.groups {
		rows[i] = s.groups[i].Rows
	}
	return rows
}

// Group reads a row group.
func (s *Segment) Group(g int) (*Batch, error) {
	b, err := s.group(g)
	if err != nil {
		return nil, s.failed(err)
	}
	return s.layout.batchOf(b), nil
}

// Sources is Group without request fields and outputs, which are nil. It does not compare the rows with their checksum; Group does.
func (s *Segment) Sources(g int) (*Batch, error) {
	l := &s.layout
	keys := len(header) + len(l.keys)
	views := keys + len(l.request) + 3*len(l.outputs)
	b, err := s.in.Group(g, s.groups[g].Rows, s.groups[g].Bytes, func(c int) bool { return c < keys || c >= views })
	if err != nil {
		return nil, s.failed(err)
	}
	return l.batchOf(b), nil
}

// batchOf names the columns of a row group.
func (l *layout) batchOf(b *vector.Batch) *Batch {
	out := &Batch{N: b.N, RequestID: b.Cols[0], Row: b.Cols[1], ReadAt: b.Cols[5], AsOf: b.Cols[6]}
	rest := b.Cols[len(header):]
	take := func(n int) []*vector.Vector {
		cols := rest[:n:n]
		rest = rest[n:]
		return cols
	}
	out.Keys, out.Request = take(len(l.keys)), take(len(l.request))
	for range l.outputs {
		c := take(3)
		out.Outputs = append(out.Outputs, OutputColumns{c[0], c[1], c[2]})
	}
	for range l.views {
		c := take(len(stateColumns))
		out.Views = append(out.Views, ViewColumns{c[0], c[1], c[2], c[3], c[4], c[5], c[6]})
	}
	return out
}
