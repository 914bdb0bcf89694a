package online

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/ingest"
)

// orders has every kind of late column; %s is the known time of the source.
const orders = `
kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: orders
stream: true
event_time: ts
event_id: id
%s
max_ahead: 365d
columns:
  id: {type: string}
  ts: {type: timestamp}
  user: {type: int}
  seen: {type: timestamp}
  amount: {type: double}
  returned: {type: bool, outcome: true, known_at: returned_at}
  returned_at: {type: timestamp, known_at: returned_at}
  fee: {type: double, known_at: {delay: 1m}}
  grade: {type: int, known_at: graded_at}
  graded_at: {type: timestamp}
---
kind: FeatureView
name: spend
entity: user
source: orders
features:
  orders: count()
  spent: sum(amount, "1h")
  seen: latest(seen)
  returns: count().where(returned)
  returned_amount: sum(amount, "1h/exact").where(returned)
  kept: count().where(!returned)
  fees: sum(fee)
  graded: 'latest_n(grade, 5)'
  good_fees: 'sum(fee, "1d").where(returned && grade > 1)'
  when: latest(returned_at)
`

func order(id string, user int64, ts plan.EventTime) row {
	return row{
		"id": plan.StringValue(id), "user": plan.IntValue(user), "ts": plan.TimestampValue(ts), "seen": plan.TimestampValue(ts),
		"amount": plan.DoubleValue(float64(user) + 0.5),
	}
}

func (r row) returned(v bool, at plan.EventTime) row {
	return r.with("returned", plan.BoolValue(v)).with("returned_at", plan.TimestampValue(at))
}

func outcomes(pushed []ingest.Pushed) string {
	var out []string
	for _, p := range pushed {
		out = append(out, strings.ToLower(p.Outcome.String()))
	}
	return strings.Join(out, " ")
}

// An outcome that is pushed after its event counts once, from its arrival, and does not
// affect features that do not read it [w7].
func TestW7_OutcomesArePushedLater(t *testing.T) {
	p := defstest.Compile(t, fmt.Sprintf(orders, ""))
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, p)
		a := r.applier(nil)
		base := order("a", 1, noon-second)
		decided := noon + 5*second
		for _, step := range []struct {
			at   plan.EventTime
			rows []row
			want string
		}{
			{noon, []row{base}, "appended"},
			{noon + 10*second, []row{base.returned(true, decided)}, "filled"},
			{noon + 11*second, []row{base, base.returned(true, decided), base.returned(false, decided), base.with("amount", plan.DoubleValue(9)).returned(true, decided)},
				"duplicate duplicate conflict conflict"},
			{noon + 20*second, []row{base.with("fee", plan.DoubleValue(2)), base.with("grade", plan.IntValue(3)).with("graded_at", plan.TimestampValue(noon))}, "filled filled"},
			{noon + 21*second, []row{base.with("seen", plan.TimestampValue(noon))}, "conflict"}, // a column like any other here
		} {
			r.set(step.at)
			if got := outcomes(r.push("orders", step.rows...)); got != step.want {
				t.Fatalf("at %v: %s, want %s", step.at, got, step.want)
			}
			r.set(step.at + second)
			r.catchUp(a)
		}
		r.agree("spend", noon+22*second, plan.IntValue(1))
		if got := r.read("spend", noon+22*second, plan.IntValue(1)); got["orders"] != "1 PRESENT" || got["returns"] != "1 PRESENT" || got["good_fees"] != "0.0 PRESENT" {
			t.Errorf("before its fee is known: %v", got)
		}
		r.agree("spend", noon+100*second, plan.IntValue(1))
		if got := r.read("spend", noon+100*second, plan.IntValue(1)); got["good_fees"] != "2.0 PRESENT" || got["orders"] != "1 PRESENT" || got["kept"] != "0 PRESENT" {
			t.Errorf("in the end: %v", got)
		}
	})
}

// If the source's known time is when a delivery was sent, it differs between deliveries
// without being a conflict; the event keeps that of the first delivery.
func TestW7_EachDeliveryHasItsKnownTime(t *testing.T) {
	p := defstest.Compile(t, fmt.Sprintf(orders, "known_at: seen"))
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, p)
		a := r.applier(nil)
		base := order("a", 1, noon-60*second)
		sent := func(c row, at plan.EventTime) row { return c.with("seen", plan.TimestampValue(at)) }
		if got := outcomes(r.push("orders", sent(base, noon+60*second), sent(base, noon-second), sent(base.returned(true, noon-second), noon+30*second))); got != "appended duplicate filled" {
			t.Fatal(got)
		}
		for _, at := range []plan.EventTime{noon + second, noon + 31*second, noon + 60*second, noon + 60*second + 1} {
			r.set(at)
			r.catchUp(a)
			r.agree("spend", at, plan.IntValue(1))
		}
		if got := r.read("spend", noon+61*second, plan.IntValue(1)); got["returns"] != "1 PRESENT" || got["seen"] != (noon+60*second).String()+" PRESENT" {
			t.Errorf("%v", got)
		}
	})
}

// drawDeliveries draws deliveries of some orders in random order, with late columns missing
// or filled; optionally with conflicts, and optionally with a known time for each delivery.
func drawDeliveries(t *rapid.T, conflicts, sent bool) []row {
	flip := func(n int, what string) bool { return rapid.IntRange(0, n-1).Draw(t, what) == 0 }
	late := func(what string) plan.EventTime {
		return noon + plan.EventTime(rapid.Int64Range(-5, 60).Draw(t, what))*second
	}
	var out []row
	for i := range rapid.IntRange(1, 4).Draw(t, "orders") {
		base := order(fmt.Sprint("o", i), rapid.Int64Range(1, 2).Draw(t, "user"), late("ts")-10*second)
		full := base.returned(rapid.Bool().Draw(t, "returned"), late("returned at")).with("fee", plan.DoubleValue(float64(i))).
			with("grade", plan.IntValue(int64(i))).with("graded_at", plan.TimestampValue(late("graded at")))
		for range rapid.IntRange(1, 5).Draw(t, "deliveries") {
			d := full
			for _, columns := range [][]string{{"returned", "returned_at"}, {"fee"}, {"grade", "graded_at"}} {
				if rapid.Bool().Draw(t, "missing "+columns[0]) {
					for _, c := range columns {
						d = d.with(c, plan.NullValue())
					}
				}
			}
			if sent {
				d = d.with("seen", plan.TimestampValue(late("seen")))
			}
			if conflicts && flip(5, "other grade") && !d["grade"].IsNull() {
				d = d.with("grade", plan.IntValue(9))
			}
			if conflicts && flip(6, "other amount") {
				d = d.with("amount", plan.DoubleValue(77))
			}
			out = append(out, d)
		}
	}
	return rapid.Permutation(out).Draw(t, "arrival")
}

// Deliveries arrive in any order from several servers and are applied in any batches, with
// crashes in between. At every read time the values are the oracle's, and the states equal
// those of applying the whole log at once [w7], [o7].
func TestW7_O7_DeliveriesInAnyOrder(t *testing.T) {
	open := backendtest.Any(t)
	for _, knownAt := range []string{"", "known_at: seen"} {
		p := defstest.Compile(t, fmt.Sprintf(orders, knownAt))
		rapid.Check(t, func(rt *rapid.T) { checkRandomDeliveries(rt, open(rt), p, knownAt != "") })
	}
}

func checkRandomDeliveries(t *rapid.T, open backend.Opener, p *plan.Plan, sent bool) {
	r, closeAll := openRig(t, open, p)
	other, closeOther := openRig(t, open, p)
	defer func() {
		if err := errors.Join(closeAll(), closeOther()); err != nil {
			t.Fatal(err)
		}
	}()
	servers := []*Applier{r.applier(func(c *Config) { c.Batch = 1 }), r.applier(func(c *Config) { c.Batch = 3 }), r.applier(nil)}
	now := noon
	for rest := drawDeliveries(t, true, sent); len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
		r.push("orders", rest[:n]...)
		rest = rest[n:]
		switch rapid.IntRange(0, 4).Draw(t, "then") {
		case 0:
			store := &faulty{Store: r.store, nth: rapid.Int64Range(1, 4).Draw(t, "call"), after: rapid.Bool().Draw(t, "after")}
			if err := r.applier(func(c *Config) { c.Store, c.Batch = store, 2 }).CatchUp(context.Background()); err != nil && !errors.Is(err, errFault) {
				t.Fatal(err)
			}
		case 1:
			r.catchUp(rapid.SampledFrom(servers).Draw(t, "server"))
		case 2:
			r.catchUp(servers[0])
			r.loseOffsets()
		}
		if rapid.Bool().Draw(t, "later") {
			now += plan.EventTime(rapid.Int64Range(1, 20).Draw(t, "seconds")) * second
			r.set(now)
		}
	}
	r.catchUp(servers[2])
	for _, at := range []plan.EventTime{now, now + 7*second, now + 100*second} {
		r.set(at)
		for user := int64(1); user <= 3; user++ {
			r.agree("spend", at, plan.IntValue(user))
		}
	}
	at := now + 100*second
	whole := other.applier(func(c *Config) { c.Log, c.Clock = r.log, r.clock })
	other.set(at)
	other.catchUp(whole)
	for _, d := range differences(r.states(false, at), other.states(false, at)) {
		t.Fatal(d)
	}
}

// The states depend only on the deliveries: two orders of arrival at the same time give the
// same bytes, except for the position [w7].
func TestW7_StatesDoNotDependOnTheOrderOfDeliveries(t *testing.T) {
	p := defstest.Compile(t, fmt.Sprintf(orders, ""))
	anyKind := backendtest.Any(t)
	rapid.Check(t, func(rt *rapid.T) {
		open := anyKind(rt)
		rows := drawDeliveries(rt, false, false)
		at := noon + plan.EventTime(rapid.Int64Range(0, 100).Draw(rt, "read at"))*second
		one := delivered(rt, open, p, rows, at, false)
		two := delivered(rt, open, p, rapid.Permutation(rows).Draw(rt, "other arrival"), at, true)
		for _, d := range differences(one, two) {
			rt.Fatal(d)
		}
	})
}

// delivered returns the states, folded up to a time, after pushing rows in steps or all at
// once.
func delivered(t *rapid.T, open backend.Opener, p *plan.Plan, rows []row, at plan.EventTime, steps bool) map[string]string {
	r, closeAll := openRig(t, open, p)
	defer func() {
		if err := closeAll(); err != nil {
			t.Fatal(err)
		}
	}()
	horizon := noon
	a := r.applier(func(c *Config) { c.Clock = func() plan.EventTime { return horizon } })
	for rest := slices.Clone(rows); len(rest) > 0; {
		n := len(rest)
		if steps {
			n = rapid.IntRange(1, n).Draw(t, "batch")
			if rapid.Bool().Draw(t, "later") {
				horizon = at
			}
		}
		if got := outcomes(r.push("orders", rest[:n]...)); strings.Contains(got, "conflict") {
			t.Fatalf("pushing %v: %s", rest[:n], got)
		}
		rest = rest[n:]
		r.catchUp(a)
	}
	return r.states(false, at)
}

// Several servers fill the same events concurrently with different outcomes; each takes
// effect once [w7], [o7].
func TestW7_O7_ConcurrentFills(t *testing.T) {
	p := defstest.Compile(t, fmt.Sprintf(orders, ""))
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, p)
		const events = 20
		fills := make(chan row, 3*events)
		for i := range events {
			base := order(fmt.Sprint("o", i), 1, noon-plan.EventTime(i)*second)
			fills <- base
			fills <- base.returned(true, noon-second)
			fills <- base.with("fee", plan.DoubleValue(1)).with("grade", plan.IntValue(2)).with("graded_at", plan.TimestampValue(noon-second))
		}
		close(fills)
		src, _ := p.Source("orders")
		done := make(chan error)
		for _, size := range []int{1, 2, 4096} {
			a := r.applier(func(c *Config) { c.Batch, c.Clock = size, func() plan.EventTime { return noon + 100*second } })
			go func() {
				var errs []error
				for fill := range fills {
					_, err := r.in.Push(context.Background(), "orders", batch(src, []row{fill}))
					errs = append(errs, err, a.CatchUp(context.Background()))
				}
				done <- errors.Join(errs...)
			}()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		r.catchUp(r.applier(func(c *Config) { c.Clock = func() plan.EventTime { return noon + 100*second } }))
		got := r.read("spend", noon+101*second, plan.IntValue(1))
		for feature, want := range map[string]string{"orders": "20", "returns": "20", "fees": "20.0", "good_fees": "20.0", "kept": "0"} {
			if got[feature] != want+" PRESENT" {
				t.Errorf("%s is %s, want %s", feature, got[feature], want)
			}
		}
	})
}
