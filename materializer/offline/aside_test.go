package offline

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/registry"
)

// An entity whose state is too large does not fail the build: it is set aside in it, and
// the others are there [p6].
func TestP6_BuildWithAnEntityThatIsTooLarge(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		l := open(t, fromFiles)
		l.writePayments("payments-0.parquet", paid(200)...)
		whole := l.run(l.backfill(plan.Never))
		largest := 0
		for _, b := range l.bytes(l.live()) {
			largest = max(largest, len(b))
		}
		b := l.backfill(plan.Never)
		b.Full, b.StateBytes = true, largest-1
		r := l.run(b)
		letters, err := registry.DeadLetters(t.Context(), b.Store, r.Generation)
		if err != nil {
			t.Fatal(err)
		}
		if r.SetAside == 0 || r.SetAside >= r.Entities || r.Entities != whole.Entities || int64(len(letters)) != r.SetAside {
			t.Errorf("%d of %d entities set aside, with %d letters; of %d before", r.SetAside, r.Entities, len(letters), whole.Entities)
		}
		for _, letter := range letters {
			if letter.Entity == nil || letter.Reason == "" {
				t.Errorf("%+v", letter)
			}
		}
		// The letters go with their generation.
		if err := registry.Drop(t.Context(), b.Store, r.Generation); err != nil {
			t.Fatal(err)
		}
		if left, err := registry.DeadLetters(t.Context(), b.Store, r.Generation); err != nil || len(left) > 0 {
			t.Errorf("letters of a generation that was dropped: %v, %v", left, err)
		}
	})
}
