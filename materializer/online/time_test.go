package online

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/ingest"
)

var alice = plan.IntValue(1)

// expect compares features of a read with the wanted "value STATUS".
func expect(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s is %s, want %s", name, got[name], w)
		}
	}
}

// Windows end at the current time, even if the stream has paused [b9].
func TestB9_WindowsShrinkWithoutEvents(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		r.push("clicks", click("a", 1, noon-30*second, 2, "US"), click("b", 1, noon-5*second, 4, "DE"))
		r.set(noon + 1)
		r.catchUp(r.applier(nil))
		for _, step := range []struct {
			at      plan.EventTime
			n, mean string
		}{
			{noon + 1, "2 PRESENT", "4.0 PRESENT"},
			{noon + 5*second, "2 PRESENT", "4.0 PRESENT"}, // [noon-5s, noon+5s) still has b
			{noon + 5*second + 1, "2 PRESENT", "null EMPTY"},
			{noon + 31*second - 1, "2 PRESENT", "null EMPTY"}, // a minute's window moves in steps of a second
			{noon + 31*second, "1 PRESENT", "null EMPTY"},
			{noon + 55*second, "1 PRESENT", "null EMPTY"},
			{noon + 56*second, "0 PRESENT", "null EMPTY"},
			{noon + 365*24*3600*second, "0 PRESENT", "null EMPTY"},
		} {
			expect(t, r.read("spend", step.at, alice), map[string]string{"n": "2 PRESENT", "n_1m": step.n, "mean_10s": step.mean})
			r.agree("spend", step.at, alice)
		}
	})
}

// An old event that arrives after newer ones does not replace them [o8].
func TestO8_OldEventAfterNewer(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		a := r.applier(nil)
		for i, c := range []row{
			click("a", 1, noon-5*second, 2, "US"), click("b", 1, noon-20*second, 4, "DE"), click("c", 1, noon-7200*second, 8, "FR"),
			click("d", 1, noon-48*3600*second, 16, "IT"), click("e", 1, noon-5*second, 32, "ES"),
		} {
			r.push("clicks", c)
			r.set(r.clock() + 1)
			r.catchUp(a)
			want := map[string]string{"last": `"US" PRESENT`}
			if i == 4 {
				want["last"] = `"ES" PRESENT` // same time as a, greater id
			}
			expect(t, r.read("spend", r.clock(), alice), want)
			r.agree("spend", r.clock(), alice)
		}
	})
}

// An event that becomes visible in the future appears one microsecond after its time, without
// any further action [b2].
func TestB2_FutureEventsAppearAtTheirTime(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		due := noon + 600*second
		r.push("clicks", click("a", 1, due, 2, "US"), click("b", 2, due, 2, "US"), click("c", 2, noon-second, 8, "DE"))
		a := r.applier(nil)
		r.set(noon + 1)
		r.catchUp(a)
		for _, at := range []plan.EventTime{noon + 1, due - 1, due} {
			expect(t, r.read("spend", at, alice), map[string]string{"n": "0 PRESENT", "last": "null UNKNOWN_ENTITY"})
			expect(t, r.read("spend", at, plan.IntValue(2)), map[string]string{"n": "1 PRESENT", "last": `"DE" PRESENT`})
		}
		for _, at := range []plan.EventTime{due + 1, due + 10*second, due + 10*second + 1} {
			expect(t, r.read("spend", at, alice), map[string]string{"n": "1 PRESENT", "last": `"US" PRESENT`})
			r.agree("spend", at, alice)
		}
		// The entity's next event merges it with the others.
		r.set(due)
		r.push("clicks", click("d", 1, noon, 16, "FR"))
		r.catchUp(a)
		expect(t, r.read("spend", due, alice), map[string]string{"n": "0 PRESENT"}) // both are visible at due, none before it
		r.set(due + 1)
		r.push("clicks", click("e", 1, noon, 32, "FR"))
		r.catchUp(a)
		r.set(due + 2)
		r.catchUp(a)
		expect(t, r.read("spend", due+2, alice), map[string]string{"n": "3 PRESENT", "last": `"US" PRESENT`})
		for _, at := range []plan.EventTime{due + 2, due + 3, due + 61*second} {
			r.agree("spend", at, alice)
		}
	})
}

// An event that may have been forgotten is rejected with the reason, alone, and an outcome too; the other
// rows of the push are taken [p15].
func TestP15_OldEventsAreRejected(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, strings.Replace(definitions, "max_ahead", "dedup_window: 1m\nmax_ahead", 1)))
		r.push("clicks", click("a", 1, noon, 1, "US"), click("ancient", 1, noon-1000*second, 1, "US"))
		r.set(noon + 60*second)
		if got := r.push("clicks", click("a", 1, noon, 1, "US"), click("b", 1, noon+60*second, 2, "US")); got[0].Outcome != ingest.Duplicate || got[1].Outcome != ingest.Appended {
			t.Errorf("within the window: %+v", got)
		}
		r.set(noon + 200*second)
		r.push("clicks", click("c", 1, noon+200*second, 4, "US"))
		outcome := click("a", 1, noon, 1, "US").with("refund", plan.DoubleValue(1)).with("refund_at", plan.TimestampValue(noon+200*second))
		got := r.push("clicks", click("a", 1, noon, 1, "US"), click("d", 1, noon+200*second, 8, "US"), outcome, click("late", 1, noon-1, 1, "US"), click("c", 1, noon+200*second, 4, "US"))
		for i, want := range []ingest.Outcome{ingest.Rejected, ingest.Appended, ingest.Rejected, ingest.Rejected, ingest.Duplicate} {
			if got[i].Outcome != want {
				t.Errorf("row %d was %v (%s), want %v", i, got[i].Outcome, got[i].Message, want)
			}
		}
		for _, part := range []string{noon.String(), "2025-01-01T12:01", "dedup_window", "clicks", "1m", "materialize"} {
			if !strings.Contains(got[0].Message, part) {
				t.Errorf("the rejection %q does not say %q", got[0].Message, part)
			}
		}
		r.catchUp(r.applier(nil))
		r.agree("spend", noon+201*second, alice)
		expect(t, r.read("spend", noon+201*second, alice), map[string]string{"n": "5 PRESENT", "refunds": "0.0 PRESENT"})
	})
}

// Only the event that is too far ahead is rejected: neither the other rows of the push nor
// later events are affected [p6].
func TestP6_FarFutureIsRejected(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		hour := plan.EventTime(plan.Hour)
		got := r.push("clicks",
			click("a", 1, noon, 1, "US"), click("b", 1, noon+hour+1, 2, "US"), click("c", 1, plan.MaxTime, 4, "US"),
			click("d", 1, noon+hour, 8, "US"), click("e", 1, plan.MinTime, 16, "US"))
		for i, want := range []ingest.Outcome{ingest.Appended, ingest.Rejected, ingest.Rejected, ingest.Appended, ingest.Appended} {
			if got[i].Outcome != want {
				t.Errorf("row %d was %v (%s), want %v", i, got[i].Outcome, got[i].Message, want)
			}
		}
		for _, part := range []string{"2025-01-01T13:00:00.000001Z", "max_ahead", "clicks", "1h"} {
			if !strings.Contains(got[1].Message, part) {
				t.Errorf("the rejection %q does not say %q", got[1].Message, part)
			}
		}
		// A rejected event can be pushed again when its time is closer.
		r.set(noon + 2)
		a := r.applier(nil)
		if again := r.push("clicks", click("b", 1, noon+hour+1, 2, "US")); again[0].Outcome != ingest.Appended {
			t.Errorf("a rejected event later: %+v", again[0])
		}
		r.catchUp(a)
		for _, at := range []plan.EventTime{noon + 2, noon + hour, noon + hour + 1, noon + hour + 2, plan.MaxTime} {
			r.agree("spend", at, alice)
		}
		expect(t, r.read("spend", noon+hour+2, alice), map[string]string{"total": "27.0 PRESENT"})
	})
}

// A column that becomes known after its row is counted only once known, by the features that
// read it; the other features count the row earlier [w3].
func TestW3_ColumnKnownLater(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		due := noon + 7*24*3600*second
		refund := func(c row, amount float64, at plan.Value) row {
			return c.with("refund", plan.DoubleValue(amount)).with("refund_at", at)
		}
		r.push("clicks",
			refund(click("a", 1, noon-second, 1, "US"), 10, plan.TimestampValue(due)),
			refund(click("b", 1, noon-second, 1, "US"), 100, plan.NullValue()), // not known yet, and never will be
			refund(click("c", 1, noon-second, 1, "US"), 1000, plan.TimestampValue(noon-2*second)))
		a := r.applier(nil)
		r.set(noon + 1)
		r.catchUp(a)
		expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "3 PRESENT", "refunds": "1000.0 PRESENT"})
		r.push("clicks", click("d", 1, noon, 1, "US"))
		r.set(noon + 2)
		r.catchUp(a)
		expect(t, r.read("spend", due, alice), map[string]string{"n": "4 PRESENT", "refunds": "1000.0 PRESENT"})
		expect(t, r.read("spend", due+1, alice), map[string]string{"n": "4 PRESENT", "refunds": "1010.0 PRESENT"})
		for _, at := range []plan.EventTime{noon + 2, due, due + 1, plan.MaxTime} {
			r.agree("spend", at, alice)
		}
	})
}

// An event with a null key has no entity. It is counted once for each view that has the key
// and does not hold up others [k3].
func TestK3_NullKeysAreCounted(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		r.push("clicks",
			click("a", 1, noon-second, 1, "US").with("user", plan.NullValue()),
			click("b", 1, noon-second, 2, "US").with("shop", plan.NullValue()),
			click("c", 1, noon-second, 4, "US").with("user", plan.NullValue()).with("country", plan.NullValue()),
			click("d", 1, noon-second, 8, "US"))
		r.set(noon + 1)
		a := r.applier(nil)
		r.catchUp(a)
		if got := a.Stats(); got.Skipped != 4 || got.Applied != 4 || got.Records != 4 {
			t.Errorf("%+v; two events have no user, two no place", got)
		}
		expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "2 PRESENT", "total": "10.0 PRESENT"})
		expect(t, r.read("spend", noon+1, plan.NullValue()), map[string]string{"n": "0 PRESENT", "last": "null UNKNOWN_ENTITY"})
		expect(t, r.read("trade", noon+1, plan.StringValue("US"), plan.StringValue("US-shop")), map[string]string{"n": "2 PRESENT"})
	})
}

// Two events with the same key and time are two events; two with the same id are one [o5].
func TestO5_SameTimeAndSameID(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		first := click("a", 1, noon-second, 1, "US")
		visit := row{"user": alice, "ts": plan.TimestampValue(noon - second)}
		r.push("visits", visit, visit)
		got := r.push("clicks", first, first, click("b", 1, noon-second, 1, "US"), first.with("amount", plan.DoubleValue(2)))
		got = append(got, r.push("clicks", first)...)
		for i, want := range []ingest.Pushed{{Outcome: ingest.Appended, Position: 1}, {Outcome: ingest.Duplicate, Position: 1}, {Outcome: ingest.Appended, Position: 2}, {Outcome: ingest.Conflict, Position: 1}, {Outcome: ingest.Duplicate, Position: 1}} {
			if got[i].Outcome != want.Outcome || got[i].Position != want.Position {
				t.Errorf("row %d was %+v, want %+v", i, got[i], want)
			}
		}
		if !strings.Contains(got[3].Message, `"a"`) {
			t.Errorf("the conflict does not name the id: %q", got[3].Message)
		}
		r.set(noon + 1)
		r.catchUp(r.applier(nil))
		expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "2 PRESENT", "total": "2.0 PRESENT"})
		expect(t, r.read("visiting", noon+1, alice), map[string]string{"n": "2 PRESENT"})
	})
}
