package offline

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var (
	rebuilds    = flag.Int("rebuilds", 12, "number of rebuilds of one training set, for each format of its files; with -short a third")
	rebuildSeed = flag.Uint64("rebuild-seed", rand.Uint64(), "seed of the rebuilds")
)

const rebuilt = `kind: Entity
name: person
keys: [{name: who, type: int}]
---
kind: Source
name: events
from: events-*.%s
event_time: ts
event_id: id
known_at: known
columns: {id: {type: string}, who: {type: int}, ts: {type: timestamp}, known: {type: timestamp}, amount: {type: double}, text: {type: string}, outcome: {type: int, known_at: outcome_at}, outcome_at: {type: timestamp}}
---
kind: FeatureView
name: v
entity: person
source: events
features:
  n: count("5d/1d")
  sum: sum(amount, "10d/exact")
  spread: stddev_samp(amount)
  most: max(amount, "3d/exact")
  text: latest(text)
  texts: latest_n(text, 3, "20d/exact")
  about: approx_distinct(text, "10d/exact")
  often: top_k(text, 2)
  outcome: mean(outcome, "20d/exact")
  quantile: approx_quantile(amount, 0.9, "10d/1d")
---
kind: FeatureService
name: svc
features: [v]
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at}
`

// Rebuilds of a training set have the same bytes: with any memory and number of threads, and with its events in any order,
// number of files and size of row groups. Half of the events are of one entity; some come again, and are known later [p7] [o3].
func TestP7_RebuildsHaveTheSameBytes(t *testing.T) {
	t.Logf("-rebuild-seed %d", *rebuildSeed)
	for _, format := range []string{"parquet", "csv"} {
		t.Run(format, func(t *testing.T) {
			random := rand.New(rand.NewPCG(*rebuildSeed, 1))
			p := newProject(t)
			p.copyTo(t, "all.parquet", `SELECT 'id-' || i AS id, CASE WHEN i % 2 = 0 THEN 0 ELSE hash(i) % 40 END::BIGINT AS who, make_timestamp(1735689600000000 + (hash(i, 1) % 720)::BIGINT * 3600000000) AS ts,
				ts + to_hours((hash(i, 2) % 30)::INTEGER) + to_hours(copy::INTEGER * 5) AS known, (hash(i, 3) % 1000)::DOUBLE / 7 AS amount, 't' || hash(i, 4) % 50 AS text,
				CASE WHEN i % 3 = 0 THEN hash(i, 5) % 5 END::BIGINT AS outcome, CASE WHEN i % 3 = 0 THEN ts + to_days((hash(i, 6) % 9)::INTEGER) END AS outcome_at
				FROM range(1500) t(i), range(2) c(copy) WHERE copy = 0 OR i % 10 = 0`)
			p.copyTo(t, "spine.parquet", `SELECT CASE WHEN i % 3 = 0 THEN 0 ELSE i % 45 END::BIGINT AS who, make_timestamp(1735689600000000 + (hash(i, 8) % 800)::BIGINT * 3600000000) AS at FROM range(200) t(i)`)
			want, times := "", *rebuilds
			if testing.Short() {
				times = max(2, times/3)
			}
			for i := range times {
				p.divideEvents(t, format, random)
				set, _ := p.define(t, fmt.Sprintf(rebuilt, format)).TrainingSet("set")
				c := p.config(set)
				c.Threads = 1 + random.IntN(4)
				c.Memory = []int64{0, 1, 3000, 30_000, 300_000, 3 << 20}[random.IntN(6)]
				c.WithStatus = true
				got := p.train(t, c).Files[0].SHA256
				if want == "" {
					want = got
				}
				if got != want {
					t.Fatalf("rebuild %d, with memory %d and %d threads, has other bytes", i, c.Memory, c.Threads)
				}
			}
		})
	}
}

// divideEvents writes the events in random order to a random number of files.
func (p *project) divideEvents(t *testing.T, format string, random *rand.Rand) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(p.dir, "events-*."+format))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	columns, options := "*", "FORMAT parquet, ROW_GROUP_SIZE 2048"
	if format == "csv" {
		columns = `* REPLACE (strftime(ts, '%Y-%m-%dT%H:%M:%SZ') AS ts, strftime(known, '%Y-%m-%dT%H:%M:%SZ') AS known, strftime(outcome_at, '%Y-%m-%dT%H:%M:%SZ') AS outcome_at)`
		options = "FORMAT csv, HEADER"
	}
	files, seed := 1+random.IntN(5), random.Uint32()
	for f := range files {
		sql := fmt.Sprintf("COPY (SELECT %s FROM '%s' WHERE hash(id, known, %d) %% %d = %d ORDER BY hash(id, known, %d)) TO '%s' (%s)", columns, filepath.Join(p.dir, "all.parquet"),
			seed, files, f, seed+1, filepath.Join(p.dir, fmt.Sprintf("events-%d.%s", f, format)), options)
		if err := p.duck.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}
