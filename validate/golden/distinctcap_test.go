package golden

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/backend"
)

// The default cap and a declared one above it are enforced on every path.
func TestCapsOfDistinctCount(t *testing.T) {
	definitions := strings.Replace(pitfalls, "  n: count()\n",
		"  n: distinct_count(int(x))\n  more: distinct_count(int(x)).cap(10001)\n", 1)
	var events []string
	for i := range 10_002 {
		events = append(events, fmt.Sprintf("{a: k, b: 1, x: %d.0, ts: 2025-01-01T10:00:00.%06dZ, seen: 2025-01-01T10:00:00Z}", i, i))
	}
	test := "kind: FeatureTest\nview: v\nevents: [" + strings.Join(events, ",\n  ") + `]
expect:
  - {a: k, b: 1, at: 2025-01-01T10:00:00.01Z, n: 10000, more: 10000}
  - {a: k, b: 1, at: 2025-01-01T10:00:00.010001Z, n: {status: ERROR}, more: 10001}
  - {a: k, b: 1, at: 2025-01-01T10:00:00.010002Z, n: {status: ERROR}, more: {status: ERROR}}
`
	r := runText(t, definitions, test, []Path{Oracle(), Replay(), Online("embedded", backend.InMemory)})
	for _, f := range r.Failures {
		t.Error(f)
	}
	if r.Values == 0 {
		t.Error("no value was compared")
	}
}
