package golden

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
)

// wrapped opens in-memory backends and wraps their logs.
func wrapped(wrap func(eventlog.Log) eventlog.Log) backend.Opener {
	return func(ctx context.Context, clock eventlog.Clock) (*backend.Backend, error) {
		b, err := backend.InMemory(ctx, clock)
		if err == nil {
			b.Log = wrap(b.Log)
		}
		return b, err
	}
}

// countingLog counts the outcomes of the entries.
type countingLog struct {
	eventlog.Log
	outcomes map[eventlog.Outcome]int
}

func (l *countingLog) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	results, err := l.Log.Append(ctx, shard, entries)
	for _, r := range results {
		if shard == eventlog.SourceOf(shard) { // and not how many shards there are
			l.outcomes[r.Outcome]++
		}
	}
	return results, err
}

// forgetfulLog ignores ids.
type forgetfulLog struct{ eventlog.Log }

func (l forgetfulLog) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].ID = ""
	}
	return l.Log.Append(ctx, shard, entries)
}

// An event that is delivered twice is pushed twice, and the log finds the redelivery, before
// and after the event was read [o5].
func TestO5_RedeliveriesArePushed(t *testing.T) {
	const test = `kind: FeatureTest
view: activity
events:
  - {id: a, ts: 2025-01-01T10:20:00Z, user: 2, amount: 8.0, page: cart} # in conflict, later
  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0, page: home}
  - {id: b, ts: 2025-01-01T10:05:00Z, user: 1, amount: 2.0, page: home}
  - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.0, page: home}
  - {id: b, ts: 2025-01-01T10:05:00Z, user: 1, amount: 2.0} # in conflict, at once, and smaller
  - {id: c, ts: 2025-01-01T10:30:00Z, user: null, amount: 4.0}
  - {id: c, ts: 2025-01-01T10:31:00Z, user: 1, amount: 4.0} # of an entity, but not the first
expect:
  - {user: 1, at: 2025-01-01T10:05:00Z, n: 1, total: 1.0, by_page: {home: 1}}
  - {user: 1, at: 2025-01-01T10:10:00Z, n: 2, total: 3.0, by_page: {home: 1}}
  - {user: 2, at: 2025-01-01T10:40:00Z, n: 0, total: 0.0, last: {value: "??", status: DEFAULTED}, mean_1h: {value: null, status: UNKNOWN_ENTITY}}
  - {user: 1, at: 2025-01-01T10:40:00Z, n: 2, total: 3.0, by_page: {home: 1}, last: home, pages: [home]}
`
	counting := &countingLog{outcomes: map[eventlog.Outcome]int{}}
	counted := Online("counted", wrapped(func(log eventlog.Log) eventlog.Log { counting.Log = log; return counting }))
	for _, f := range runText(t, visits, test, append(allPaths(t), counted)).Failures {
		t.Error(f)
	}
	if o := counting.outcomes; o[eventlog.Appended] != 3 || o[eventlog.Duplicate] != 1 || o[eventlog.Conflict] != 3 {
		t.Errorf("the log says %v", o)
	}

	forgetful := Online("forgetful", wrapped(func(log eventlog.Log) eventlog.Log { return forgetfulLog{log} }))
	r := runText(t, visits, test, []Path{forgetful})
	if len(r.Failures) == 0 || !strings.HasSuffix(r.Failures[0].String(), "forgetful: n is 2 (PRESENT), expected 1") {
		t.Errorf("a log without deduplication passes: %v", r.Failures)
	}
}
