package kernel

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// resultBatch is the number of spine rows evaluated at a time.
const resultBatch = 1024

// located is where the aggregates of a spine row are.
type located struct{ shard, row int32 }

// Results calls f with the features of successive ranges of spine rows, in order,
// beginning with row `from`. All shards must have been swept.
func (r *Replay) Results(f func(from int, features *Features) error) error {
	where := make([]located, len(r.spine.at))
	for s, shard := range r.shards {
		for i, row := range shard.rows {
			where[row] = located{int32(s), int32(i)}
		}
	}
	gathered := make([]*vector.Vector, len(r.view.aggs))
	for a := range gathered {
		gathered[a] = vector.New(r.view.aggs[a].Type, 0)
	}
	for from := 0; from < len(where); from += resultBatch {
		part := where[from:min(from+resultBatch, len(where))]
		for a := range gathered {
			r.gather(gathered[a], a, part)
		}
		at := r.spine.at[from : from+len(part)]
		features := r.view.finish(gathered, at, func(i int) bool { return r.shards[part[i].shard].known.Get(int(part[i].row)) })
		if err := f(from, features); err != nil {
			return err
		}
	}
	return nil
}

// gather collects aggregate a for the given places.
func (r *Replay) gather(dst *vector.Vector, a int, part []located) {
	dst.Resize(len(part))
	switch vector.Lane(dst.Type) {
	case plan.Int:
		gatherLane(r, dst.Int, a, part, func(v *vector.Vector) []int64 { return v.Int })
	case plan.Double:
		gatherLane(r, dst.Double, a, part, func(v *vector.Vector) []float64 { return v.Double })
	case plan.Bool:
		for i, l := range part {
			dst.Bits.Put(i, r.shards[l.shard].aggs[a].Bits.Get(int(l.row)))
		}
	case plan.String:
		gatherLane(r, dst.Str, a, part, func(v *vector.Vector) []string { return v.Str })
	default:
		gatherLane(r, dst.Any, a, part, func(v *vector.Vector) []plan.Value { return v.Any })
	}
	for i, l := range part {
		src := r.shards[l.shard].aggs[a]
		if src.IsNull(int(l.row)) {
			dst.SetNull(i)
		}
		if src.IsErr(int(l.row)) {
			dst.SetErr(i)
		}
	}
}

func gatherLane[T any](r *Replay, dst []T, a int, part []located, lane func(*vector.Vector) []T) {
	lanes := make([][]T, len(r.shards))
	for s, shard := range r.shards {
		lanes[s] = lane(shard.aggs[a])
	}
	for i, l := range part {
		dst[i] = lanes[l.shard][l.row]
	}
}
