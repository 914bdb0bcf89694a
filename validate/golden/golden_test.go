package golden

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redistest"
)

// allPaths are the oracle, the replay, and the online path over each store.
func allPaths(t *testing.T) []Path {
	return []Path{Oracle(), Replay(), Online("embedded", backend.InMemory), Online("redis", backendtest.OnRedis(redistest.Start(t)))}
}

// casesDir has the committed cases; sharedCases is a folder next to the repository that may
// have more.
const (
	casesDir    = "../../internal/oracle/testdata/cases"
	foundDir    = "../../internal/oracle/testdata/found"
	sharedCases = "../../../shared/cases"
)

// Every case passes on every path. The expected values are from an independent implementation
// of docs/semantics.md and are compared bit by bit.
func TestCases(t *testing.T) {
	paths := allPaths(t)
	for _, root := range []string{casesDir, foundDir, sharedCases} {
		configs, err := filepath.Glob(filepath.Join(root, "*", featuredefs.ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		if len(configs) == 0 && root == casesDir {
			t.Fatal("the committed cases are missing")
		}
		for _, config := range configs {
			dir := filepath.Dir(config)
			t.Run(filepath.Base(root)+"/"+filepath.Base(dir), func(t *testing.T) {
				r := run(t, dir, paths)
				for i, f := range r.Failures {
					if i < 5 {
						t.Error(f)
					}
				}
				if r.Tests == 0 || r.Values == 0 || r.Values%len(paths) != 0 {
					t.Errorf("%d tests with %d values on %d paths", r.Tests, r.Values, len(paths))
				}
			})
		}
	}
}

func run(t *testing.T, dir string, paths []Path) *Result {
	t.Helper()
	p := defstest.Load(t, dir, featuredefs.Options{})
	r, err := Run(t.Context(), p, paths)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runText runs tests in a project with the given definitions.
func runText(t *testing.T, definitions, tests string, paths []Path) *Result {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, definitions, tests)
	return run(t, dir, paths)
}

const visits = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: visits
stream: true
event_time: ts
event_id: id
columns: {id: {type: string}, ts: {type: timestamp}, user: {type: int}, amount: {type: double}, page: {type: string}}
---
kind: FeatureView
name: activity
entity: user
source: visits
features:
  n: count("1h")
  total: sum(amount)
  mean_1h: mean(amount, "1h")
  last: {expr: latest(page), default: "??"}
  pages: latest_n(page, 2)
  by_page: count().by(page)
  worst: "100 / count()"
---
kind: FeatureService
name: model
features: [activity, {view: activity, as: peer, keys: {user: peer}}]
request: {amount: double}
derived:
  ratio: activity.mean_1h.optMap(m, request.amount / m)
  peers: peer.n
`

// A failing expectation is reported on every path, with its position, the expected value and
// the value computed.
func TestFailuresHavePositions(t *testing.T) {
	paths := allPaths(t)
	const test = `kind: FeatureTest
view: activity
events:
  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 0.1, page: home}
  - {id: b, ts: 2025-01-01T10:00:00Z, user: 1, amount: 0.2, page: cart}
expect:
  - user: 1
    at: 2025-01-01T10:30:00Z
    n: 3
    total: 0.3
    mean_1h: 0.15000000000000002
    last: {value: cart, status: DEFAULTED}
    pages: [cart, home]
    by_page: {cart: 1}
    worst: {status: ERROR}
  - user: 1
    at: 2025-01-01T12:00:00Z
    n: null
    mean_1h: {value: null, status: UNKNOWN_ENTITY}
    total: {status: EMPTY}
  - user: 2
    at: 2025-01-01T12:00:00Z
    mean_1h: {value: null, status: EMPTY}
    last: {value: "??", status: EMPTY}
    worst: {value: null, status: EMPTY}
`
	want := []string{
		`9: n is 2 (PRESENT), expected 3`,
		`10: total is 0.30000000000000004 (PRESENT), expected 0.3`, // the exact sum of both, rounded once
		`12: last is "cart" (PRESENT), expected "cart" (DEFAULTED)`,
		`13: pages is ["home", "cart"] (PRESENT), expected ["cart", "home"]`,
		`14: by_page is {"cart": 1, "home": 1} (PRESENT), expected {"cart": 1}`,
		`15: worst is 50 (PRESENT), expected (ERROR)`,
		`18: n is 0 (PRESENT), expected null (EMPTY or UNKNOWN_ENTITY)`,
		`19: mean_1h is null (EMPTY), expected null (UNKNOWN_ENTITY)`,
		`20: total is 0.30000000000000004 (PRESENT), expected (EMPTY)`,
		`23: mean_1h is null (UNKNOWN_ENTITY), expected null (EMPTY)`,
		`24: last is "??" (DEFAULTED), expected "??" (EMPTY)`,
		`25: worst is null (ERROR), expected null (EMPTY)`,
	}
	expectFailures(t, runText(t, visits, test, paths), paths, want)
}

// expectFailures compares failures with the wanted ones, "line: what", on every path. It does
// not compare reasons, because not every path has them.
func expectFailures(t *testing.T, r *Result, paths []Path, want []string) {
	t.Helper()
	got := r.Failures
	for _, path := range paths {
		for _, w := range want {
			line, what, _ := strings.Cut(w, ": ")
			if len(got) > 0 {
				got[0].Reason = ""
			}
			if text := fmt.Sprintf("features/defs_test.yaml:%s: %s: %s", line, path.Name, what); len(got) == 0 || got[0].String() != text {
				t.Fatalf("failures begin with\n%v\nwant\n%s", got[:min(1, len(got))], text)
			}
			got = got[1:]
		}
	}
	if len(got) > 0 {
		t.Errorf("more failures: %v", got)
	}
}

// A test of a service has two roles and request fields, some of them null; times need not
// ascend.
func TestServiceTestsHoldOnEveryPath(t *testing.T) {
	paths := allPaths(t)
	const test = `kind: FeatureTest
service: model
events:
  visits:
    - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 2.0, page: home}
    - {id: b, ts: 2025-01-01T10:00:01Z, user: 2, amount: null, page: home}
    - {id: c, ts: 2025-01-01T09:59:59Z, user: null, amount: 1.0, page: home}
expect:
  - {user: 1, peer: 2, at: 2025-01-01T10:30:00Z, request: {amount: 3.0}, ratio: 1.5, peers: 1, peer.mean_1h: {value: null, status: EMPTY}}
  - {user: 2, peer: 2, at: 2025-01-01T10:30:00Z, request: {amount: 3.0}, ratio: {value: null, status: EMPTY}, peers: 1}
  - {user: 1, peer: 3, at: 2025-01-01T10:00:00Z, request: {amount: 3.0}, ratio: {value: null, status: UNKNOWN_ENTITY}, peers: 0}
  - {user: 1, peer: 1, at: 2025-01-01T10:00:00.000001Z, request: {amount: 1.0}, ratio: 0.5, peers: 1}
  - {user: 1, peer: 2, at: 2025-01-01T10:30:00Z, request: {amount: null}, activity.n: 1, ratio: {status: ERROR}}
  - {user: 1, peer: 2, at: 2025-01-01T10:30:00Z, activity.mean_1h: 2.0}
`
	if r := runText(t, visits, test, paths); len(r.Failures) > 0 || r.Tests != 1 || r.Values != 12*len(paths) {
		t.Errorf("%+v", r)
	}
	expectFailures(t, runText(t, visits, strings.Replace(test, "ratio: 0.5", "ratio: 0.25", 1), paths), paths,
		[]string{"12: ratio is 0.5 (PRESENT), expected 0.25"})
}

// Redeliveries are one event, in any order [o5].
func TestO5_RedeliveryInTests(t *testing.T) {
	paths := allPaths(t)
	events := []string{
		"  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0, page: home}\n",
		"  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0, page: home}\n",
		"  - {id: a, ts: 2025-01-01T10:00:05Z, user: 1, amount: 4.0, page: home}\n", // later, so it is the conflict
		"  - {id: X, ts: 2025-01-01T10:00:00Z, user: 1, amount: 8.0, page: cart}\n",
		"  - {id: Y, ts: 2025-01-01T10:00:00Z, user: 1, amount: 8.0, page: cart}\n",
	}
	for range events {
		events = append(events[1:], events[0])
		r := runText(t, visits, "kind: FeatureTest\nview: activity\nevents:\n"+strings.Join(events, "")+
			"expect:\n  - {user: 1, at: 2025-01-01T10:30:00Z, n: 3, total: 17.0, by_page: {cart: 2, home: 1}, last: home}\n", paths)
		for _, f := range r.Failures {
			t.Error(f)
		}
	}
}

// Of deliveries that differ and are visible at the same time, the one with the smallest values,
// in the source's order of columns, is the event on every path [o5].
func TestO5_ConflictsInTests(t *testing.T) {
	paths := allPaths(t)
	deliveries := []string{
		"  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 9.0}\n",
		"  - {id: a, ts: 2025-01-01T10:00:00Z, user: 2, amount: 1.0}\n",
		"  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 9.0, page: home}\n",
	}
	for range deliveries {
		deliveries = append(deliveries[1:], deliveries[0])
		r := runText(t, visits, "kind: FeatureTest\nview: activity\nevents:\n"+strings.Join(deliveries, "")+
			"expect:\n  - {user: 1, at: 2025-01-01T10:30:00Z, n: 1, total: 9.0, pages: []}\n  - {user: 2, at: 2025-01-01T10:30:00Z, n: 0}\n", paths)
		for _, f := range r.Failures {
			t.Error(f)
		}
	}
}

// A bad row fails the test on every path, with its line; with bad_rows: skip it is left out on
// every path.
func TestBadRowsInTests(t *testing.T) {
	paths := allPaths(t)
	const test = `kind: FeatureTest
view: activity
events:
  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0}
  - {id: b, ts: null, user: 1, amount: 2.0}
  - {id: c, ts: 2025-01-01T10:00:00Z, user: 1, amount: 4.0}
expect:
  - {user: 1, at: 2025-01-01T10:30:00Z, n: 2, total: 5.0}
`
	r := runText(t, visits, test, paths)
	if len(r.Failures) != len(paths) {
		t.Errorf("%d failures on %d paths: %v", len(r.Failures), len(paths), r.Failures)
	}
	for i, f := range r.Failures {
		if f.Path != paths[i].Name || f.Line != 1 || f.File != "features/defs_test.yaml" || !strings.Contains(f.Error, "event at line 5") || !strings.Contains(f.String(), f.Error) {
			t.Errorf("%+v", f)
		}
	}
	skipping := strings.Replace(visits, "event_id: id\n", "event_id: id\nbad_rows: skip\n", 1)
	if r := runText(t, skipping, test, paths); len(r.Failures) > 0 || r.Values != 2*len(paths) {
		t.Errorf("%+v", r)
	}
}

// A test may have more rows than a replay or a request takes at a time.
func TestManyExpectations(t *testing.T) {
	paths := allPaths(t)
	var b strings.Builder
	b.WriteString("kind: FeatureTest\nview: activity\nevents:\n  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0}\nexpect:\n")
	for i := range 2500 {
		fmt.Fprintf(&b, "  - {user: %d, at: 2025-01-01T10:30:00Z, n: %d}\n", i%2, i%2)
	}
	if r := runText(t, visits, b.String(), paths); len(r.Failures) > 0 || r.Values != 2500*len(paths) {
		t.Errorf("%d values, %v", r.Values, r.Failures[:min(3, len(r.Failures))])
	}
}

// An error of a path is a failure of the test, and the other paths still run.
func TestPathsFailAlone(t *testing.T) {
	broken := Online("broken", func(context.Context, eventlog.Clock) (*backend.Backend, error) {
		return nil, errors.New("no such host")
	})
	const test = "kind: FeatureTest\nview: activity\nevents: []\nexpect:\n  - {user: 1, at: 2025-01-01T10:30:00Z, n: 0}\n"
	r := runText(t, visits, test, []Path{Oracle(), broken, Replay()})
	if len(r.Failures) != 1 || r.Failures[0].String() != "features/defs_test.yaml:1: broken: no such host" || r.Values != 2 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, _, err := featuredefs.Load(filepath.Join(casesDir, "small00"), featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(ctx, p, []Path{Oracle()}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
}
