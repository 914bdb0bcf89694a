package featuredefs_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

const testedProject = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: s
stream: true
event_time: ts
columns:
  user_id: {type: int}
  ts: {type: timestamp}
  amount: {type: double}
  country: {type: string}
  wait: {type: duration}
---
kind: FeatureView
name: v
entity: user
source: s
features:
  n: count()
  avg: mean(amount)
  by: sum(amount).by(country)
  top: top_k(country, 2)
  times: latest_n(ts, 2)
---
kind: FeatureService
name: svc
features: [v.n, {view: v, as: other, keys: {user_id: other_id}}]
request: {limit: double}
derived: {over: v.n > int(request.limit)}
---
kind: FeatureTest
view: v
events:
  - {user_id: 1, ts: 2025-01-01T10:00:00Z, amount: 3, country: US, wait: 90s}
  - {user_id: null, ts: 2025-01-01T10:00:00.0000019Z, country: null}
expect:
  - {user_id: 1, at: 2025-01-01T10:00:00Z, n: 0, avg: null, by: {}, top: [], times: [2025-01-01T10:00:00Z]}
  - {user_id: 1, at: 2025-01-02T00:00:00Z, avg: {value: .nan, status: PRESENT}, by: {value: {US: 1}}, top: {status: ERROR}}
  - {user_id: 1, at: 2025-01-02T00:00:00Z, by: {value: 1, status: 2}}
---
kind: FeatureTest
service: svc
events:
  s:
    - {user_id: 1, ts: 2025-01-01T10:00:00Z}
expect:
  - {user_id: 1, other_id: 2, at: 2025-01-02T00:00:00Z, request: {limit: 1}, v.n: 1, other.avg: {value: null, status: EMPTY}, over: false}
`

func loadTests(t *testing.T) []*featuredefs.Test {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	writeFile(t, filepath.Join(dir, "features", "a.yaml"), testedProject)
	tests := loadClean(t, dir, featuredefs.Options{}).Tests
	if len(tests) != 2 {
		t.Fatalf("%d tests", len(tests))
	}
	return tests
}

func str(s string) plan.Value { return plan.StringValue(s) }

func equalValues(t *testing.T, what string, got []plan.Value, want ...plan.Value) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Errorf("%s %d: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestFeatureTest_Events(t *testing.T) {
	rows := loadTests(t)[0].Events[0].Rows
	ten := plan.TimestampValue(1735725600000000)
	equalValues(t, "row 0", rows[0].Values, plan.IntValue(1), ten, plan.DoubleValue(3), str("US"), plan.DurationValue(90*time.Second))
	equalValues(t, "row 1", rows[1].Values, plan.NullValue(), plan.TimestampValue(ten.Time()+1), plan.NullValue(), plan.NullValue(), plan.NullValue())
}

func TestFeatureTest_Expectations(t *testing.T) {
	expect := loadTests(t)[0].Expect
	type want struct {
		name, status string
		hasValue     bool
		value        plan.Value
	}
	us := plan.MapValue([]plan.Value{str("US")}, []plan.Value{plan.DoubleValue(1)})
	for i, wants := range [][]want{
		{
			{"n", "", true, plan.IntValue(0)},
			{"avg", "", true, plan.NullValue()},
			{"by", "", true, plan.MapValue(nil, nil)},
			{"top", "", true, plan.ListValue(nil)},
			{"times", "", true, plan.ListValue([]plan.Value{plan.TimestampValue(1735725600000000)})},
		},
		{
			{"avg", "PRESENT", true, plan.DoubleValue(plan.DoubleOfOrdered(^uint64(0)))},
			{"by", "", true, us},
			{"top", "ERROR", false, plan.NullValue()},
		},
		{
			{"by", "", true, plan.MapValue([]plan.Value{str("status"), str("value")}, []plan.Value{plan.DoubleValue(2), plan.DoubleValue(1)})},
		},
	} {
		got := expect[i].Features
		if len(got) != len(wants) {
			t.Fatalf("expectation %d has %d features, want %d", i, len(got), len(wants))
		}
		for j, w := range wants {
			g := got[j]
			if g.Name != w.name || g.Status != w.status || g.HasValue != w.hasValue || !g.Value.Equal(w.value) {
				t.Errorf("expectation %d: got %+v, want %+v", i, g, w)
			}
		}
	}
}

func TestFeatureTest_Service(t *testing.T) {
	x := loadTests(t)[1].Expect[0]
	equalValues(t, "keys", x.Keys, plan.IntValue(1), plan.IntValue(2))
	equalValues(t, "request", x.Request, plan.DoubleValue(1))
	service := loadTests(t)[1].Service
	for i, want := range []string{"v.n", "other.avg", "over"} {
		f := x.Features[i]
		if f.Name != want || service.Outputs()[f.Index].Name != want {
			t.Errorf("feature %d is %s, output %d; want %s", i, f.Name, f.Index, want)
		}
	}
}
