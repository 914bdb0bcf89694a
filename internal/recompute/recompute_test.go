package recompute_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
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

// course is a random course of things that happen to a site.
type course struct {
	*rapid.T
	site     *site
	servers  []*serving
	to       plan.EventTime
	payments []row
	reads    int           // rows
	trimmed  bool          // part of the log, so that nothing can be built from it
	visible  time.Duration // after which rows are in a segment; 0: as usual
	rate     float64       // of the served log; 0: all
	text     string        // of the definitions; "": as usual
}

// begin makes a site with random history.
func (c *course) begin(open backend.Opener) {
	var profiles, visits, filed []row
	for range rapid.IntRange(0, 12).Draw(c.T, "payments in files") {
		filed = append(filed, drawPayment(c.T, noon-2*minute, &c.payments))
	}
	for i := range rapid.IntRange(0, 4).Draw(c.T, "profiles") {
		since := noon + plan.EventTime(rapid.IntRange(-60, 60).Draw(c.T, "since"))*second
		profiles = append(profiles, row{"id": fmt.Sprint("q", i), "since": since, "user_id": i, "tier": fmt.Sprint("tier ", i)})
	}
	for range rapid.IntRange(0, 3).Draw(c.T, "visits") {
		visits = append(visits, row{"ts": noon - minute, "user_id": rapid.IntRange(0, 5).Draw(c.T, "user"), "page": "a"})
	}
	c.site = newSite(c.T, open, cmp.Or(c.text, definitions), map[string]string{
		"payments.csv": csv(paymentColumns, filed...), "profiles.csv": csv(profileColumns, profiles...), "visits.csv": csv(visitColumns, visits...),
	})
	c.site.served.Visible, c.site.served.Rate = c.visible, cmp.Or(c.rate, 1)
	c.to = rapid.SampledFrom([]plan.EventTime{plan.Never, noon, noon - 2*minute}).Draw(c.T, "to")
	c.site.materialize(c.to)
	c.servers = []*serving{c.site.serve(c.site.plan), c.site.serveKept(c.site.plan)}
	c.servers[1].ahead.Store(int64(rapid.IntRange(-20, 20).Draw(c.T, "ahead")) * int64(second))
}

// step lets something happen.
func (c *course) step() {
	s := c.site
	switch rapid.IntRange(0, 9).Draw(c.T, "step") {
	case 0, 1, 2:
		var rows []row
		for range rapid.IntRange(1, 5).Draw(c.T, "rows") {
			rows = append(rows, drawPayment(c.T, s.clock(), &c.payments))
		}
		s.push("payments", rows...)
	case 3:
		ts := s.clock() - plan.EventTime(rapid.IntRange(-20, 20).Draw(c.T, "seconds ago"))*second
		s.push("visits", row{"ts": ts, "user_id": rapid.IntRange(0, 5).Draw(c.T, "user"), "page": rapid.SampledFrom([]string{"a", "b"}).Draw(c.T, "page")})
	case 4, 5:
		if !c.trimmed { // a state may be behind what was trimmed
			s.catchUp()
		}
	case 6:
		s.advance(plan.EventTime(rapid.IntRange(0, 40_000_000).Draw(c.T, "µs")))
	case 7, 8:
		users := rapid.SliceOfN(rapid.Int64Range(0, 6), 1, 5).Draw(c.T, "users")
		s.read(rapid.SampledFrom(c.servers).Draw(c.T, "server"), users...)
		for _, u := range users {
			if c.rate == 0 || servedlog.SampleOf(c.rate).Has(servedlog.Hash([]*vector.Vector{vector.Of(plan.T(plan.Int), plan.IntValue(u))}, 0)) {
				c.reads++
			}
		}
	default:
		if rapid.IntRange(0, 2).Draw(c.T, "again") == 0 && !c.trimmed {
			s.materialize(c.to, rapid.SampledFrom(s.plan.Views).Draw(c.T, "view"))
		}
	}
}

// check checks what was found.
func (c *course) check(r *recompute.Report) {
	if r.Rows != int64(c.reads) {
		c.Fatalf("%d rows of %d", r.Rows, c.reads)
	}
	left := int64(0)
	for why, n := range r.NotComputed {
		left += n
		if why != "other_build" {
			c.Errorf("%d values not compared: %s", n, why)
		}
	}
	if r.Compute.Different > 0 || r.Compute.Compared+left != int64(len(c.site.plan.Services[0].Outputs())*c.reads) {
		c.Errorf("%+v, %d not compared of %d rows: %+v", r.Compute, left, c.reads, r.Examples)
	}
	for _, e := range r.Examples {
		switch e.Cause {
		case recompute.Lag, recompute.Late, recompute.Outcome, recompute.Version, recompute.Source: // deliveries contradict one another
		default:
			c.Errorf("%+v", e)
		}
	}
}

// Whatever happened before and between reads, every answer is computed again bit for bit, and what training sees differently has a cause.
func TestP21_AnswersAreComputedAgain(t *testing.T) {
	any := backendtest.Any(t)
	rapid.Check(t, func(t *rapid.T) {
		c := &course{T: t}
		c.begin(any(t))
		defer c.site.end()
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			c.step()
		}
		memory := int64(0)
		if rapid.Bool().Draw(t, "in passes") {
			memory = 200 << 10
		}
		c.check(c.site.recompute(func(c *recompute.Config) { c.Memory = memory }))
	})
}
