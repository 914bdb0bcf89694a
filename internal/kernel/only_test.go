package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// A view restricted by Only computes the same values as a whole one, from the same encoded
// states.
func TestOnlyComputesTheSame(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	whole := spendingView(t)
	for round := range 40 {
		s := whole.NewState()
		apply(whole, s, payments(whole, r.IntN(30), r.Uint64()), plan.EventTime(30*plan.Day))
		encoded := s.Append(nil)
		at := []plan.EventTime{max(s.Newest(), 0) + 1 + plan.EventTime(r.Int64N(int64(8*plan.Day)))}
		want := whole.Read([]*kernel.State{s, nil}[round%2:][:1], at)

		some := r.Perm(len(want.Cols))[:1+r.IntN(5)]
		part := spendingView(t)
		part.Only(some)
		loaded := part.NewState()
		if err := loaded.Load(encoded); err != nil {
			t.Fatal(err)
		}
		got := part.Read([]*kernel.State{loaded, nil}[round%2:][:1], at)
		for f := range want.Cols {
			if !slices.Contains(some, f) {
				continue
			}
			a, b := cellText(&want.Cols[f]), cellText(&got.Cols[f])
			if a != b {
				t.Errorf("round %d, feature %d of %v: %s, alone %s", round, f, some, a, b)
			}
		}
	}
}

func cellText(c *kernel.FeatureColumn) string {
	return fmt.Sprintf("%v %x", c.Status[0], plan.AppendCanonical(nil, c.Vec.Value(0)))
}
