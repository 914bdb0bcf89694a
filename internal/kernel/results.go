package kernel

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// At is where the aggregates of a spine row are: which results, and which row of them.
type At struct{ Part, Row int32 }

// Reader makes the features of one of a replay's views of its aggregates. It serves one
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

// Read computes the features of len(rows) spine rows, as of their times: rows says where
// the aggregates of each are among the parts. What it returns is valid until the next call.
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

// gather collects an aggregate from the given places.
func gather(dst *vector.Vector, parts []*PartResults, agg int, rows []At) {
	dst.Resize(len(rows))
	switch vector.Lane(dst.Type) {
	case plan.Int:
		for i, r := range rows {
			dst.Int[i] = parts[r.Part].Aggs[agg].Int[r.Row]
		}
	case plan.Double:
		for i, r := range rows {
			dst.Double[i] = parts[r.Part].Aggs[agg].Double[r.Row]
		}
	case plan.Bool:
		for i, r := range rows {
			dst.Bits.Put(i, parts[r.Part].Aggs[agg].Bits.Get(int(r.Row)))
		}
	case plan.String:
		for i, r := range rows {
			dst.Str[i] = parts[r.Part].Aggs[agg].Str[r.Row]
		}
	default:
		for i, r := range rows {
			dst.Any[i] = parts[r.Part].Aggs[agg].Any[r.Row]
		}
	}
	for i, r := range rows {
		src := parts[r.Part].Aggs[agg]
		if src.IsNull(int(r.Row)) {
			dst.SetNull(i)
		}
		if src.IsErr(int(r.Row)) {
			dst.SetErr(i)
		}
	}
}
