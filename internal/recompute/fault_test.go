package recompute_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/sdk"
)

func payment(id string, ts plan.EventTime, user int, amount float64) row {
	return row{"id": id, "ts": ts, "user_id": user, "country": countryOf(int64(user)), "shop": "shop", "amount": amount}
}

func (r row) with(column string, v any) row {
	r = maps.Clone(r)
	r[column] = v
	return r
}

// stateKey is where the state of a user is.
func (s *site) stateKey(view string, user int64) []byte {
	s.t.Helper()
	v, _ := s.plan.View(view)
	g, err := registry.Live(context.Background(), s.on.Store, v)
	if err != nil {
		s.t.Fatal(err)
	}
	return g.StateKey(entitykey.Append(nil, plan.IntValue(user)))
}

func (s *site) stored(key []byte) []byte {
	s.t.Helper()
	got, err := s.on.Store.Get(context.Background(), [][]byte{key})
	if err != nil {
		s.t.Fatal(err)
	}
	return got[0]
}

// otherPlan is the plan of changed definitions.
func (s *site) otherPlan(old, new string) *plan.Plan {
	s.t.Helper()
	dir := s.dir + "/other"
	defstest.Write(s.t, dir, strings.Replace(definitions, old, new, 1))
	return defstest.Load(s.t, dir, featuredefs.Options{}).Plan
}

// fault is something that goes wrong while a site is served, and what must be found.
type fault struct {
	name          string
	to            plan.EventTime // up to which the views are materialized
	hashed        bool
	run           func(s *site, x *serving)
	change        func(*recompute.Config)
	compute, data string // causes and numbers of values
	left          string // reasons and numbers
	events        string // of the newest example
}

var faults = []fault{
	{name: "nothing", to: plan.Never, run: func(s *site, x *serving) {
		s.push("payments", payment("p9", noon, 1, 4))
		s.advance(minute)
		s.catchUp()
		s.read(x, 1, 2, 3, 6)
	}},
	{name: "a state is another valid one", to: plan.Never, run: func(s *site, x *serving) {
		other, key := s.stored(s.stateKey("visiting", 2)), s.stateKey("visiting", 1)
		err := s.on.Store.DeletePrefix(context.Background(), key)
		if err != nil {
			s.t.Fatal(err)
		}
		done, err := s.on.Store.Swap(context.Background(), []onlinestore.Write{{Key: key, Expect: onlinestore.Absent, Value: other}})
		if err != nil || !done[0] {
			s.t.Fatal(done, err)
		}
		s.read(x, 1, 2)
	}, compute: "compute 2", data: "compute 2"},
	{name: "a state is lost", to: plan.Never, run: func(s *site, x *serving) {
		if err := s.on.Store.DeletePrefix(context.Background(), s.stateKey("visiting", 1)); err != nil {
			s.t.Fatal(err)
		}
		s.read(x, 1, 2)
	}, compute: "lost 2", data: "lost 2"},
	{name: "another default", to: plan.Never, run: func(s *site, _ *serving) {
		other := defstest.Load(s.t, s.dir, featuredefs.Options{}).Plan
		wrong := plan.DoubleValue(0.25)
		for _, f := range other.Views[0].Features {
			if f.Name == "mean" {
				f.Default = &wrong // and the fingerprint stays
			}
		}
		s.read(s.serve(other), 6)
	}, compute: "default 3", data: "default 3"}, // also of the derived feature
	{name: "another version on one of two servers", to: plan.Never, run: func(s *site, x *serving) {
		s.read(x, 1, 2)
		s.read(s.serve(s.otherPlan("(spend.mean + 1.0)", "(spend.mean + 2.0)")), 1, 2)
	}, left: "other_version 54", data: "version 2"},
	{name: "other request fields", to: plan.Never, run: func(s *site, _ *serving) {
		s.more = []sdk.Column{sdk.Doubles("more", 1)}
		s.read(s.serve(s.otherPlan("note: string", "note: string\n  more: double")), 1)
	}, left: "other_fields 27"},
	{name: "hashed keys", to: plan.Never, hashed: true, run: func(s *site, x *serving) { s.read(x, 1, 2) }, left: "keys_hashed 54"},
	{name: "applied late", to: plan.Never, run: func(s *site, x *serving) {
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "z"})
		s.advance(second)
		s.read(x, 1)
		s.catchUp()
		s.read(x, 1)
	}, data: "lag 2", events: "visiting 2025-01-01T11:59:59Z arrived 2025-01-01T12:00:00Z"},
	{name: "an event that came late", to: noon, run: func(s *site, x *serving) {
		s.advance(2 * minute)
		s.read(x, 7) // p7 is in the files, known at 12:01:10
		s.push("payments", payment("p7", noon+minute, 7, 3))
		s.catchUp()
		s.advance(second)
		s.read(x, 7)
	}, data: "late 21", events: "spend p7 2025-01-01T12:01:00Z arrived 2025-01-01T12:02:00Z"},
	{name: "an event that never came", to: noon, run: func(s *site, x *serving) {
		s.advance(2 * minute)
		s.read(x, 7)
	}, data: "late 21", events: "spend p7 2025-01-01T12:01:00Z"},
	{name: "an outcome that came late", to: noon, run: func(s *site, x *serving) {
		s.advance(2 * minute)
		s.push("payments", payment("p8", noon+minute, 8, 3)) // the files have its outcome, too
		s.catchUp()
		s.advance(second)
		s.read(x, 8)
		s.push("payments", payment("p8", noon+minute, 8, 3).with("chargeback", 2.5))
		s.catchUp()
		s.advance(second)
		s.read(x, 8)
	}, data: "outcome 4", events: "spend p8 chargeback 2025-01-01T12:01:00Z arrived 2025-01-01T12:02:01Z"},
	{name: "a table that was not materialized again", to: noon, run: func(s *site, x *serving) {
		s.advance(2 * minute)
		s.read(x, 9)
	}, data: "lag 1", events: "profile q9 2025-01-01T12:00:30Z"},
	{name: "history was written anew", to: plan.Never, run: func(s *site, x *serving) {
		s.read(x, 1)
		s.write("profiles.csv", csv(profileColumns, row{"id": "q1", "since": noon - minute, "user_id": 1, "tier": "other"}))
	}, compute: "source 1", data: "source 1"},
	{name: "files and log say different things", to: noon, run: func(s *site, x *serving) {
		s.push("payments", payment("p7", noon+minute, 7, 30))
		s.advance(2 * minute)
		s.catchUp()
		s.read(x, 7)
	}, data: "source 5", events: "spend p7 2025-01-01T12:01:00Z arrived 2025-01-01T12:00:00Z"},
	{name: "an event is in files and log, without an id", to: noon, run: func(s *site, x *serving) {
		s.push("visits", row{"ts": noon + second, "user_id": 1, "page": "z"})
		s.advance(minute)
		s.catchUp()
		s.read(x, 1)
		s.write("visits.csv", csv(visitColumns, append(visitRows, row{"ts": noon + second, "user_id": 1, "page": "z"})...))
	}, data: "duplicate 2", events: "visiting 2025-01-01T12:00:01Z"},
	{name: "another build", to: plan.Never, run: func(s *site, x *serving) {
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "z"})
		s.advance(second)
		s.read(x, 1)
		s.materialize(plan.Never)
	}, left: "other_build 26", data: "version 2"},
	{name: "a trimmed log", to: plan.Never, run: func(s *site, x *serving) {
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "z"})
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "z"})
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "z"})
		s.catchUp()
		s.advance(second)
		s.read(x, 1)
		for k := range 2 {
			shard := eventlog.Shards{Source: "visits", N: 2}.Name(k)
			if end, _ := s.on.Log.End(context.Background(), shard); end > 1 {
				if err := s.on.Log.Trim(context.Background(), shard, end-1); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}, left: "trimmed 2"},
	{name: "an entity that was set aside", to: plan.Never, run: func(s *site, x *serving) {
		s.applier = s.newApplier(60)
		s.push("visits", row{"ts": noon - second, "user_id": 1, "page": strings.Repeat("z", 100)})
		s.catchUp()
		s.advance(second)
		s.read(x, 1, 2)
	}, left: "set_aside 2"},
	{name: "values that are said to be stale", to: plan.Never, run: func(s *site, x *serving) {
		s.read(x, 1, 6)
	}, change: func(c *recompute.Config) {
		read := c.Units[0].Read
		c.Units[0].Read = func() (*servedlog.Batch, error) {
			b, err := read()
			for _, o := range b.Outputs {
				o.Reason.Null = nil
				for i := range b.N {
					o.Reason.Set(i, o.Status.Value(i))
					o.Status.Str[i] = "STALE"
				}
			}
			return b, err
		}
	}},
	{name: "a clock that jumped", to: plan.Never, run: func(s *site, x *serving) { s.read(x, 1) }, change: func(c *recompute.Config) {
		read := c.Units[0].Sources
		c.Units[0].Sources = func() (*servedlog.Batch, error) {
			b, err := read()
			b.AsOf.Int[0] -= int64(5 * minute)
			return b, err
		}
	}, compute: "clock 19", data: "clock 19"},
}

var visitRows = []row{{"ts": noon - minute, "user_id": 1, "page": "a"}, {"ts": noon - minute, "user_id": 2, "page": "b"}, {"ts": noon - minute, "user_id": 2, "page": "c"}}

// Each fault is found, with its cause and the events that made it.
func TestP21_FaultsAreFoundWithTheirCauses(t *testing.T) {
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			s := newSite(t, backend.InMemory, definitions, map[string]string{
				"payments.csv": csv(paymentColumns, payment("p1", noon-2*minute, 1, 1), payment("p2", noon-2*minute, 2, 2).with("chargeback", 0.5), payment("p3", noon-minute, 3, 4),
					payment("p7", noon+minute, 7, 3), payment("p8", noon+minute, 8, 3).with("chargeback", 2.5)),
				"profiles.csv": csv(profileColumns, row{"id": "q1", "since": noon - minute, "user_id": 1, "tier": "gold"}, row{"id": "q9", "since": noon + minute/2, "user_id": 9, "tier": "new"}),
				"visits.csv":   csv(visitColumns, visitRows...),
			})
			defer s.end()
			if f.hashed {
				s.served.Secret = []byte("a secret of the test")
			}
			s.materialize(f.to)
			f.run(s, s.serve(s.plan))
			r := s.recompute(func(c *recompute.Config) {
				if f.change != nil {
					f.change(c)
				}
			})
			if got := causes(r.Compute.Causes); got != f.compute {
				t.Errorf("compute parity: %q, want %q", got, f.compute)
			}
			if got := causes(r.Data.Causes); got != f.data {
				t.Errorf("data parity: %q, want %q", got, f.data)
			}
			if got := causes(r.NotComputed); got != f.left {
				t.Errorf("not computed: %q, want %q", got, f.left)
			}
			if f.events != "" {
				found := false
				for _, e := range r.Examples {
					found = found || len(e.Events) == 1 && eventText(e.Events[0]) == f.events
				}
				if !found {
					t.Errorf("no example has only the event %q: %+v", f.events, r.Examples)
				}
			}
			for _, e := range r.Examples {
				// Without a difference over what had been applied, that value is the served one, if it can be had.
				if whole := f.left == "" && e.Comparison == "data"; (e.Computed != nil) != whole && (whole || e.Comparison == "compute") || whole && f.compute == "" && *e.Computed != e.Served {
					t.Errorf("computed again %+v, served %+v", e.Computed, e.Served)
				}
			}
			if t.Failed() {
				t.Logf("%+v", r.Examples)
			}
		})
	}
}

// Values are also counted by those of a key or a request field.
func TestCohortsAreCounted(t *testing.T) {
	s := smallSite(t, definitions)
	s.damage("visiting")
	x := s.serve(s.plan)
	s.read(x, 1, 1, 2, 3)
	x.end()
	for by, want := range map[string]string{"user_id": "1 54 compute 4, 2 27 , 3 27 ", "note": `"note 1" 54 compute 4, "note 2" 27 , "note 3" 27 `} {
		r := s.recompute(func(c *recompute.Config) { c.By = by })
		var got []string
		for _, x := range r.Cohorts {
			got = append(got, fmt.Sprint(x.Value, " ", x.Compute.Compared, " ", causes(x.Data.Causes)))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("by %s: %q, want %q", by, strings.Join(got, ", "), want)
		}
	}
}

func eventText(e recompute.Event) string {
	parts := []string{e.View, e.ID, e.Column, e.Time}
	if e.Arrived != "" {
		parts = append(parts, "arrived", e.Arrived)
	}
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}

func causes[K ~string](of map[K]int64) string {
	var parts []string
	for _, c := range sortedKeys(of) {
		parts = append(parts, fmt.Sprintf("%s %d", c, of[c]))
	}
	return strings.Join(parts, " ")
}

func sortedKeys[K ~string](of map[K]int64) []K { return slices.Sorted(maps.Keys(of)) }
