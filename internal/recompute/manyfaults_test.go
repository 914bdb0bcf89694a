package recompute_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/servedlog"
)

var (
	faultyUsers = flag.Int("faults", 3000, "how many users TestP21_ThousandsOfFaults has for each kind of store; each has a fault, or none")
	faultsTo    = flag.String("faults-to", "", "file to which TestP21_ThousandsOfFaults writes its counts")
)

// What can happen to an entity.
const (
	well         = iota // nothing
	reordered           // its events arrive in another order than they happened, and twice: no fault
	flipped             // a bit of its state
	replaced            // its state is another valid one
	deleted             // the key of its state
	restored            // its state is as it was earlier
	unapplied           // an event is in the log only
	dropped             // an event never reaches the log
	delayed             // an event reaches the log later than the files say
	filledLate          // an outcome does
	contradicted        // an event is another one in the log than in the files
	rewritten           // its history is, after the table was built
	duplicated          // an event without an id is in the log, and later in the files
	otherVersion        // it is read from a server with other definitions
	otherDefault        // it is read from a server with another default under the same fingerprint
	otherClock          // it is read as of a time before the read
	faultKinds
)

// faultDefinitions have a source whose files can change without that others do.
var faultDefinitions = strings.Replace(definitions, "  - profile\n", "  - profile\n  - clicking\n", 1) + `---
kind: Source
name: clicks
from: clicks.csv
stream: true
event_time: ts
max_ahead: 1h
columns:
  ts: {type: timestamp}
  user_id: {type: int}
---
kind: FeatureView
name: clicking
entity: user
source: clicks
features:
  n: count("1h")
`

const clickColumns = "ts,user_id"

// faultySite is a site whose users each have one fault, or none.
type faultySite struct {
	*site
	kind  []int
	count [faultKinds]int64
	files map[string][]row
}

// newFaultySite draws the faults and makes what must be there before anything is served.
func newFaultySite(t *testing.T, open backend.Opener, users int) *faultySite {
	random := rand.New(rand.NewPCG(7, 7))
	f := &faultySite{kind: make([]int, users), files: map[string][]row{}}
	add := func(file string, r row) { f.files[file] = append(f.files[file], r) }
	for u := range f.kind {
		if u > 0 { // whose ratio is 0 with any definition
			f.kind[u] = random.IntN(int(faultKinds))
		}
		f.count[f.kind[u]]++
		add("payments", payment(fmt.Sprint("p", u), noon-20*minute, u, 1))
		add("visits", row{"ts": noon - 7*minute, "user_id": u, "page": "a"})
		add("profiles", row{"id": fmt.Sprint("q", u), "since": noon - 20*minute, "user_id": u, "tier": "gold"})
		switch later := payment(fmt.Sprint("l", u), noon+minute, u, 3); f.kind[u] { // not materialized
		case dropped, delayed, contradicted:
			add("payments", later)
		case filledLate:
			add("payments", later.with("chargeback", 2.5))
		}
	}
	for range 5 {
		add("visits", row{"ts": noon - 7*minute, "user_id": users, "page": "a"}) // whose state takes the place of others
	}
	add("clicks", row{"ts": noon - 20*minute, "user_id": users})
	f.site = newSite(t, open, faultDefinitions, map[string]string{
		"payments.csv": csv(paymentColumns, f.files["payments"]...), "profiles.csv": csv(profileColumns, f.files["profiles"]...),
		"visits.csv": csv(visitColumns, f.files["visits"]...), "clicks.csv": csv(clickColumns, f.files["clicks"]...),
	})
	t.Cleanup(f.end)
	f.materialize(noon)
	return f
}

// users are those with a kind for which wanted is true.
func (f *faultySite) users(wanted func(kind int) bool) (out []int64) {
	for u, kind := range f.kind {
		if wanted(kind) {
			out = append(out, int64(u))
		}
	}
	return out
}

func of(kinds ...int) func(int) bool {
	return func(kind int) bool {
		for _, k := range kinds {
			if k == kind {
				return true
			}
		}
		return false
	}
}

// happen lets the faults happen, reads, and lets happen what is late.
func (f *faultySite) happen() {
	var before, after, earlier, visits, clicks []row
	for u, kind := range f.kind {
		later := payment(fmt.Sprint("l", u), noon+minute, u, 3)
		switch kind {
		case delayed:
			after = append(after, later)
		case filledLate:
			before, after = append(before, later), append(after, later.with("chargeback", 2.5))
		case contradicted:
			before = append(before, later.with("amount", 30.0))
		case reordered:
			first := payment(fmt.Sprint("r", u), noon-2*minute, u, 5)
			before, earlier = append(before, later, later), append(earlier, first, first)
		case duplicated:
			clicks = append(clicks, row{"ts": noon + minute, "user_id": u})
		case unapplied, restored, otherClock:
			visits = append(visits, row{"ts": noon + minute, "user_id": u, "page": "z"})
		}
	}
	f.advance(80 * second)
	f.push("payments", before...)
	f.push("payments", earlier...)
	f.push("clicks", clicks...)
	kept := f.restore(visits)
	f.catchUp()
	f.rewind(kept)
	f.spoil()
	f.push("visits", visitsOf(visits, f.kind, unapplied)...)
	f.advance(30 * second)
	f.serveAll()
	f.push("payments", after...)
	f.catchUp()
	f.advance(second)
	f.rewrite()
}

func visitsOf(visits []row, kinds []int, kind int) (out []row) {
	for _, v := range visits {
		if kinds[v["user_id"].(int)] == kind {
			out = append(out, v)
		}
	}
	return out
}

// restore keeps the states that are restored later, before it pushes what they then lack.
func (f *faultySite) restore(visits []row) map[int64][]byte {
	kept := map[int64][]byte{}
	for _, u := range f.users(of(restored)) {
		kept[u] = f.stored(f.stateKey("visiting", u))
	}
	f.push("visits", visitsOf(visits, f.kind, restored)...)
	f.push("visits", visitsOf(visits, f.kind, otherClock)...)
	return kept
}

// rewind puts states back.
func (f *faultySite) rewind(kept map[int64][]byte) {
	for u, state := range kept {
		f.put(u, state)
	}
}

// put replaces the state of a user.
func (f *faultySite) put(u int64, state []byte) {
	ctx, key := context.Background(), f.stateKey("visiting", u)
	err := f.on.Store.DeletePrefix(ctx, key)
	if err == nil && state != nil {
		_, err = f.on.Store.Swap(ctx, []onlinestore.Write{{Key: key, Expect: onlinestore.Absent, Value: state}})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// spoil damages and deletes states.
func (f *faultySite) spoil() {
	random, other := rand.New(rand.NewPCG(8, 8)), f.stored(f.stateKey("visiting", int64(len(f.kind))))
	for u, kind := range f.kind {
		switch kind {
		case replaced:
			f.put(int64(u), other)
		case deleted:
			f.put(int64(u), nil)
		case flipped:
			state := append([]byte{}, f.stored(f.stateKey("visiting", int64(u)))...)
			state[random.IntN(len(state))] ^= 1 << random.IntN(8)
			f.put(int64(u), state)
		}
	}
}

// serveAll reads all users, each from the server that its fault is about.
func (f *faultySite) serveAll() {
	wrong := defstest.Load(f.t, f.dir, featuredefs.Options{}).Plan
	value := plan.DoubleValue(0.25)
	for _, v := range wrong.Views {
		for _, feature := range v.Features {
			if v.Name == "trade" || feature.Name != "mean" {
				continue
			}
			feature.Default = &value // and the fingerprint stays
		}
	}
	dir := f.dir + "/other"
	defstest.Write(f.t, dir, strings.Replace(faultDefinitions, "request.amount / (spend.mean + 1.0)", "request.amount / (spend.mean + 2.0)", 1))
	for _, x := range []struct {
		p     *plan.Plan
		users []int64
	}{
		{f.plan, f.users(func(kind int) bool { return kind != otherVersion && kind != otherDefault })},
		{wrong, f.users(of(otherDefault))},
		{defstest.Load(f.t, dir, featuredefs.Options{}).Plan, f.users(of(otherVersion))},
	} {
		server := f.serve(x.p)
		for len(x.users) > 0 {
			n := min(len(x.users), 1000)
			f.read(server, x.users[:n]...)
			x.users = x.users[n:]
		}
	}
}

// rewrite changes files that the views were built from.
func (f *faultySite) rewrite() {
	for u, kind := range f.kind {
		switch kind {
		case rewritten:
			f.files["profiles"][u]["tier"] = "silver"
		case duplicated:
			f.files["clicks"] = append(f.files["clicks"], row{"ts": noon + minute, "user_id": u})
		}
	}
	f.write("profiles.csv", csv(profileColumns, f.files["profiles"]...))
	f.write("clicks.csv", csv(clickColumns, f.files["clicks"]...))
}

// behind records the reads of some users as of a time five minutes before.
func (f *faultySite) behind(c *recompute.Config) {
	for i := range c.Units {
		sources := c.Units[i].Sources
		c.Units[i].Sources = func() (*servedlog.Batch, error) {
			b, err := sources()
			for row := range b.N {
				if u := b.Keys[0].Int[row]; f.kind[u] == otherClock {
					b.AsOf.Int[row] -= int64(5 * minute)
				}
			}
			return b, err
		}
	}
}

// counts are values that differ, by feature and cause.
type counts map[string]map[recompute.Cause]int64

// truth is what must be found of the features that read nothing but the user, in both comparisons.
func (f *faultySite) truth() (data, compute counts) {
	n := &f.count
	late, lost, lag := n[dropped]+n[delayed], n[flipped]+n[deleted], n[unapplied]+n[restored]
	events := map[recompute.Cause]int64{recompute.Late: late}
	outcomes := map[recompute.Cause]int64{recompute.Outcome: n[filledLate]}
	data = counts{
		"spend.n": events, "spend.n_1m": events, "spend.last_3": events, "spend.inverse": events, "spend.safe": events,
		"spend.total":   {recompute.Late: late, recompute.Source: n[contradicted]},
		"spend.mean":    {recompute.Late: late, recompute.Source: n[contradicted], recompute.Default: n[otherDefault]},
		"spend.charged": outcomes, "spend.risk": outcomes,
		"visiting.n":     {recompute.Compute: n[replaced], recompute.Lost: lost, recompute.Lag: lag, recompute.Clock: n[otherClock]},
		"visiting.pages": {recompute.Lost: lost, recompute.Lag: lag, recompute.Clock: n[otherClock]},
		"profile.tier":   {recompute.Source: n[rewritten]},
		"clicking.n":     {recompute.Duplicate: n[duplicated]},
		"ratio":          {recompute.Late: late, recompute.Source: n[contradicted], recompute.Default: n[otherDefault], recompute.Version: n[otherVersion]},
		"echo":           {},
	}
	compute = counts{
		"visiting.n":     {recompute.Compute: n[replaced], recompute.Lost: lost, recompute.Clock: n[otherClock]},
		"visiting.pages": {recompute.Lost: lost, recompute.Clock: n[otherClock]},
		"profile.tier":   {recompute.Source: n[rewritten]},
		"spend.mean":     {recompute.Default: n[otherDefault]},
		"ratio":          {recompute.Default: n[otherDefault]},
	}
	return data, compute
}

// shows is the feature and the cause in which each kind of fault must show, once.
var shows = map[int]struct {
	feature string
	cause   recompute.Cause
}{
	flipped: {"visiting.n", recompute.Lost}, deleted: {"visiting.n", recompute.Lost}, replaced: {"visiting.n", recompute.Compute}, restored: {"visiting.n", recompute.Lag},
	unapplied: {"visiting.n", recompute.Lag}, otherClock: {"visiting.n", recompute.Clock}, dropped: {"spend.n", recompute.Late}, delayed: {"spend.n", recompute.Late},
	filledLate: {"spend.charged", recompute.Outcome}, contradicted: {"spend.total", recompute.Source}, rewritten: {"profile.tier", recompute.Source},
	duplicated: {"clicking.n", recompute.Duplicate}, otherVersion: {"ratio", recompute.Version}, otherDefault: {"spend.mean", recompute.Default},
}

// score compares what was found with the truth.
type score struct{ faults, found, right, falseAlarms int64 }

func (f *faultySite) score(r *recompute.Report) (s score) {
	expect := counts{}
	for kind, at := range shows {
		if expect[at.feature] == nil {
			expect[at.feature] = map[recompute.Cause]int64{}
		}
		expect[at.feature][at.cause] += f.count[kind]
		s.faults += f.count[kind]
	}
	truth, _ := f.truth()
	for _, x := range r.Features {
		want, ours := truth[x.Name]
		if !ours {
			continue
		}
		all := sum(want)
		s.found -= max(0, all-x.Data.Different)
		s.falseAlarms += max(0, x.Data.Different-all)
		for cause, n := range expect[x.Name] {
			s.right += min(n, x.Data.Causes[cause])
		}
	}
	s.found += s.faults
	return s
}

func sum(of map[recompute.Cause]int64) (n int64) {
	for _, x := range of {
		n += x
	}
	return n
}

// Of thousands of faults of all kinds at once each is found, with its cause, and nothing else is.
func TestP21_ThousandsOfFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("the other tests have each fault once; this runs without -short")
	}
	var all score
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		f := newFaultySite(t, open, *faultyUsers)
		f.happen()
		r := f.recompute(f.behind)
		data, compute := f.truth()
		for _, x := range r.Features {
			if want, ours := data[x.Name]; ours {
				if got := causes(x.Data.Causes); got != causes(present(want)) {
					t.Errorf("%s: %s, want %s", x.Name, got, causes(present(want)))
				}
				if got := causes(x.Compute.Causes); got != causes(present(compute[x.Name])) {
					t.Errorf("%s over what was applied: %s, want %s", x.Name, got, causes(present(compute[x.Name])))
				}
			}
		}
		s := f.score(r)
		if r.Rows != int64(*faultyUsers) || s.faults < r.Rows*3/4 || s.found != s.faults || s.right != s.faults || s.falseAlarms > 0 {
			t.Errorf("of %d rows: %+v", r.Rows, s)
		}
		all = score{all.faults + s.faults, all.found + s.found, all.right + s.right, all.falseAlarms + s.falseAlarms}
	})
	if *faultsTo != "" {
		line := fmt.Sprintf("%d faults, %d found, %d right, %d false alarms\n", all.faults, all.found, all.right, all.falseAlarms)
		if err := os.WriteFile(*faultsTo, []byte(line), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// present leaves out causes of nothing.
func present(of map[recompute.Cause]int64) map[recompute.Cause]int64 {
	out := maps.Clone(of)
	maps.DeleteFunc(out, func(_ recompute.Cause, n int64) bool { return n == 0 })
	return out
}
