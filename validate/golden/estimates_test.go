package golden

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/oracle"
)

const sketches = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: visits
stream: true
event_time: ts
columns: {ts: {type: timestamp}, user: {type: int}, amount: {type: double}, page: {type: int}}
---
kind: FeatureView
name: v
entity: user
source: visits
features:
  least: approx_quantile(amount, 0.0)
  least_1h: {expr: 'approx_quantile(amount, 0.0, "1h")', default: 0.0}
  least_twice: least.orValue(0.0) * 2.0
  pages: approx_distinct(page)
  many: approx_distinct(page) > 995
  exact: distinct_count(page) > 995
---
kind: FeatureService
name: s
features: [v, {view: v, as: peer, keys: {user: peer}}]
derived:
  both: v.pages + peer.pages
`

// On every path, a test expects the engine's estimate, also in features derived from it, and
// not the oracle's exact value.
func TestEstimates(t *testing.T) {
	var events strings.Builder
	events.WriteString("    - {ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.5, page: 0}\n")
	for page := range 1000 {
		fmt.Fprintf(&events, "    - {ts: 2025-01-01T10:00:00Z, user: 2, amount: null, page: %d}\n", page)
	}
	test := "kind: FeatureTest\nservice: s\nevents:\n  visits:\n" + events.String() + `expect:
  - {user: 1, peer: 2, at: 2025-01-01T10:30:00Z, v.least: 1.5077720207253886, v.least_1h: 1.5077720207253886, v.least_twice: 3.0155440414507773, both: 996}
  - {user: 1, peer: 3, at: 2025-01-01T12:30:00Z, v.least: 1.5077720207253886, v.least_1h: {value: 0.0, status: DEFAULTED}, both: 1}
  - {user: 2, peer: 1, at: 2025-01-01T10:30:00Z, v.least: null, v.pages: 995, v.many: false, v.exact: true, peer.pages: 1}
`
	paths := allPaths(t)
	for _, f := range runText(t, sketches, test, paths).Failures {
		t.Error(f)
	}
	line := strings.Count(test, "\n")
	expectFailures(t, runText(t, sketches, strings.Replace(test, "v.pages: 995", "v.pages: 1000", 1), paths), paths,
		[]string{fmt.Sprintf("%d: v.pages is 995 (PRESENT), expected 1000", line)})
}

// An estimate outside its bound fails the test, whatever value it expects.
func TestEstimatesOutsideTheirBound(t *testing.T) {
	o := oracle.NewAccepting(func(*plan.View, int, []plan.Value, plan.EventTime) (plan.Value, error) {
		return plan.OptionalValue(plan.DoubleValue(1.52)), nil
	})
	wrong := Path{"oracle", func(_ context.Context, c *Case) ([][]Cell, error) {
		events, err := oracleEvents(c.Test)
		if err != nil {
			return nil, err
		}
		_, err = o.View(c.Test.View, events, c.Rows[0].Keys, c.Rows[0].At)
		return nil, err
	}}
	const test = `kind: FeatureTest
view: v
events: [{ts: 2025-01-01T10:00:00Z, user: 1, amount: 1.5, page: 0}]
expect: [{user: 1, at: 2025-01-01T10:30:00Z, least: 1.52}]
`
	only := strings.Replace(strings.Split(sketches, "  pages:")[0], "least_1h", "other", 1)
	r := runText(t, only, test, []Path{wrong})
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].Error, "the estimate of approx_quantile as of 2025-01-01T10:30:00Z is 1.52, outside the bound around 1.5") {
		t.Errorf("%v", r.Failures)
	}
}
