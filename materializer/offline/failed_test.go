package offline

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

const failing = `kind: Entity
name: user
keys: [{name: user, type: string}]
---
kind: Source
name: visits
from: visits-*.parquet
event_time: ts
event_id: id
columns: {id: {type: string}, ts: {type: timestamp}, user: {type: string}, amount: {type: int}}
---
kind: FeatureView
name: v
entity: user
source: visits
features:
  shares: sum(100 / amount)
  more: shares + count().where(7 % amount == 0)
  keyed: 'count({"u0": 1}[user])'
  idle: 100 / count("1h")
  held: '{"x": 1}[latest(user).orValue("x")]'
---
kind: FeatureService
name: s
features: [v]
request: {basket: int}
derived:
  ratio: {expr: request.basket / (request.basket - 3), default: 0, on_error: default}
  behind: v.idle + 1
`

// wantFailures is what the manifest says of failing; row 1 of the spine is dropped.
const wantFailures = `v.shares: 20 events, 0 rows
[{"event_time":"2025-01-01T00:00:00Z","event_id":"e0","error":"division by zero"},{"event_time":"2025-01-01T00:00:00Z","event_id":"e30","error":"division by zero"},{"event_time":"2025-01-01T01:00:00Z","event_id":"e21","error":"division by zero"}]
v.more: 40 events, 0 rows
[{"event_time":"2025-01-01T00:00:00Z","event_id":"e0","error":"modulus by zero"},{"event_time":"2025-01-01T00:00:00Z","event_id":"e0","error":"division by zero"},{"event_time":"2025-01-01T00:00:00Z","event_id":"e30","error":"modulus by zero"}]
v.keyed: 45 events, 0 rows
[{"event_time":"2025-01-01T00:00:00Z","event_id":"e10","error":"no such key: …"},{"event_time":"2025-01-01T00:00:00Z","event_id":"e30","error":"no such key: …"},{"event_time":"2025-01-01T00:00:00Z","event_id":"e50","error":"no such key: …"}]
v.idle: 0 events, 1999 rows
[{"row":2,"as_of":"2025-01-02T00:01:00Z","error":"division by zero"},{"row":3,"as_of":"2025-01-02T00:02:00Z","error":"division by zero"},{"row":4,"as_of":"2025-01-02T00:03:00Z","error":"division by zero"}]
v.held: 0 events, 1999 rows
[{"row":2,"as_of":"2025-01-02T00:01:00Z","error":"no such key: …"},{"row":3,"as_of":"2025-01-02T00:02:00Z","error":"no such key: …"},{"row":4,"as_of":"2025-01-02T00:03:00Z","error":"no such key: …"}]
ratio: 0 events, 400 rows
[{"row":4,"as_of":"2025-01-02T00:03:00Z","error":"division by zero"},{"row":9,"as_of":"2025-01-02T00:08:00Z","error":"division by zero"},{"row":14,"as_of":"2025-01-02T00:13:00Z","error":"division by zero"}]
behind: 0 events, 1999 rows
[{"row":2,"as_of":"2025-01-02T00:01:00Z","error":"v.idle failed"},{"row":3,"as_of":"2025-01-02T00:02:00Z","error":"v.idle failed"},{"row":4,"as_of":"2025-01-02T00:03:00Z","error":"v.idle failed"}]
`

// TestReasonsOfFailures: the manifest says why events were left out and rows have no
// value, by the first few of them, whatever memory, threads and files are, and without
// naming keys.
func TestReasonsOfFailures(t *testing.T) {
	p := newProject(t)
	service, _ := p.define(t, failing).Service("s")
	set := &plan.TrainingSet{Name: "set", Service: service,
		Spine: plan.Spine{From: "spine.parquet", Time: "at", LabelKnownAt: "known"},
		Split: &plan.Split{Train: 1, HorizonDeclared: true, LabelHorizon: 1}} // the last row is too young
	const events = `SELECT 'e' || i AS id, TIMESTAMPTZ '2025-01-01T00:00:00Z' + INTERVAL (i %% 10) HOUR AS ts,
		'u' || (i %% 4) AS "user", i %% 3 AS amount FROM range(60) r(i) WHERE i %% 2 = %d ORDER BY hash(i + %[1]d)`
	p.copyTo(t, "spine.parquet", `SELECT 'u' || (i % 4) AS "user", i % 5 AS basket, TIMESTAMPTZ '2025-01-02T00:00:00Z' + INTERVAL (CASE WHEN i = 0 THEN 9999 ELSE i END) MINUTE AS at,
		TIMESTAMPTZ '2025-01-01T00:00:00Z' AS known FROM range(2000) r(i) ORDER BY i`)
	for try := range 4 {
		for i := range 2 {
			p.copyTo(t, fmt.Sprintf("visits-%d.parquet", (i+try)%2), fmt.Sprintf(events, i))
		}
		m, err := Train(context.Background(), Config{
			Reader: p.db, Set: set, Out: filepath.Join(p.dir, "out"), Threads: 1 + try%2, Memory: []int64{0, 2000, 4000, 0}[try],
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := failuresOf(t, m); got != wantFailures {
			t.Fatalf("run %d: the manifest says\n%s\nwant\n%s", try, got, wantFailures)
		}
	}
}

// failuresOf is what a manifest says of failures, one line a sample.
func failuresOf(t *testing.T, m *Manifest) string {
	t.Helper()
	text := ""
	for _, o := range m.Outputs {
		text += fmt.Sprintf("%s: %d events, %d rows\n", o.Name, o.RowErrors, o.Statuses["ERROR"])
		for _, samples := range []any{o.RowErrorSamples, o.ErrorSamples} {
			raw, err := json.Marshal(samples)
			if err != nil {
				t.Fatal(err)
			}
			if string(raw) != "null" {
				text += string(raw) + "\n"
			}
		}
	}
	return text
}
