package recompute_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/recompute"
)

// drawPayment draws a payment: a new one, or another delivery of one before, perhaps with its outcome.
func drawPayment(t *rapid.T, now plan.EventTime, before *[]row) row {
	if len(*before) > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
		r := row{}
		for k, v := range rapid.SampledFrom(*before).Draw(t, "of") {
			r[k] = v
		}
		if rapid.Bool().Draw(t, "with its outcome") {
			r["chargeback"] = float64(rapid.IntRange(0, 3).Draw(t, "chargeback"))
		}
		if rapid.IntRange(0, 9).Draw(t, "in conflict") == 0 {
			r["amount"] = 77.0
		}
		return r
	}
	user := rapid.IntRange(0, 5).Draw(t, "user")
	r := row{
		"id": fmt.Sprint("p", len(*before)), "ts": now + plan.EventTime(rapid.IntRange(-90, 30).Draw(t, "after seconds"))*second, "user_id": user, "country": countryOf(int64(user)), "shop": "shop",
		"amount": float64(rapid.IntRange(-5, 50).Draw(t, "amount")) / 7,
	}
	if rapid.IntRange(0, 4).Draw(t, "outcome at once") == 0 {
		r["chargeback"] = 1.5
	}
	*before = append(*before, r)
	return r
}

// Whatever happened before and between reads, every answer is computed again bit for bit, and what training sees differently has a cause.
func TestP21_AnswersAreComputedAgain(t *testing.T) {
	any := backendtest.Any(t)
	rapid.Check(t, func(t *rapid.T) {
		var payments, profiles, visits, filed []row
		for range rapid.IntRange(0, 12).Draw(t, "payments in files") {
			filed = append(filed, drawPayment(t, noon-2*minute, &payments))
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "profiles") {
			profiles = append(profiles, row{"id": fmt.Sprint("q", i), "since": noon + plan.EventTime(rapid.IntRange(-60, 60).Draw(t, "since"))*second, "user_id": i, "tier": fmt.Sprint("tier ", i)})
		}
		for range rapid.IntRange(0, 3).Draw(t, "visits") {
			visits = append(visits, row{"ts": noon - minute, "user_id": rapid.IntRange(0, 5).Draw(t, "user"), "page": "a"})
		}
		s := newSite(t, any(t), definitions, map[string]string{"payments.csv": csv(paymentColumns, filed...), "profiles.csv": csv(profileColumns, profiles...), "visits.csv": csv(visitColumns, visits...)})
		defer s.end()
		to := rapid.SampledFrom([]plan.EventTime{plan.Never, noon, noon - 2*minute}).Draw(t, "to")
		s.materialize(to)
		servers := []*serving{s.serve(s.plan), s.serve(s.plan)}
		servers[1].ahead.Store(int64(rapid.IntRange(-20, 20).Draw(t, "ahead")) * int64(second))
		reads := 0
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				var rows []row
				for range rapid.IntRange(1, 5).Draw(t, "rows") {
					rows = append(rows, drawPayment(t, s.clock(), &payments))
				}
				s.push("payments", rows...)
			case 3:
				s.push("visits", row{"ts": s.clock() - plan.EventTime(rapid.IntRange(-20, 20).Draw(t, "seconds ago"))*second, "user_id": rapid.IntRange(0, 5).Draw(t, "user"), "page": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "page")})
			case 4, 5:
				s.catchUp()
			case 6:
				s.advance(plan.EventTime(rapid.IntRange(0, 40_000_000).Draw(t, "µs")))
			case 7, 8:
				users := rapid.SliceOfN(rapid.Int64Range(0, 6), 1, 5).Draw(t, "users")
				s.read(rapid.SampledFrom(servers).Draw(t, "server"), users...)
				reads += len(users)
			default:
				if rapid.IntRange(0, 2).Draw(t, "again") == 0 {
					s.materialize(to, rapid.SampledFrom(s.plan.Views).Draw(t, "view"))
				}
			}
		}
		memory := int64(0)
		if rapid.Bool().Draw(t, "in passes") {
			memory = 200 << 10
		}
		r := s.recompute(func(c *recompute.Config) { c.Memory = memory })
		if r.Rows != int64(reads) {
			t.Fatalf("%d rows of %d", r.Rows, reads)
		}
		left := int64(0)
		for why, n := range r.NotComputed {
			left += n
			if why != "other_build" {
				t.Errorf("%d values not compared: %s", n, why)
			}
		}
		if r.Compute.Different > 0 || r.Compute.Compared+left != int64(len(s.plan.Services[0].Outputs())*reads) {
			t.Errorf("%+v, %d not compared of %d rows: %+v", r.Compute, left, reads, r.Examples)
		}
		for cause, n := range r.Data.Causes {
			switch cause {
			case recompute.Lag, recompute.Late, recompute.Outcome, recompute.Version, recompute.Source:
			default:
				for _, e := range r.Examples {
					if e.Cause == cause {
						t.Errorf("%d values differ because of %s: %+v", n, cause, e)
					}
				}
			}
		}
	})
}
