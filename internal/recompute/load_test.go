package recompute_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/recompute"
)

// Events are pushed and applied while servers read, some from kept states and with clocks of their own: nothing is taken for a wrong value.
func TestP21_NoFalseAlarmsUnderLoad(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		s := newSite(t, open, definitions, map[string]string{
			"payments.csv": csv(paymentColumns, payment("p1", noon-2*minute, 1, 1)), "profiles.csv": csv(profileColumns), "visits.csv": csv(visitColumns, visitRows...),
		})
		t.Cleanup(s.end)
		s.materialize(plan.Never)
		servers := []*serving{s.serve(s.plan), s.serveKept(s.plan), s.serveKept(s.plan)}
		servers[2].ahead.Store(int64(3 * second))
		s.underLoad(t, servers)
		r := s.recompute()
		if r.Compute.Different > 0 || len(r.NotComputed) > 0 || r.Compute.Compared < 10_000 {
			t.Errorf("%+v, %v: %+v", r.Compute, r.NotComputed, r.Examples)
		}
		for cause, n := range r.Data.Causes {
			if cause != recompute.Lag {
				t.Errorf("%s: %d values", cause, n)
			}
		}
		if r.Data.Different == 0 {
			t.Error("nothing was read before it was applied")
		}
	})
}

// underLoad pushes, applies and reads at once.
func (s *site) underLoad(t *testing.T, servers []*serving) {
	var pushing, reading errgroup.Group
	for p := range 2 {
		pushing.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(p), 1))
			for i := range 150 {
				s.advance(plan.EventTime(random.IntN(400_000)))
				r := payment(fmt.Sprint("load-", p, "-", i), s.clock()-plan.EventTime(random.IntN(30))*second, random.IntN(6), float64(random.IntN(100))/3)
				s.push("payments", r, r)
				if i%5 == 0 {
					s.push("payments", r.with("chargeback", 1.5))
				}
				s.push("visits", row{"ts": s.clock(), "user_id": random.IntN(6), "page": "a"})
			}
			return nil
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var applying sync.WaitGroup
	for range 2 {
		a := s.newApplier(0)
		applying.Go(func() {
			for ctx.Err() == nil {
				if err := a.CatchUp(ctx); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	for n, x := range servers {
		reading.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(n), 2))
			for range 150 {
				s.read(x, int64(random.IntN(7)), int64(random.IntN(7)))
			}
			return nil
		})
	}
	if err := errors.Join(pushing.Wait(), reading.Wait()); err != nil {
		t.Error(err)
	}
	stop()
	applying.Wait()
}
