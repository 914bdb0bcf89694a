package agg

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/vector"
)

// TestFamiliesShareTheirPartials: the aggregates of a family encode the same rows to
// the same bytes, and each has the same value for another's partial as for its own.
func TestFamiliesShareTheirPartials(t *testing.T) {
	pairs := 0
	for _, slot := range everySlot() {
		for _, other := range everySlot() {
			if slot.Func == other.Func || slot.Func.Keeps() != other.Func.Keeps() || slot.Group != nil || other.Group != nil ||
				!slot.Arg.Type.Equal(other.Arg.Type) {
				continue
			}
			pairs++
			t.Run(name(slot)+" of "+name(other), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					rows := rowsOf(slot, 12).Draw(t, "rows")
					in := input(slot, rows)
					a, b := column(testingOf(t), slot), column(testingOf(t), other)
					p, q := addAll(a, in, upTo(len(rows))), addAll(b, in, upTo(len(rows)))
					if !bytes.Equal(a.Append(nil, p), b.Append(nil, q)) {
						t.Fatal("the partials differ")
					}
					own, shared := vector.New(slot.Type, 1), vector.New(slot.Type, 1)
					a.Value(p, own, 0)
					ValueAs(slot.Func, b, q, shared, 0)
					if !shared.Value(0).Equal(own.Value(0)) || shared.IsErr(0) != own.IsErr(0) {
						t.Fatalf("%v for its own partial, %v for the other's", own.Value(0), shared.Value(0))
					}
				})
			})
		}
	}
	if pairs < 10 {
		t.Fatalf("only %d pairs of one family", pairs)
	}
}
