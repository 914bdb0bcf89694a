package offline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

const lateText = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: orders
from: orders.parquet
event_time: ts
event_id: id
%s
columns:
  user_id: {type: int}
  ts: {type: timestamp}
  id: {type: string}
  amount: {type: double}
  seen: {type: timestamp}
---
kind: FeatureView
name: v
entity: user
source: orders
features:
  n: count("1d")
  total: sum(amount, "1d")
  last: latest(id)
  most: max_by(id, amount)
---
kind: FeatureService
name: svc
features: [v]
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at}
`

// atOnce is what a source says of known times when everything is known at once.
const atOnce = "bad_rows: error"

// trainOn makes a training set of orders (id, user, ts, amount, seen) and a spine (user,
// at), all in SQL, and returns its rows as text in the order of the spine.
func trainOn(t *testing.T, knownAt, orders, spine string, change func(*Config)) []string {
	t.Helper()
	p := newProject(t)
	p.copyTo(t, "orders.parquet", "SELECT id, u::BIGINT AS user_id, ts::TIMESTAMP AS ts, amount::DOUBLE AS amount, seen::TIMESTAMP AS seen FROM (VALUES "+orders+") v(id, u, ts, amount, seen)")
	p.copyTo(t, "spine.parquet", "SELECT u::BIGINT AS user_id, ts::TIMESTAMP AS at FROM (VALUES "+spine+") v(u, ts)")
	set, _ := p.define(t, fmt.Sprintf(lateText, knownAt)).TrainingSet("set")
	c := p.config(set)
	if change != nil {
		change(&c)
	}
	p.train(t, c)
	return p.ask(t, `SELECT "v.n", "v.total", "v.last", "v.most" FROM '`+filepath.Join(c.Out, "data.parquet")+"'")
}

func expectRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: the training set has %q, want %q", what, got, want)
	}
}

// A model trains on what serving had: rows that came late are not there before they
// came, unless somebody wants to measure what that is worth.
func TestW1_TrainingKnowsWhatServingKnew(t *testing.T) {
	const orders = `('a', 1, '2025-01-01 10:00:00', 1, '2025-01-01 10:00:01'), ('b', 1, '2025-01-01 11:00:00', 2, '2025-01-01 20:00:00')`
	const spine = `(1, '2025-01-01 12:00:00'), (1, '2025-01-01 20:00:00'), (1, '2025-01-01 20:00:00.000001')`
	expectRows(t, "as known", trainOn(t, "known_at: seen", orders, spine, nil), "1 1.0 a a", "1 1.0 a a", "2 3.0 b b")
	expectRows(t, "--as-of final", trainOn(t, "known_at: seen", orders, spine, func(c *Config) { c.Final = true }), "2 3.0 b b", "2 3.0 b b", "2 3.0 b b")
}

// TestFinalSetsNameWhatServingCannotHave: each feature with a value that became known later is an alarm.
func TestFinalSetsNameWhatServingCannotHave(t *testing.T) {
	const orders = `('a', 1, '2025-01-01 10:00:00', 2, '2025-01-01 10:00:01'), ('b', 1, '2025-01-01 11:00:00', 1, '2025-01-01 20:00:00')`
	const spine = `(1, '2025-01-01 12:00:00'), (1, '2025-01-01 20:00:00'), (1, '2025-01-01 20:00:00.000001'), (1, '2025-01-01 10:30:00')`
	for final, want := range map[bool][]string{
		false: nil,
		true:  {"v.n 50 %", "v.total 50 %", "v.last 50 %"}, // but not v.most, which is a in all rows
	} {
		var out string
		trainOn(t, "known_at: seen", orders, spine, func(c *Config) { c.Final, out = final, c.Out })
		text, err := os.ReadFile(filepath.Join(out, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		var m Manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range m.Alarms {
			share, _, _ := strings.Cut(strings.TrimPrefix(a.Text, "the value of "), " of the rows")
			got = append(got, a.Feature+" "+share)
		}
		if !slices.Equal(got, want) {
			t.Errorf("final %t: %q, want %q", final, got, want)
		}
		if left, _ := filepath.Glob(filepath.Join(out, ".*")); left != nil {
			t.Errorf("final %t: it leaves %q", final, left)
		}
	}
}

// TestFinalSetsNameWhatChangesAfterTheLabel: a value that is late is one that serving cannot have; one that
// changes only once the label is known may follow from the label. With one row, of 12:00, whose label is known at 14:00.
func TestFinalSetsNameWhatChangesAfterTheLabel(t *testing.T) {
	const orders = `('a', '2025-01-01 10:00:00', 2, '2025-01-01 10:00:01'), ('b', '2025-01-01 11:00:00', 9, '2025-01-01 %s'), ('c', '2025-01-01 11:30:00', 1, '2025-01-01 %s')`
	const later, after = "known_later", "changed_after_label"
	for _, c := range []struct {
		b, c string // when these orders are known
		want []string
	}{
		{"11:59:59", "11:59:59", nil},
		{"13:59:59", "11:59:59", []string{"v.n " + later, "v.total " + later, "v.most " + later}},
		{"14:00:00", "11:59:59", []string{"v.n " + later, "v.n " + after, "v.total " + later, "v.total " + after, "v.most " + later, "v.most " + after}},
		{"13:00:00", "20:00:00", []string{"v.n " + later, "v.n " + after, "v.total " + later, "v.total " + after, "v.last " + later, "v.last " + after, "v.most " + later}},
	} {
		p := newProject(t)
		p.copyTo(t, "orders.parquet", "SELECT id, 1::BIGINT AS user_id, ts::TIMESTAMP AS ts, amount::DOUBLE AS amount, seen::TIMESTAMP AS seen FROM (VALUES "+fmt.Sprintf(orders, c.b, c.c)+") v(id, ts, amount, seen)")
		p.copyTo(t, "spine.parquet", "SELECT 1::BIGINT AS user_id, TIMESTAMP '2025-01-01 12:00:00' AS at, 1::BIGINT AS bought, TIMESTAMP '2025-01-01 14:00:00' AS bought_at")
		text := strings.Replace(lateText, "time: at}", "time: at, label: bought, label_known_at: bought_at}", 1)
		set, _ := p.define(t, fmt.Sprintf(text, "known_at: seen")).TrainingSet("set")
		config := p.config(set)
		config.Final = true
		var got []string
		for _, a := range p.train(t, config).Alarms {
			got = append(got, a.Feature+" "+a.Kind)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("b known at %s, c at %s: %q, want %q", c.b, c.c, got, c.want)
		}
		if left, _ := filepath.Glob(filepath.Join(config.Out, ".*")); left != nil {
			t.Errorf("it leaves %q", left)
		}
	}
}

// A table that a nightly job copies to serving is as old in training as it is there.
func TestW2_TrainingWaitsForTheBatch(t *testing.T) {
	const orders = `('a', 1, '2025-01-01 01:00:00', 1, NULL), ('b', 1, '2025-01-01 02:00:00', 2, NULL), ('c', 1, '2025-01-01 03:00:00', 4, NULL)`
	const spine = `(1, '2025-01-01 02:30:00'), (1, '2025-01-01 02:30:00.000001'), (1, '2025-01-01 23:00:00'), (1, '2025-01-02 02:31:00')`
	got := trainOn(t, `known_at: {schedule: "0 2 * * *", delay: 30m}`, orders, spine, nil)
	expectRows(t, "a job at 2:00 that takes half an hour", got, "0 0.0 NULL NULL", "2 3.0 b b", "2 3.0 b b", "1 4.0 c c")
}

// A row to predict is not among what it is predicted from, and neither is what follows it.
func TestB7_W4_TheSpineLooksBack(t *testing.T) {
	const orders = `('a', 1, '2025-01-01 10:00:00', 1, NULL), ('b', 1, '2025-01-01 11:00:00', 2, NULL), ('c', 1, '2025-01-01 12:00:00', 4, NULL)`
	const spine = `(1, '2025-01-01 10:00:00'), (1, '2025-01-01 11:00:00'), (1, '2025-01-01 12:00:00'), (1, '2024-01-01 00:00:00')`
	got := trainOn(t, atOnce, orders, spine, nil)
	expectRows(t, "each order's own row", got, "0 0.0 NULL NULL", "1 1.0 a a", "2 3.0 b b", "0 0.0 NULL NULL")
}

// Equal spine rows stay as many as they were, in their places, and so do rows without
// an entity.
func TestK3_K4_EverySpineRowStays(t *testing.T) {
	const orders = `('a', 1, '2025-01-01 10:00:00', 1, NULL), ('z', NULL, '2025-01-01 10:00:00', 8, NULL)`
	const spine = `(1, '2025-01-01 11:00:00'), (NULL, '2025-01-01 11:00:00'), (1, '2025-01-01 11:00:00'), (2, '2025-01-01 11:00:00'), (1, '2025-01-01 11:00:00'), (NULL, '2025-01-01 11:00:00')`
	one, nothing := "1 1.0 a a", "0 0.0 NULL NULL"
	expectRows(t, "as they are", trainOn(t, atOnce, orders, spine, nil), one, nothing, one, nothing, one, nothing)
	expectRows(t, "in several passes", trainOn(t, atOnce, orders, spine, func(c *Config) { c.Memory = 100 }), one, nothing, one, nothing, one, nothing)
}

// Rows with one time have an order of their own, so the one that is taken does not
// depend on how many threads look for it or where in the file it is.
func TestO4_TiedRowsHaveOneAnswer(t *testing.T) {
	tied := []string{`('b', 1, '2025-01-01 10:00:00', 5, NULL)`, `('c', 1, '2025-01-01 10:00:00', 5, NULL)`, `('a', 1, '2025-01-01 10:00:00', 5, NULL)`}
	for i := range tied {
		orders := tied[i] + ", " + tied[(i+1)%3] + ", " + tied[(i+2)%3]
		for threads := range 3 {
			got := trainOn(t, atOnce, orders, `(1, '2025-01-01 11:00:00')`, func(c *Config) { c.Threads = threads + 1 })
			expectRows(t, orders, got, "3 15.0 c c")
		}
	}
}

// Of rows with one id, the one that could be known first stands, then the smallest:
// never the one that is read first.
func TestP7_ConflictsDoNotDependOnPlace(t *testing.T) {
	early := `('a', 1, '2025-01-01 10:00:00', 7, '2025-01-01 10:00:01')`
	late := `('a', 1, '2025-01-01 10:00:00', 1, '2025-01-01 10:30:00')`
	small := `('b', 1, '2025-01-01 10:05:00', 2, '2025-01-01 10:05:00')`
	large := `('b', 1, '2025-01-01 10:05:00', 3, '2025-01-01 10:05:00')`
	for _, orders := range []string{early + ", " + late + ", " + small + ", " + large, large + ", " + small + ", " + late + ", " + early} {
		got := trainOn(t, "known_at: seen", orders, `(1, '2025-01-01 10:10:00'), (1, '2025-01-01 11:00:00')`, nil)
		expectRows(t, orders, got, "2 9.0 b a", "2 9.0 b a")
	}
}

// What is held in memory at a time follows the bound and not the length of history.
func TestP8_MemoryFollowsTheBound(t *testing.T) {
	p := newProject(t)
	const events = 120_000
	p.copyTo(t, "orders.parquet", fmt.Sprintf(`SELECT 'order-' || i AS id, i %% 3000 AS user_id, TIMESTAMP '2025-01-01' + to_seconds(i) AS ts, i * 0.5::DOUBLE AS amount, NULL::TIMESTAMP AS seen FROM range(%d) t(i)`, events))
	p.copyTo(t, "spine.parquet", `SELECT i AS user_id, TIMESTAMP '2025-02-01' AS at FROM range(3000) t(i)`)
	set, _ := p.define(t, fmt.Sprintf(lateText, atOnce)).TrainingSet("set")
	held := func(memory int64) (most uint64, hash string) {
		c := p.config(set)
		c.Memory, c.Threads = memory, 1
		before, last := heap(), ""
		c.Progress = func(now Progress) {
			// When the replay begins, all events have been read and none has been swept.
			if now.Phase == "replay" && last != "replay" {
				if h := heap(); h > before {
					most = max(most, h-before)
				}
			}
			last = now.Phase
		}
		return most, p.train(t, c).Files[0].SHA256
	}
	whole, want := held(0)
	part, got := held(4 << 20)
	if got != want {
		t.Error("the training set depends on the memory it was made in")
	}
	if part > whole/3 {
		t.Errorf("with a bound %d bytes were held, without one %d", part, whole)
	}
}

// heap is the bytes that are in use. Buffers of the readers go with the second collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A split is by time: shuffling the spine moves no row from one part to another.
func TestW5_SplitsFollowTimeNotPlace(t *testing.T) {
	at := []plan.EventTime{5, 1, 9, 3, 7, 0, 8, 2, 6, 4}
	split := &plan.Split{Train: 0.5, Validation: 0.2, Test: 0.3}
	for range at {
		at = append(at[1:], at[0])
		for i, part := range divide(at, nil, forever(0), split).of {
			want := uint8(0)
			switch {
			case at[i] >= 7:
				want = 2
			case at[i] >= 5:
				want = 1
			}
			if part != want {
				t.Errorf("of %v, the row at %d is in part %d, want %d", at, at[i], part, want)
			}
		}
	}
}
