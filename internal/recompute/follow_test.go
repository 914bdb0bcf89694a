package recompute_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/sdk"
)

// soon is after which time rows are in a segment, of sites whose rounds follow one another.
const soon = time.Millisecond

// recorded waits until so many rows are in segments.
func (s *site) recorded(rows int) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		units, done, err := recompute.Find(s.served.Dir, s.plan.Services[0].Name, plan.Always, plan.Never)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := done(); err != nil {
			s.t.Fatal(err)
		}
		got := 0
		for _, u := range units {
			got += u.Rows
		}
		switch {
		case got == rows:
			return
		case time.Now().After(end):
			s.t.Fatalf("%d of %d rows are recorded", got, rows)
		}
	}
}

// bulk computes again what was read from a time on, as unskew parity --served does.
func (s *site) bulk(since plan.EventTime) *recompute.Report {
	s.t.Helper()
	cfg := recompute.Config{Service: s.plan.Services[0], From: since, To: plan.Never, Log: s.on.Log, History: s.history, Threads: 1}
	var done func() error
	var err error
	if cfg.Units, done, err = recompute.Find(s.served.Dir, cfg.Service.Name, cfg.From, cfg.To); err != nil {
		s.t.Fatal(err)
	}
	defer done()
	if cfg.Builds, err = recompute.FindBuilds(context.Background(), s.on.Store, cfg.Service, func(_ context.Context, src *plan.Source, _ plan.EventTime) ([32]byte, error) {
		return s.inputs(src), nil
	}); err != nil {
		s.t.Fatal(err)
	}
	r, err := recompute.Run(context.Background(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// following is a course in which a server checks itself.
type following struct {
	course
	shadow *recompute.Shadow
	past   *past
	found  *recompute.Report // of the last round
	since  plan.EventTime    // of the rows that no round had
}

func (f *following) restart() {
	f.past = &past{site: f.site, unknown: rapid.IntRange(0, 3).Draw(f.T, "unknown") == 0}
	done := f.shadow == nil
	f.shadow = f.site.shadow(f.servers[0], func(c *recompute.ShadowConfig) {
		c.Past = f.past
		c.Found = func(r *recompute.Report) { f.found = r }
		c.Clock = func() time.Time { return f.site.clock().Time() }
		if f.past.unknown {
			c.Clock = time.Now
		}
	})
	if !done { // what was recorded before is read once more
		f.since = plan.Always
	}
}

// check compares a round with the same in bulk.
func (f *following) check() {
	f.site.recorded(f.reads)
	f.found = nil
	if f.past.unknown {
		f.restart() // its files are read again once in a while
	}
	if err := f.shadow.Round(context.Background()); err != nil {
		f.Fatal(err)
	}
	want := f.site.bulk(f.since)
	if want.Rows == 0 && f.found == nil {
		return
	}
	if f.found == nil {
		f.Fatalf("nothing was found of %d rows", want.Rows)
	}
	a, b := asText(f.T, want), asText(f.T, f.found)
	if a != b {
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		f.Fatalf("in bulk   …%s\nfollowing …%s", a[max(0, at-200):min(len(a), at+800)], b[max(0, at-200):min(len(b), at+800)])
	}
	f.site.advance(1)
	f.since = f.site.clock()
}

func asText(t *rapid.T, r *recompute.Report) string {
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// drawContradiction is a payment with the id of another one, of another user.
func (f *following) drawContradiction() row {
	r := row{}
	for k, v := range rapid.SampledFrom(f.payments).Draw(f.T, "of") {
		r[k] = v
	}
	user := rapid.IntRange(0, 5).Draw(f.T, "user")
	r["user_id"], r["country"] = user, countryOf(int64(user))
	return r
}

// event lets something happen that rounds have to notice.
func (f *following) event() {
	s := f.site
	switch rapid.IntRange(0, 9).Draw(f.T, "event") {
	case 0, 1: // files are written anew
		var rows []row
		for range rapid.IntRange(0, 10).Draw(f.T, "payments in files") {
			rows = append(rows, drawPayment(f.T, s.clock()-minute, &f.payments))
		}
		if len(f.payments) > 0 && rapid.Bool().Draw(f.T, "contradiction in files") {
			rows = append(rows, f.drawContradiction())
		}
		s.write("payments.csv", csv(paymentColumns, rows...))
		if rapid.Bool().Draw(f.T, "materialize") && !f.trimmed {
			s.materialize(f.to)
		}
	case 2:
		if len(f.payments) > 0 {
			s.push("payments", f.drawContradiction())
		}
	case 3:
		if rapid.IntRange(0, 2).Draw(f.T, "divide") > 0 {
			return
		}
		src, _ := s.plan.Source("payments")
		n := rapid.IntRange(1, 4).Draw(f.T, "shards")
		if _, _, err := eventlog.Reshard(context.Background(), s.on.Log, src.Name, n, s.clock(), nil); err != nil {
			if bad := (*eventlog.ReshardError)(nil); !errors.As(err, &bad) {
				f.Fatal(err)
			}
			return // it is empty, or has had as many shards as there can be
		}
		src.Shards = n
	case 4:
		f.restart()
	case 5:
		if rapid.IntRange(0, 4).Draw(f.T, "trim") == 0 {
			s.catchUp()
			end, err := s.on.Log.End(context.Background(), "visits")
			if err == nil && end > 1 && !f.trimmed {
				f.trimmed = true
				err = s.on.Log.Trim(context.Background(), "visits", eventlog.Position(rapid.IntRange(1, int(end)-1).Draw(f.T, "to")))
			}
			if err != nil {
				f.Fatal(err)
			}
		}
	default:
		f.check()
	}
}

// ofUsers is definitions of a service whose rows are of one user each.
var ofUsers = definitions[:strings.Index(definitions, "kind: FeatureService")] + `kind: FeatureService
name: fraud
features: [spend, visiting, profile]
request:
  amount: double
  note: string
derived:
  ratio: request.amount / (spend.mean + 1.0)
`

// What a server that follows the log finds is what a computation over the same rows finds that reads all of history: value for value and cause for cause, whatever
// happens between rounds.
func TestP21_FollowingFindsWhatBulkFinds(t *testing.T) {
	any := backendtest.Any(t)
	rapid.Check(t, func(t *rapid.T) {
		f := &following{course: course{T: t, visible: soon}, since: plan.Always}
		if rapid.Bool().Draw(t, "some users") {
			f.text, f.rate = ofUsers, rapid.Float64Range(0.2, 0.9).Draw(t, "rate")
		}
		f.begin(any(t))
		defer f.site.end()
		f.servers = f.servers[:1]
		f.restart()
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "an event") == 0 {
				f.event()
			} else {
				f.step()
			}
		}
		f.check()
	})
}

const oneKey = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments.csv
stream: true
event_time: ts
event_id: id
max_ahead: 1h
columns:
  id: {type: string}
  ts: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
  total: sum(amount, "1d")
  n: count("1d")
---
kind: FeatureService
name: users
features: [spend]
`

// sampled is a site with some users, of whom some are recorded.
func sampled(t *testing.T, rate float64, users int) *site {
	var rows []row
	for u := range users {
		for i := range 3 {
			rows = append(rows, row{"id": fmt.Sprint("f", u, "-", i), "ts": noon - minute, "user_id": u, "amount": float64(i) / 3})
		}
	}
	s := newSite(t, backend.InMemory, oneKey, map[string]string{"payments.csv": csv("id,ts,user_id,amount", rows...)})
	t.Cleanup(s.end)
	s.served.Rate, s.served.Visible = rate, soon
	s.materialize(plan.Never)
	return s
}

// readUsers reads users, and waits until the rows are in segments.
func (s *site) readUsers(x *serving, users int, recorded *int) {
	s.t.Helper()
	ids := make([]int64, users)
	for u := range ids {
		ids[u] = int64(u)
	}
	before := s.rowsOf()
	if _, err := x.client.GetFeatures(context.Background(), "users", []sdk.Column{sdk.Ints("user_id", ids...)}, nil); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); s.rowsOf() == before || !x.log.Oldest().IsZero(); {
		if time.Now().After(end) {
			s.t.Fatal("no row is recorded")
		}
	}
	*recorded = s.rowsOf()
}

func (s *site) rowsOf() (n int) {
	units, done, err := recompute.Find(s.served.Dir, s.plan.Services[0].Name, plan.Always, plan.Never)
	if err != nil {
		s.t.Fatal(err)
	}
	defer done()
	for _, u := range units {
		n += u.Rows
	}
	return n
}

// A round after the first one reads no history: no row of a file, and of the log what is new and a record by which it is known.
func TestP21_RoundsReadWhatIsNew(t *testing.T) {
	s := sampled(t, 0.25, 400)
	for i := range 500 {
		s.push("payments", row{"id": fmt.Sprint("p", i), "ts": noon - second, "user_id": i % 400, "amount": 1.0})
	}
	s.catchUp()
	x := s.serve(s.plan)
	log, files := &counted{Log: s.on.Log}, &past{site: s}
	var found *recompute.Report
	shadow := s.shadow(x, func(c *recompute.ShadowConfig) {
		c.Log, c.Past, c.Found = log, files, func(r *recompute.Report) { found = r }
	})
	rows, before := 0, 0
	for round := range 4 {
		s.push("payments", row{"id": fmt.Sprint("q", round), "ts": noon - second, "user_id": round, "amount": 1.0})
		s.advance(minute)
		s.catchUp()
		before = rows
		s.readUsers(x, 400, &rows)
		log.records.Store(0)
		files.rows.Store(0)
		if err := shadow.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found.Rows != int64(rows-before) || found.Compute.Compared != 2*found.Rows || found.Compute.Different+found.Data.Different > 0 || found.Rows < 50 || found.Rows > 150 {
			t.Errorf("round %d, %d rows: %+v", round, rows-before, found)
		}
		if round == 0 {
			continue
		}
		if files.rows.Load() > 0 || log.records.Load() > 3 { // Round looks twice whether the log is the same
			t.Errorf("round %d read %d rows of files and %d records", round, files.rows.Load(), log.records.Load())
		}
	}
	got := shadow.Status()
	if of := got.Sources[0]; of.State != "following" || of.Readings != 1 || of.Entities < 60 || of.Entities > 150 || got.Share != 1 || got.OldestSeconds != 0 {
		t.Errorf("%+v", got)
	}
}

// If memory is short, fewer entities are kept, and the answers of these are all computed; it is said.
func TestP21_FewerEntitiesWhenMemoryIsShort(t *testing.T) {
	s := sampled(t, 1, 2000)
	x := s.serve(s.plan)
	var warned []string
	var found *recompute.Report
	shadow := s.shadow(x, func(c *recompute.ShadowConfig) {
		c.KeepBytes, c.Warn = 256<<10, func(err error) { warned = append(warned, err.Error()) }
		c.Found = func(r *recompute.Report) { found = r }
	})
	rows := 0
	s.readUsers(x, 2000, &rows)
	if err := shadow.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := shadow.Status()
	if got.Share >= 1 || got.Share < 1.0/64 || len(warned) == 0 || got.Sources[0].Bytes > 256<<10 {
		t.Errorf("%+v, %v", got, warned)
	}
	if want := 2000 * got.Share; float64(found.Rows) < want/2 || float64(found.Rows) > want*2 || found.Compute.Different+found.Data.Different > 0 || found.Compute.Compared != 2*found.Rows {
		t.Errorf("%+v", found)
	}
	var more []row // the log grows, too
	for i := range 10_000 {
		more = append(more, row{"id": fmt.Sprint("p", i), "ts": noon - second, "user_id": i % 2000, "amount": 1.0})
	}
	s.push("payments", more...)
	s.advance(minute)
	s.catchUp()
	s.readUsers(x, 2000, &rows)
	if err := shadow.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := shadow.Status(); now.Share >= got.Share || now.Sources[0].Bytes > 256<<10 || found.Compute.Different+found.Data.Different > 0 || found.Rows == 0 {
		t.Errorf("%+v: %+v", now, found)
	}
}

// Rows wait while files that have changed are read again, and only these are.
func TestP21_OnlyWhatHasChangedIsReadAgain(t *testing.T) {
	s := smallSite(t, definitions)
	s.served.Visible = soon
	x := s.serve(s.plan)
	files := &past{site: s}
	shadow := s.shadow(x, func(c *recompute.ShadowConfig) { c.Past = files })
	s.read(x, 1, 2)
	s.recorded(2)
	if err := shadow.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.write("payments.csv", csv(paymentColumns, payment("p1", noon-2*minute, 1, 1), payment("p2", noon-2*minute, 1, 1)))
	s.read(x, 1, 2)
	s.recorded(4)
	if err := shadow.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, of := range shadow.Status().Sources {
		want := int64(1)
		if of.Source == "payments" {
			want = 2
		}
		if of.Readings != want || of.State != "following" {
			t.Errorf("%+v", of)
		}
	}
}
