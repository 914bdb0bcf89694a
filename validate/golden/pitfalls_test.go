package golden

import (
	"strings"
	"testing"
)

// pitfalls is the project of the tests in this file.
const pitfalls = `kind: Entity
name: pair
keys: [{name: a, type: string}, {name: b, type: int}]
---
kind: Source
name: pushes
stream: true
event_time: ts
known_at: seen
columns:
  ts: {type: timestamp}
  seen: {type: timestamp}
  a: {type: string}
  b: {type: int}
  x: {type: double}
  outcome: {type: bool, outcome: true, known_at: closed}
  closed: {type: timestamp}
---
kind: FeatureView
name: v
entity: pair
source: pushes
features:
  n: count()
  n_1h: count("1h/15m")
  n_1h_exact: count("1h/exact")
  n_90s: count("90s/45s")
  sum: sum(x)
  mean: mean(x, "1h/exact")
  last: {expr: 'latest(x, "1h/exact")', default: -1.0}
  bad: count().where(outcome)
  by_day: count("1d")
`

// expectOnEveryPath runs a test with the given events and expectations on every path.
func expectOnEveryPath(t *testing.T, events, expect []string) {
	t.Helper()
	paths := allPaths(t)
	text := "kind: FeatureTest\nview: v\nevents: [" + strings.Join(events, ",\n  ") + "]\nexpect: [" + strings.Join(expect, ",\n  ") + "]\n"
	r := runText(t, pitfalls, text, paths)
	for _, f := range r.Failures {
		t.Error(f)
	}
	if r.Values == 0 {
		t.Error("no value was compared")
	}
}

// Both ends of a window are the same on every path: it includes its lower end and excludes its
// upper end [b1].
func TestB1_EndsOfWindows(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z}",
	}, []string{
		"{a: k, b: 1, at: 2025-01-01T10:00:00Z, n: 0, n_1h: 0, n_1h_exact: 0, n_90s: 0}",
		"{a: k, b: 1, at: 2025-01-01T10:00:00.000001Z, n: 1, n_1h: 1, n_1h_exact: 1, n_90s: 1}",
		"{a: k, b: 1, at: 2025-01-01T11:00:00Z, n_1h: 1, n_1h_exact: 1}",
		"{a: k, b: 1, at: 2025-01-01T11:00:00.000001Z, n_1h: 1, n_1h_exact: 0}",
		"{a: k, b: 1, at: 2025-01-01T11:14:59.999999Z, n_1h: 1, n_1h_exact: 0}",
		"{a: k, b: 1, at: 2025-01-01T11:15:00Z, n_1h: 0, n_1h_exact: 0}",
		"{a: k, b: 1, at: 2025-01-01T10:02:14.999999Z, n_90s: 1}",
		"{a: k, b: 1, at: 2025-01-01T10:02:15Z, n_90s: 0}",
	})
}

// Hops are aligned to the epoch, and times before it are floored [b4].
func TestB4_HopsBeforeTheEpoch(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: k, b: 1, ts: 1969-12-31T23:50:00Z, seen: 1969-12-31T23:50:00Z}",
		"{a: k, b: 1, ts: 0001-01-01T00:00:00Z, seen: 0001-01-01T00:00:00Z}",
	}, []string{
		"{a: k, b: 1, at: 0001-01-01T00:00:00Z, n: 0}",
		"{a: k, b: 1, at: 0001-01-01T00:00:00.000001Z, n: 1, n_1h: 1, by_day: 1}",
		"{a: k, b: 1, at: 1969-12-31T23:59:59.999999Z, n: 2, n_1h: 1, n_90s: 0}",
		"{a: k, b: 1, at: 1970-01-01T00:59:59.999999Z, n_1h: 1, n_1h_exact: 0}",
		"{a: k, b: 1, at: 1970-01-01T01:00:00Z, n_1h: 0}",
		"{a: k, b: 1, at: 9999-12-31T23:59:59.999999Z, n: 2, n_1h: 0}",
	})
}

// The predicted row never sees itself [w4], nor events that become known at the same time.
func TestW4_RowDoesNotSeeItself(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 1.0}",
		"{a: k, b: 1, ts: 2025-01-01T09:00:00Z, seen: 2025-01-01T10:00:00Z, x: 2.0}",
		"{a: k, b: 1, ts: 2025-01-01T09:30:00Z, seen: 2025-01-01T09:30:00Z, x: 4.0}",
	}, []string{
		"{a: k, b: 1, at: 2025-01-01T10:00:00Z, n: 1, sum: 4.0, last: 4.0}",
		"{a: k, b: 1, at: 2025-01-01T10:00:00.000001Z, n: 3, sum: 7.0, last: 1.0}",
	})
}

// A row that arrives late is in no earlier value, although its event time is in the window [w1].
// A known time before the event time does not make a row visible before its event time.
func TestW1_LateRows(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:40:00Z, x: 1.0}",
		"{a: k, b: 1, ts: 2025-01-01T10:30:00Z, seen: 2024-12-31T00:00:00Z, x: 2.0}",
		"{a: k, b: 1, ts: 2025-01-01T08:00:00Z, seen: 2025-01-01T10:50:00Z, x: 4.0}",
	}, []string{
		"{a: k, b: 1, at: 2025-01-01T10:30:00Z, n: 0, mean: {value: null, status: UNKNOWN_ENTITY}}",
		"{a: k, b: 1, at: 2025-01-01T10:40:00Z, n: 1, mean: 2.0}",
		"{a: k, b: 1, at: 2025-01-01T10:40:00.000001Z, n: 2, mean: 1.5, last: 2.0}",
		"{a: k, b: 1, at: 2025-01-01T10:50:00.000001Z, n: 3, sum: 7.0, mean: 1.5}",
	})
}

// An outcome counts from its known time on, in features that read it [w3].
func TestW3_Outcomes(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, outcome: true, closed: 2025-01-05T00:00:00Z}",
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, outcome: true, closed: null}",
		"{a: k, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-03T00:00:00Z, outcome: true, closed: 2025-01-02T00:00:00Z}",
	}, []string{
		"{a: k, b: 1, at: 2025-01-03T00:00:00Z, n: 2, bad: 0}",
		"{a: k, b: 1, at: 2025-01-03T00:00:00.000001Z, n: 3, bad: 1}",
		"{a: k, b: 1, at: 2025-01-05T00:00:00Z, n: 3, bad: 1}",
		"{a: k, b: 1, at: 2025-01-05T00:00:00.000001Z, n: 3, bad: 2}",
		"{a: k, b: 1, at: 9999-01-01T00:00:00Z, n: 3, bad: 2}",
	})
}

// Null, zero, missing, expired and defaulted values are distinguished in the same way on every
// path [n1], and a default applies on every path [n2], also to a window that has expired [n3].
func TestN1_WaysOfHavingNoValue(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: null_x, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: null}",
		"{a: zero_x, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 0.0}",
		"{a: null, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 8.0}",
		"{a: nan, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: .nan}",
		"{a: minus, b: 1, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: -0.0}",
	}, []string{
		"{a: null_x, b: 1, at: 2025-01-01T10:30:00Z, mean: {value: null, status: EMPTY}, last: {value: -1.0, status: DEFAULTED}, sum: 0.0}",
		"{a: zero_x, b: 1, at: 2025-01-01T10:30:00Z, mean: {value: 0.0, status: PRESENT}, last: {value: 0.0, status: PRESENT}}",
		"{a: zero_x, b: 1, at: 2025-01-01T11:30:00Z, mean: {value: null, status: EMPTY}, last: {value: -1.0, status: DEFAULTED}, sum: {value: 0.0, status: PRESENT}}",
		"{a: missing, b: 1, at: 2025-01-01T10:30:00Z, mean: {value: null, status: UNKNOWN_ENTITY}, last: {value: -1.0, status: DEFAULTED}, n: {value: 0, status: PRESENT}}",
		"{a: nan, b: 1, at: 2025-01-01T10:30:00Z, mean: {value: .nan, status: PRESENT}, sum: .nan, last: .nan}",
		"{a: minus, b: 1, at: 2025-01-01T10:30:00Z, last: -0.0}",
	})
}

// Keys are compared component by component [k1], and a key with a null has no entity [k3].
func TestK1_Keys(t *testing.T) {
	expectOnEveryPath(t, []string{
		"{a: '1', b: 23, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 1.0}",
		"{a: '12', b: 3, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 2.0}",
		"{a: '', b: 123, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 4.0}",
		"{a: null, b: 123, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 8.0}",
		"{a: '1', b: null, ts: 2025-01-01T10:00:00Z, seen: 2025-01-01T10:00:00Z, x: 16.0}",
	}, []string{
		"{a: '1', b: 23, at: 2025-01-01T10:30:00Z, sum: 1.0}",
		"{a: '12', b: 3, at: 2025-01-01T10:30:00Z, sum: 2.0}",
		"{a: '', b: 123, at: 2025-01-01T10:30:00Z, sum: 4.0}",
		"{a: '123', b: 0, at: 2025-01-01T10:30:00Z, n: 0, mean: {value: null, status: UNKNOWN_ENTITY}}",
	})
}

// Sums do not depend on the order of events, nor lose small values to cancellation [o1].
func TestO1_SumsInAnyOrder(t *testing.T) {
	events := []string{
		"{a: k, b: 1, ts: 2025-01-01T10:00:01Z, seen: 2025-01-01T10:00:01Z, x: 1.0e+300}",
		"{a: k, b: 1, ts: 2025-01-01T10:00:02Z, seen: 2025-01-01T10:00:02Z, x: 0.1}",
		"{a: k, b: 1, ts: 2025-01-01T10:00:03Z, seen: 2025-01-01T10:00:03Z, x: -1.0e+300}",
		"{a: k, b: 1, ts: 2025-01-01T10:00:04Z, seen: 2025-01-01T10:00:04Z, x: 0.2}",
	}
	for range events {
		events = append(events[1:], events[0])
		expectOnEveryPath(t, events, []string{
			"{a: k, b: 1, at: 2025-01-01T10:30:00Z, sum: 0.30000000000000004, mean: 0.07500000000000001}",
			"{a: k, b: 1, at: 2025-01-01T11:00:01.000001Z, sum: 0.30000000000000004, mean: -3.3333333333333334e+299}",
		})
	}
}
