package online

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/registry"
)

func letters(r *rig, view string) []registry.DeadLetter {
	r.t.Helper()
	out, err := registry.DeadLetters(r.t.(*testing.T).Context(), r.store, r.live(view))
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// largeClicks returns clicks of one user whose countries make the user's state of view spend
// large.
func largeClicks(from, n int, user int64) (rows []row) {
	for i := from; i < from+n; i++ {
		rows = append(rows, click(fmt.Sprint("l", user, "-", i), user, noon-second, 1, strings.Repeat(fmt.Sprint(i), 2000)))
	}
	return rows
}

// An entity whose state cannot be stored is set aside: reads of it fail, and it is counted
// and recorded once. The view continues with all other entities and later events, even after
// a crash at any call [p6].
func TestP6_EntityThatCannotBeStored(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for nth := 1 + rand.Int64N(stride()); ; nth += stride() {
			r := newRig(t, open, defstest.Compile(t, definitions))
			store := &faulty{Store: r.store, nth: nth, after: nth%2 == 0}
			var told []registry.DeadLetter
			bounded := func(c *Config) {
				c.StateBytes, c.Batch, c.Aside = 5000, 3, func(v *plan.View, l registry.DeadLetter) {
					if v.Name == "spend" {
						told = append(told, l)
					}
				}
			}
			r.push("clicks", click("a", 1, noon-second, 1, "US"), click("b", 2, noon-second, 2, "US"))
			r.push("clicks", largeClicks(0, 8, 1)...)
			r.push("clicks", click("c", 1, noon-second, 4, "US"), click("d", 2, noon-second, 8, "US"), click("e", 3, noon-second, 16, "US"))
			r.set(noon + 1)
			a := r.applier(func(c *Config) { bounded(c); c.Store = store })
			crashed := a.CatchUp(t.Context())
			r.catchUp(r.applier(bounded))

			expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "null ERROR", "last": "null ERROR", "n_1m": "null ERROR"})
			expect(t, r.read("spend", noon+1, plan.IntValue(2)), map[string]string{"n": "2 PRESENT", "total": "10.0 PRESENT"})
			expect(t, r.read("spend", noon+1, plan.IntValue(3)), map[string]string{"n": "1 PRESENT"})
			r.agree("spend", noon+1, plan.IntValue(2))
			r.agree("spend", noon+1, plan.IntValue(3))
			r.agree("trade", noon+1, plan.StringValue("US"), plan.StringValue("US-shop"))
			got := letters(r, "spend")
			if len(got) != 1 || string(got[0].Entity) != string(entity(r.view("spend"), []plan.Value{alice})) || !strings.Contains(got[0].Reason, "at most 5000 are allowed") ||
				got[0].Position < 3 || got[0].Position > 13 || got[0].At != noon+1 {
				t.Fatalf("crash at call %d: letters %v", nth, got)
			}
			if len(told) == 0 || told[0].Position != got[0].Position {
				t.Errorf("told %v, recorded %v", told, got)
			}
			// Later events are set aside too, without another letter.
			r.push("clicks", click("f", 1, noon, 32, "US"))
			r.set(noon + 2)
			b := r.applier(bounded)
			r.catchUp(b)
			if s := b.Stats(); s.SetAside != 1 || len(letters(r, "spend")) != 1 {
				t.Errorf("%+v, %v", s, letters(r, "spend"))
			}
			if store.calls.Load() < nth {
				if crashed != nil {
					t.Fatal(crashed)
				}
				if s := a.Stats(); s.SetAside == 0 || s.SetAside+s.Applied != 26 {
					t.Errorf("%+v; 13 events in two views", s)
				}
				return
			}
		}
	})
}

// Records that are over a limit introduced after they were logged are set aside, and training
// leaves them out as well; the view continues [p6].
func TestP6_LoggedRecordsOverALimit(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		long := strings.Repeat("k", 70_000)
		r.push("clicks", click("a", 1, noon-second, 1, "US"), click("old", 1, noon-100*24*3600*second, 2, "US"),
			click("b", 1, noon-second, 4, "US").with("refund_at", plan.NullValue()), click("c", 1, noon-second, 8, "DE"))
		if got := r.push("clicks", click("d", 1, noon, 1, long)); got[0].Outcome != ingest.Rejected || !strings.Contains(got[0].Message, "70003") && !strings.Contains(got[0].Message, "at most 65536") {
			t.Fatalf("a key that is too long: %+v", got)
		}
		text := strings.Replace(definitions, "max_ahead: 1h", "max_ahead: 1h\nmin_time: 2024-12-31T00:00:00Z", 1)
		later := r.with(defstest.Compile(t, text))
		later.set(noon + 1)
		a := later.applier(nil)
		later.catchUp(a)
		expect(t, later.read("spend", noon+1, alice), map[string]string{"n": "3 PRESENT", "total": "13.0 PRESENT"})
		for _, view := range []string{"spend", "trade"} {
			got := letters(later, view)
			if len(got) != 1 || got[0].Position != 2 || got[0].Entity != nil || !strings.Contains(got[0].Reason, "min_time") {
				t.Errorf("%s: %v", view, got)
			}
		}
		if s := a.Stats(); s.SetAside != 2 || s.Applied != 6 || s.Records != 4 {
			t.Errorf("%+v", s)
		}
	})
}

// A log whose only record has a key that is too long, because the view was added later, does
// not stop the view [p6].
func TestP6_LongKeyInAnOldLog(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		p := defstest.Compile(t, definitions)
		src, _ := p.Source("clicks")
		keys := src.Keys
		src.Keys = nil // as if the program knew no limit
		r := newRig(t, open, p)
		r.push("clicks", click("a", 1, noon-second, 1, strings.Repeat("k", 70_000)))
		r.set(noon + 1)
		r.catchUp(r.applier(nil))
		if got := letters(r, "trade"); len(got) != 1 || len(got[0].Entity) != 1<<10 || !strings.Contains(got[0].Reason, "at most 65536") {
			t.Errorf("letters %v", got)
		}
		src.Keys = keys
		r.push("clicks", click("b", 1, noon-second, 2, "US"))
		r.set(noon + 2)
		r.catchUp(r.applier(nil))
		r.loseOffsets()
		r.catchUp(r.applier(nil))
		expect(t, r.read("trade", noon+2, plan.StringValue("US"), plan.StringValue("US-shop")), map[string]string{"n": "1 PRESENT"})
	})
}
