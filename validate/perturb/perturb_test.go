package perturb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/relation"
)

// definitions has known times of every kind, outcomes, deliveries, two roles and a query.
const definitions = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments-*.parquet
event_time: ts
event_id: id
known_at: arrived
columns:
  id: {type: string}
  user_id: {type: int}
  ts: {type: timestamp}
  arrived: {type: timestamp}
  amount: {type: double}
  country: {type: string}
  took: {type: duration}
  charged_back: {type: bool, outcome: true, known_at: decided}
  decided: {type: timestamp}
---
kind: Source
name: visits
sql: SELECT * FROM 'visits.parquet'
event_time: ts
known_at: {delay: 15m}
columns: {user_id: {type: int}, ts: {type: timestamp}, page: {type: string}}
---
kind: Source
name: scores
from: scores.csv
event_time: ts
known_at: {schedule: "0 2 * * *", delay: 30m}
columns: {user_id: {type: int}, ts: {type: timestamp}, score: {type: int}}
---
kind: FeatureView
name: paid
entity: user
source: payments
features:
  n: count()
  mean: mean(amount, "2d/exact")
  country: {expr: latest(country), default: "??"}
  by_country: count("1d").by(country)
  slow: max(took)
  frauds: 'count().where(charged_back)'
  last: latest_time()
---
kind: FeatureView
name: seen
entity: user
source: visits
features: {pages: 'distinct_count(page, "1d/exact")', visits: 'count("12h")'}
---
kind: FeatureView
name: scored
entity: user
source: scores
features: {score: latest(score), scores: 'latest_n(score, 3)'}
---
kind: FeatureService
name: svc
features: [paid, seen, scored, {view: paid, as: receiver, keys: {user_id: to_id}}]
derived:
  ratio: paid.mean.orValue(0.0) / (receiver.mean.orValue(0.0) + 1.0)
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at}
`

type project struct {
	reader *relation.Reader
	duck   *duckdb.DB
	dir    string
}

func newProject(t *testing.T) *project {
	dir := t.TempDir()
	reader, err := relation.Open(relation.Options{BaseDir: dir, Threads: 2})
	duck, err2 := duckdb.Open(duckdb.Options{Threads: 1})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(reader.Close(), duck.Close()); err != nil {
			t.Error(err)
		}
	})
	return &project{reader, duck, dir}
}

func (p *project) copyTo(t *testing.T, file, sql string) {
	t.Helper()
	if err := p.duck.Exec(context.Background(), "COPY ("+sql+") TO '"+filepath.Join(p.dir, file)+"'"); err != nil {
		t.Fatal(err)
	}
}

// fill writes events and a spine with rows a microsecond after payments, and at the exact times
// at which something becomes known.
func (p *project) fill(t *testing.T) *plan.TrainingSet {
	for f := range 2 {
		p.copyTo(t, fmt.Sprintf("payments-%d.parquet", f), fmt.Sprintf(`SELECT CASE WHEN i %% 9 = 4 THEN 'p' || (i - 3) ELSE 'p' || i END AS id, i %% 40 AS user_id, ts, ts + to_seconds(i %% 7 * 600) AS arrived, i * 0.5::DOUBLE AS amount,
			CASE i %% 3 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' END AS country, to_microseconds(i * 7) AS took, CASE WHEN i %% 5 > 0 THEN i %% 2 = 0 END AS charged_back, CASE WHEN i %% 5 > 0 THEN ts + to_hours(i %% 50) END AS decided
			FROM (SELECT i, TIMESTAMPTZ '2025-01-01' + to_seconds(i * 500) AS ts FROM range(2000) t(i)) WHERE i %% 2 = %d`, f))
	}
	p.copyTo(t, "visits.parquet", `SELECT i % 40 AS user_id, TIMESTAMPTZ '2025-01-01' + to_seconds(i * 300) AS ts, 'page ' || i % 11 AS page FROM range(3000) t(i)`)
	p.copyTo(t, "scores.csv", `SELECT i % 40 AS user_id, strftime(TIMESTAMP '2025-01-01' + to_hours(i), '%Y-%m-%dT%H:%M:%SZ') AS ts, i AS score FROM range(260) t(i)`)
	p.copyTo(t, "spine.parquet", `SELECT i % 40 AS user_id, i * 7 % 40 AS to_id, TIMESTAMPTZ '2025-01-01' + to_seconds(i * 500 + i % 7 * 600) + to_microseconds(i % 2) AS "at" FROM range(200, 1900) t(i)`)
	defstest.Write(t, p.dir, definitions)
	loaded := defstest.Load(t, p.dir, featuredefs.Options{})
	set, _ := loaded.Plan.TrainingSet("set")
	return set
}

func TestTheFutureIsNotSeen(t *testing.T) {
	p := newProject(t)
	set := p.fill(t)
	for seed := range uint64(3) {
		r, err := Check(t.Context(), Config{Reader: p.reader, Set: set, Rows: 90, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		if r.Different > 0 {
			t.Errorf("seed %d: %+v", seed, r)
		}
		if r.Rows != 90 || r.Values == 0 || r.Kept == 0 || r.Changed == 0 || r.Removed == 0 || r.Added == 0 {
			t.Errorf("seed %d: %+v", seed, r)
		}
	}
}

// TestAMicrosecondIsNoticed: if events known a microsecond before a row's time are changed too,
// values differ, so the check would find a dependency on the future of a microsecond.
func TestAMicrosecondIsNoticed(t *testing.T) {
	p := newProject(t)
	set := p.fill(t)
	r, err := Check(t.Context(), Config{Reader: p.reader, Set: set, Rows: 90, Seed: 1, early: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Different == 0 || len(r.First) != maxDifferences {
		t.Fatalf("%+v", r)
	}
	d := r.First[0]
	if text := d.Text("set"); d.Pos.Line == 0 || d.Row < 1 || !strings.Contains(text, " of training set set depends on the future: in row ") {
		t.Errorf("%s, at %+v", text, d.Pos)
	}
}

func TestTheSameSeedDrawsTheSame(t *testing.T) {
	p := newProject(t)
	set := p.fill(t)
	var results [2]*Result
	for i := range results {
		var err error
		if results[i], err = Check(t.Context(), Config{Reader: p.reader, Set: set, Rows: 12, Seed: 7}); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprintf("%+v", *results[0]) != fmt.Sprintf("%+v", *results[1]) {
		t.Errorf("%+v\n%+v", results[0], results[1])
	}
}
