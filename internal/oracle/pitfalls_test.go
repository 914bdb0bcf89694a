package oracle_test

import (
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
)

const ordersText = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: orders
stream: true
event_time: ts
known_at: seen
event_id: id
dedup_window: 365d
columns:
  user_id: {type: int}
  ts: {type: timestamp}
  seen: {type: timestamp}
  id: {type: string}
  shop: {type: string}
  amount: {type: double}
  qty: {type: int}
  ok: {type: bool}
  refund: {type: double, outcome: true, known_at: refunded}
  refunded: {type: timestamp}
---
kind: FeatureView
name: v
entity: user
source: orders
features:
`

// everywhere compiles features over the orders above and checks the expectations of a
// FeatureTest with the oracle, the replay and live state.
func everywhere(t *testing.T, features, test string) {
	t.Helper()
	dir := projectOf(t, features, test)
	runCase(t, dir)
	runSingly(t, dir)
}

// projectOf writes features over the orders above, and a FeatureTest, to a folder.
func projectOf(t *testing.T, features, test string) string {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, ordersText+features, "kind: FeatureTest\nview: v\n"+test)
	return dir
}

// runSingly replays the events in batches of one, forwards and backwards.
func runSingly(t *testing.T, dir string) {
	t.Helper()
	project, _, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range project.Tests {
		var reads []gen.Read
		for _, x := range test.Expect {
			reads = append(reads, gen.Read{Key: x.Keys, At: x.At})
		}
		var batches []*kernel.Events
		for _, e := range eventsOf(t, test) {
			batch := batchOf(test.View, []oracle.Event{e})
			if e.Known == e.Time {
				batch.Known = nil // as in batches from ingestion in which k = t for all rows
			}
			batches = append(batches, batch)
		}
		for _, path := range []string{"replay forwards", "replay backwards"} {
			got, err := replay(compiled(t, test).Plan(), batches, reads, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i, x := range test.Expect {
				expectCells(t, path, x, got[i])
			}
			slices.Reverse(batches)
		}
	}
}

// The window as of T is [lower(T), T), with both ends exact to the microsecond; the lower end
// moves by whole hops.
func TestB1_B2_BothEndsOfAWindow(t *testing.T) {
	everywhere(t, `
  exact: 'count("1h/exact")'
  hops: 'count("1h/10m")'
  most: 'max(amount, "1h/exact")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 1.0}
expect:
  - {user_id: 1, at: 2025-01-01T10:00:00Z, exact: 0, hops: 0, most: {value: null, status: UNKNOWN_ENTITY}}
  - {user_id: 1, at: 2025-01-01T10:00:00.000001Z, exact: 1, hops: 1, most: 1.0}
  - {user_id: 1, at: 2025-01-01T11:00:00Z, exact: 1, hops: 1, most: 1.0}
  - {user_id: 1, at: 2025-01-01T11:00:00.000001Z, exact: 0, hops: 1, most: {value: null, status: EMPTY}}
  - {user_id: 1, at: 2025-01-01T11:09:59.999999Z, exact: 0, hops: 1}
  - {user_id: 1, at: 2025-01-01T11:10:00Z, exact: 0, hops: 0}
`)
}

// A window ends at T, not at the end of a hop: events later in the same hop are not in it.
func TestB6_NothingLaterInTheSameHop(t *testing.T) {
	everywhere(t, `
  n: 'count("2d/1d")'
  total: 'sum(amount, "2d/1d")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T09:00:00Z, seen: 2025-01-01T09:00:00Z, id: a, amount: 1.0}
  - {user_id: 1, ts: 2025-01-01T15:00:00Z, seen: 2025-01-01T15:00:00Z, id: b, amount: 2.0}
  - {user_id: 1, ts: 2025-01-01T23:59:59.999999Z, seen: 2025-01-01T23:59:59.999999Z, id: c, amount: 4.0}
expect:
  - {user_id: 1, at: 2025-01-01T00:00:00Z, n: 0, total: 0.0}
  - {user_id: 1, at: 2025-01-01T12:00:00Z, n: 1, total: 1.0}
  - {user_id: 1, at: 2025-01-01T23:00:00Z, n: 2, total: 3.0}
  - {user_id: 1, at: 2025-01-02T00:00:00Z, n: 3, total: 7.0}
  - {user_id: 1, at: 2025-01-03T23:59:59.999999Z, n: 3, total: 7.0}
  - {user_id: 1, at: 2025-01-04T00:00:00Z, n: 0, total: 0.0}
`)
}

// Ties are broken by id and argument on every path, also after the first of the tied events
// has left the window.
func TestO3_TiesAreBrokenAlike(t *testing.T) {
	everywhere(t, `
  least: 'min_by(id, amount, "1h/exact")'
  most: 'max_by(id, amount, "1h/exact")'
  first: 'earliest(id, "1h/exact")'
  last: 'latest(id, "1h/exact")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:10:00Z, seen: 2025-01-01T10:10:00Z, id: b, amount: 5.0}
  - {user_id: 1, ts: 2025-01-01T10:10:00Z, seen: 2025-01-01T10:10:00Z, id: a, amount: 5.0}
  - {user_id: 1, ts: 2025-01-01T10:20:00Z, seen: 2025-01-01T10:20:00Z, id: d, amount: 5.0}
  - {user_id: 1, ts: 2025-01-01T10:20:00Z, seen: 2025-01-01T10:20:00Z, id: c, amount: 5.0}
expect:
  - {user_id: 1, at: 2025-01-01T10:15:00Z, least: a, most: b, first: a, last: b}
  - {user_id: 1, at: 2025-01-01T10:30:00Z, least: a, most: d, first: a, last: d}
  - {user_id: 1, at: 2025-01-01T11:15:00Z, least: c, most: d, first: c, last: d}
`)
}

// Nulls, empty windows and unknown entities are distinguished in the same way on all paths.
func TestN1_AbsenceIsToldApart(t *testing.T) {
	everywhere(t, `
  total: 'sum(amount, "1h")'
  given: 'count(amount, "1h")'
  rows: 'count("1h")'
  last: 'latest(amount, "1h")'
  even: 'latest(qty, "1h").orValue(0) == 0 ? optional.none() : optional.of(qtys)'
  qtys: 'sum(qty, "1h")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: null, qty: 0}
  - {user_id: 2, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: b, amount: 0.0, qty: 9223372036854775807}
  - {user_id: 2, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: c, amount: -0.0, qty: 1}
expect:
  - {user_id: 1, at: 2025-01-01T10:30:00Z, total: 0.0, given: 0, rows: 1, last: {value: null, status: EMPTY}, even: {value: null, status: EMPTY}, qtys: {value: 0, status: PRESENT}}
  - {user_id: 2, at: 2025-01-01T10:30:00Z, total: 0.0, given: 2, rows: 2, last: {value: -0.0, status: PRESENT}, even: {value: null, status: ERROR}, qtys: {value: null, status: ERROR}}
  - {user_id: 2, at: 2025-01-01T12:00:00Z, total: 0.0, given: 0, rows: 0, last: {value: null, status: EMPTY}, even: {value: null, status: EMPTY}, qtys: {value: 0, status: PRESENT}}
  - {user_id: 3, at: 2025-01-01T10:30:00Z, total: 0.0, given: 0, rows: 0, last: {value: null, status: UNKNOWN_ENTITY}, even: {value: null, status: UNKNOWN_ENTITY}, qtys: {value: 0, status: PRESENT}}
`)
}

// Every NaN has the same bits, whether the processor computes it as 0/0 or it is a literal.
func TestN7_ThereIsOneNaN(t *testing.T) {
	everywhere(t, `  undefined: "(double(count()) - 1.0) / (sum(amount) - sum(amount))"
  negated: "-(sum(amount) / 0.0 - sum(amount) / 0.0)"
  most: max(amount / (amount - amount) * 0.0).orValue(1.0)
`, `events:
  - {user_id: 1, id: a, ts: 2025-01-01T00:00:00Z, seen: 2025-01-01T00:00:00Z, amount: 1.0}
expect:
  - {user_id: 1, at: 2025-01-02T00:00:00Z, undefined: .nan, negated: .nan, most: .nan}
`)
}

// A row on which an argument or a filter fails is left out, and no other row.
func TestC7_FailedRowsAreLeftOut(t *testing.T) {
	everywhere(t, `
  total: 'sum(qty * 1000000000000000000, "1h")'
  rows: 'count("1h").where(qty * 1000000000000000000 > 0)'
  last: 'latest(qty * 1000000000000000000, "1h")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, qty: 2}
  - {user_id: 1, ts: 2025-01-01T10:01:00Z, seen: 2025-01-01T10:01:00Z, id: b, qty: 10}
  - {user_id: 1, ts: 2025-01-01T10:02:00Z, seen: 2025-01-01T10:02:00Z, id: c, qty: null}
expect:
  - {user_id: 1, at: 2025-01-01T10:30:00Z, total: 2000000000000000000, rows: 1, last: 2000000000000000000}
  - {user_id: 1, at: 2025-01-01T12:00:00Z, total: 0, rows: 0, last: {value: null, status: EMPTY}}
`)
}

// A default replaces an absent value, and an error only with on_error: default. References to
// the feature see the default too.
func TestN2_DefaultsEverywhereOrNowhere(t *testing.T) {
	everywhere(t, `
  last: {expr: 'latest(amount, "1h")', default: -1.0}
  seen: 'last * 2.0'
  sum: {expr: 'optional.of(sum(qty, "1h"))', default: 7}
  safe: {expr: 'sum(qty, "1h")', default: 7, on_error: default}
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 2.5, qty: 9223372036854775807}
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: b, amount: 2.5, qty: 1}
expect:
  - {user_id: 1, at: 2025-01-01T10:30:00Z, last: {value: 2.5, status: PRESENT}, seen: 5.0, sum: {value: null, status: ERROR}, safe: {value: 7, status: ERROR}}
  - {user_id: 1, at: 2025-01-01T12:00:00Z, last: {value: -1.0, status: DEFAULTED}, seen: {value: -2.0, status: PRESENT}, sum: {value: 0, status: PRESENT}, safe: {value: 0, status: PRESENT}}
  - {user_id: 2, at: 2025-01-01T10:30:00Z, last: {value: -1.0, status: DEFAULTED}, seen: {value: -2.0, status: PRESENT}, sum: 0, safe: 0}
`)
}

// A value expires at the same microsecond on all paths, and only by leaving the window.
func TestN3_ExpiryIsTheWindow(t *testing.T) {
	everywhere(t, `
  fresh: 'latest(amount, "1d/exact")'
  ever: 'latest(amount)'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 3.0}
expect:
  - {user_id: 1, at: 2025-01-02T10:00:00Z, fresh: 3.0, ever: 3.0}
  - {user_id: 1, at: 2025-01-02T10:00:00.000001Z, fresh: {value: null, status: EMPTY}, ever: 3.0}
  - {user_id: 1, at: 2035-01-01T00:00:00Z, fresh: {value: null, status: EMPTY}, ever: 3.0}
`)
}

// A row that becomes known late counts from that time on, in the windows of its event time.
func TestW1_LateRowsCountFromWhenTheyCame(t *testing.T) {
	everywhere(t, `
  n: 'count("1h/exact")'
  all: 'count()'
  last: 'latest(id)'
  most: 'max(amount, "1h/exact")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 1.0}
  - {user_id: 1, ts: 2025-01-01T09:50:00Z, seen: 2025-01-01T10:30:00Z, id: b, amount: 9.0}
  - {user_id: 1, ts: 2025-01-01T10:05:00Z, seen: 2025-01-01T13:00:00Z, id: c, amount: 5.0}
expect:
  - {user_id: 1, at: 2025-01-01T10:20:00Z, n: 1, all: 1, last: a, most: 1.0}
  - {user_id: 1, at: 2025-01-01T10:30:00Z, n: 1, all: 1, last: a, most: 1.0}
  - {user_id: 1, at: 2025-01-01T10:30:00.000001Z, n: 2, all: 2, last: a, most: 9.0}
  - {user_id: 1, at: 2025-01-01T10:55:00Z, n: 1, all: 2, last: a, most: 1.0}
  - {user_id: 1, at: 2025-01-01T13:00:00.000001Z, n: 0, all: 3, last: c, most: {value: null, status: EMPTY}}
`)
}

// A row that becomes known after its event time has left the window is not removed from it.
func TestW1_RowsThatCameTooLate(t *testing.T) {
	everywhere(t, `
  n: 'count("1h/exact")'
  total: 'sum(amount, "1h/exact")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 1.0}
  - {user_id: 1, ts: 2025-01-01T10:10:00Z, seen: 2025-01-01T10:30:00Z, id: b, amount: 2.0}
  - {user_id: 1, ts: 2025-01-01T10:20:00Z, seen: 2025-01-01T15:00:00Z, id: c, amount: 4.0}
  - {user_id: 1, ts: 2025-01-01T11:15:00Z, seen: 2025-01-01T11:15:00Z, id: d, amount: 8.0}
expect:
  - {user_id: 1, at: 2025-01-01T10:30:00Z, n: 1, total: 1.0}
  - {user_id: 1, at: 2025-01-01T11:30:00Z, n: 1, total: 8.0}
  - {user_id: 1, at: 2025-01-01T12:10:00Z, n: 1, total: 8.0}
  - {user_id: 1, at: 2025-01-01T16:00:00Z, n: 0, total: 0.0}
`)
}

// An outcome enters a feature when it is known, not with its row.
func TestW3_OutcomesWaitForTheirOwnTime(t *testing.T) {
	everywhere(t, `
  orders: 'count("7d")'
  paid: 'sum(amount, "7d")'
  refunds: 'sum(refund, "7d")'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, amount: 1.0, refund: 1.0, refunded: 2025-01-03T00:00:00Z}
  - {user_id: 1, ts: 2025-01-01T11:00:00Z, seen: 2025-01-01T11:00:00Z, id: b, amount: 2.0, refund: 2.0, refunded: null}
expect:
  - {user_id: 1, at: 2025-01-02T00:00:00Z, orders: 2, paid: 3.0, refunds: 0.0}
  - {user_id: 1, at: 2025-01-03T00:00:00Z, orders: 2, paid: 3.0, refunds: 0.0}
  - {user_id: 1, at: 2025-01-03T00:00:00.000001Z, orders: 2, paid: 3.0, refunds: 1.0}
  - {user_id: 1, at: 2025-01-05T00:00:00Z, orders: 2, paid: 3.0, refunds: 1.0}
`)
}

// A prediction for an event as of its time does not see the event, nor another one with the
// same time.
func TestW4_ThePredictedRowIsNotInItsOwnWindow(t *testing.T) {
	everywhere(t, `
  n: 'count("1d")'
  share: 'mean(ok ? 1.0 : 0.0, "1d")'
  last: 'latest(ok)'
`, `
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, id: a, ok: false}
  - {user_id: 1, ts: 2025-01-01T12:00:00Z, seen: 2025-01-01T12:00:00Z, id: b, ok: true}
  - {user_id: 1, ts: 2025-01-01T12:00:00Z, seen: 2025-01-01T12:00:00Z, id: c, ok: true}
expect:
  - {user_id: 1, at: 2025-01-01T10:00:00Z, n: 0, share: {value: null, status: UNKNOWN_ENTITY}, last: {value: null, status: UNKNOWN_ENTITY}}
  - {user_id: 1, at: 2025-01-01T12:00:00Z, n: 1, share: 0.0, last: false}
  - {user_id: 1, at: 2025-01-01T12:00:00.000001Z, n: 3, last: true}
`)
}

// The states of two definitions may have the same layout; neither reads those of the other.
func TestP4_StateIsReadByItsOwnDefinition(t *testing.T) {
	var views []*kernel.View
	for _, expr := range []string{`sum(qty, "1d")`, `sum(qty + 1, "1d")`} {
		project, _, err := featuredefs.Load(projectOf(t, "  total: '"+expr+"'\n", "events: []\nexpect:\n  - {user_id: 1, at: 2025-01-01T00:00:00Z, total: 0}\n"), featuredefs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, compiled(t, project.Tests[0]))
	}
	stored := views[0].NewState().Append(nil)
	if err := views[0].NewState().Decode(stored); err != nil {
		t.Fatal(err)
	}
	if err := views[1].NewState().Decode(stored); err == nil {
		t.Error("a definition reads the state of another")
	}
}
