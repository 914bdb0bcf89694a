package kernel

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// At says where the aggregates of a spine row are: in which results, and in which row.
type At struct{ Part, Row int32 }

// Reader computes the features of one of a replay's views from the aggregates. It is for one
// goroutine at a time.
type Reader struct {
	view     *View
	firstAgg int
	aggs     []*vector.Vector
}

// NewReader makes a reader of the view with the given number.
func (r *Replay) NewReader(view int) (*Reader, error) {
	k, err := NewView(r.views[view])
	if err != nil {
		return nil, err
	}
	out := &Reader{view: k, firstAgg: r.firstAgg[view]}
	for _, a := range k.aggs {
		out.aggs = append(out.aggs, vector.New(a.Type, 0))
	}
	return out, nil
}

// Read computes the features of len(rows) spine rows as of the times at; rows says where their
// aggregates are in parts. The result is valid until the next call.
func (r *Reader) Read(parts []*PartResults, rows []At, at []plan.EventTime) *Features {
	for a, dst := range r.aggs {
		gather(dst, parts, r.firstAgg+a, rows)
	}
	out := r.view.finish(r.aggs, at, func(i int) bool { return parts[rows[i].Part].Known.Get(int(rows[i].Row)) })
	out.Few = slices.Grow(out.Few[:0], vector.Words(len(at)))[:vector.Words(len(at))]
	out.Few.Zero()
	for i, row := range rows {
		if parts[row.Part].Few.Get(int(row.Row)) {
			out.Few.Set(i)
		}
	}
	return out
}

// gather copies an aggregate of the given rows to dst.
func gather(dst *vector.Vector, parts []*PartResults, agg int, rows []At) {
	dst.Resize(len(rows))
	switch vector.Lane(dst.Type) {
	case plan.Int:
		pick(dst.Int, parts, func(p *PartResults) []int64 { return p.Aggs[agg].Int }, rows)
	case plan.Double:
		pick(dst.Double, parts, func(p *PartResults) []float64 { return p.Aggs[agg].Double }, rows)
	case plan.Bool:
		for i, r := range rows {
			dst.Bits.Put(i, parts[r.Part].Aggs[agg].Bits.Get(int(r.Row)))
		}
	case plan.String:
		pick(dst.Str, parts, func(p *PartResults) []string { return p.Aggs[agg].Str }, rows)
	default:
		for i, r := range rows {
			dst.Any[i] = parts[r.Part].composite(agg, r.Row)
		}
	}
	mark(dst.SetNull, parts, func(p *PartResults) vector.Bitmap { return p.Aggs[agg].Null }, rows)
	mark(dst.SetErr, parts, func(p *PartResults) vector.Bitmap { return p.Aggs[agg].Err }, rows)
}

// manyParts reports whether it takes longer to look at each part once than at that of each row: with
// little memory, results come in thousands of parts.
func manyParts(parts []*PartResults, rows []At) bool { return len(parts) > len(rows)/4 }

// pick copies a lane of the given rows to dst.
func pick[T any](dst []T, parts []*PartResults, lane func(*PartResults) []T, rows []At) {
	if manyParts(parts, rows) {
		for i, r := range rows {
			dst[i] = lane(parts[r.Part])[r.Row]
		}
		return
	}
	var few [64][]T
	lanes := few[:0]
	for _, p := range parts {
		lanes = append(lanes, lane(p))
	}
	for i, r := range rows {
		dst[i] = lanes[r.Part][r.Row]
	}
}

// mark calls set(i) for each rows[i] whose bit is set.
func mark(set func(i int), parts []*PartResults, bits func(*PartResults) vector.Bitmap, rows []At) {
	if !manyParts(parts, rows) && !slices.ContainsFunc(parts, func(p *PartResults) bool { return bits(p) != nil }) {
		return
	}
	for i, r := range rows {
		if bits(parts[r.Part]).Get(int(r.Row)) {
			set(i)
		}
	}
}
