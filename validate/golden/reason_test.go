package golden

import (
	"strings"
	"testing"
)

const broken = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: visits
stream: true
event_time: ts
event_id: id
columns: {id: {type: string}, ts: {type: timestamp}, user: {type: int}, amount: {type: int}}
---
kind: FeatureView
name: v
entity: user
source: visits
features:
  n: count()
  shares: sum(100 / amount)
  rate: 60 / count("1h")
---
kind: FeatureService
name: s
features: [v]
request: {x: int}
derived:
  ratio: request.x / v.n
  behind: v.rate + 1
`

// A failing expectation has cel-go's message about the expression, or about the events that
// were left out.
func TestReasons(t *testing.T) {
	const test = `kind: FeatureTest
service: s
events:
  visits:
    - {id: a, ts: 2025-01-01T10:00:00Z, user: 1, amount: 0}
    - {id: b, ts: 2025-01-01T10:00:00Z, user: 1, amount: 5}
expect:
  - user: 1
    at: 2025-01-01T12:00:00Z
    request: {x: 1}
    v.shares: 120
    v.rate: 1
    behind: 2
  - {user: 2, at: 2025-01-01T12:00:00Z, request: {x: 1}, ratio: 1}
`
	var got strings.Builder
	for _, f := range runText(t, broken, test, allPaths(t)[:3]).Failures {
		got.WriteString(f.String() + "\n")
	}
	if got.String() != wantReasons {
		t.Errorf("got\n%s\nwant\n%s", got.String(), wantReasons)
	}
}

const wantReasons = `features/defs_test.yaml:11: oracle: v.shares is 20 (PRESENT), expected 120
features/defs_test.yaml:12: oracle: v.rate is null (ERROR), expected 1: division by zero
features/defs_test.yaml:13: oracle: behind is null (ERROR), expected 2: division by zero
features/defs_test.yaml:14: oracle: ratio is null (ERROR), expected 1: division by zero
features/defs_test.yaml:11: replay: v.shares is 20 (PRESENT), expected 120: 1 event left out; event "a" at 2025-01-01T10:00:00Z: division by zero
features/defs_test.yaml:12: replay: v.rate is null (ERROR), expected 1: division by zero
features/defs_test.yaml:13: replay: behind is null (ERROR), expected 2: v.rate failed
features/defs_test.yaml:14: replay: ratio is null (ERROR), expected 1: division by zero
features/defs_test.yaml:11: embedded: v.shares is 20 (PRESENT), expected 120
features/defs_test.yaml:12: embedded: v.rate is null (ERROR), expected 1
features/defs_test.yaml:13: embedded: behind is null (ERROR), expected 2
features/defs_test.yaml:14: embedded: ratio is null (ERROR), expected 1
`
