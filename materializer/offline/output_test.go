package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/disktest"
	"github.com/unskew/unskew/internal/relation"
)

const shop = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: orders
from: orders-*.parquet
event_time: ts
event_id: id
---
kind: FeatureView
name: spend
entity: user
source: orders
features:
  total: sum(amount)
  n: count()
  mean_7d: mean(amount, "7d")
  last_country: {expr: latest(country), default: "??"}
  by_country: count().by(country)
  last_two: latest_n(amount, 2)
  last_at: latest_time()
  age: now - latest_time().orValue(now)
  ratio: sum(100 / qty)
---
kind: FeatureService
name: svc
features: [spend, {view: spend, as: receiver, keys: {user_id: to_id}}]
request: {price: double}
derived:
  relative: request.price / spend.mean_7d.orValue(request.price)
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at, label: paid}
`

// newShop has rows orders of ten users, 1000 seconds apart, and a spine of the given rows.
func newShop(t testing.TB, orders, spine int) (*project, *plan.TrainingSet) {
	t.Helper()
	p := newProject(t)
	for f := range 3 {
		p.copyTo(t, fmt.Sprintf("orders-%d.parquet", f), fmt.Sprintf(`SELECT 'o' || i AS id, i %% 10 AS user_id, TIMESTAMP '2025-01-01' + to_seconds(i * 1000) AS ts,
			CASE WHEN i %% 7 = 0 THEN NULL ELSE i * 0.1 END::DOUBLE AS amount, CASE i %% 3 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' END AS country, i %% 4 AS qty FROM range(%d) t(i) WHERE i %% 3 = %d`, orders, f))
	}
	p.copyTo(t, "spine.parquet", fmt.Sprintf(`SELECT (i * 7) %% 12 AS user_id, i %% 11 AS to_id, TIMESTAMP '2025-01-01' + to_seconds((i * 37) %% %d * 1000) AS at, i * 1.5::DOUBLE AS price,
		i %% 2 = 0 AS paid, (i / 4)::DECIMAL(12, 2) AS cents, [i %% 100, NULL]::SMALLINT[] AS emb, {'a': i} AS st, CASE WHEN i %% 5 > 0 THEN DATE '2025-01-01' + i::INTEGER %% 100 END AS day FROM range(%d) t(i)`, orders+2, spine))
	set, _ := p.define(t, shop).TrainingSet("set")
	return p, set
}

func (p *project) config(set *plan.TrainingSet) Config {
	return Config{Reader: p.db, Project: "shop", Set: set, Out: filepath.Join(p.dir, "out"), Command: []string{"unskew", "train", "set"}, Version: "test"}
}

func (p *project) train(t *testing.T, c Config) *Manifest {
	t.Helper()
	m, err := Train(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ask runs SQL whose rows come back as strings.
func (p *project) ask(t *testing.T, sql string) []string {
	t.Helper()
	var out []string
	rows := p.readSQL(t, "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ("+sql+")")
	for _, r := range rows {
		parts := make([]string, len(r))
		for i, v := range r {
			parts[i] = v.Str()
			if v.IsNull() {
				parts[i] = "NULL"
			}
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func (p *project) readSQL(t *testing.T, sql string) [][]plan.Value {
	t.Helper()
	return p.readRelation(t, relation.Relation{Owner: "test", SQL: sql}, nil).rows
}

// TestTrainingSetReadsBack: another implementation of Parquet finds the spine as it
// was and the values with their types.
func TestTrainingSetReadsBack(t *testing.T) {
	p, set := newShop(t, 100, 300)
	c := p.config(set)
	c.WithStatus = true
	m := p.train(t, c)
	want := []string{
		"user_id BIGINT", "to_id BIGINT", "at TIMESTAMP", "price DOUBLE", "paid BOOLEAN", "cents DECIMAL(12,2)", "emb SMALLINT[]", "st STRUCT(a BIGINT)", "day DATE",
		"spend.total DOUBLE", "spend.total.status VARCHAR", "spend.n BIGINT", "spend.n.status VARCHAR", "spend.mean_7d DOUBLE", "spend.mean_7d.status VARCHAR",
		"spend.last_country VARCHAR", "spend.last_country.status VARCHAR", "spend.last_country.reason VARCHAR",
		"spend.by_country MAP(VARCHAR, BIGINT)", "spend.by_country.status VARCHAR", "spend.last_two DOUBLE[]", "spend.last_two.status VARCHAR",
		"spend.last_at TIMESTAMP WITH TIME ZONE", "spend.last_at.status VARCHAR", "spend.age BIGINT", "spend.age.status VARCHAR", "spend.ratio BIGINT", "spend.ratio.status VARCHAR",
	}
	got := p.ask(t, "SELECT column_name, column_type FROM (DESCRIBE FROM 'out/data.parquet')")
	if !slices.Equal(got[:len(want)], want) || got[len(got)-2] != "relative DOUBLE" || len(got) != 9+2*19+2 {
		t.Errorf("columns\n%s\nwant\n%s\n…", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, sql := range map[string]string{
		"the spine is not what it was": `SELECT count(*) FROM (SELECT row_number() OVER () AS r, user_id, to_id, "at", price, paid, cents, emb, st, day FROM 'out/data.parquet' EXCEPT ALL SELECT row_number() OVER () AS r, * FROM 'spine.parquet')`,
		"wrong number of events":       `SELECT count(*) FROM 'out/data.parquet' o WHERE "spend.n" <> (SELECT count(*) FROM 'orders-*.parquet' e WHERE e.user_id = o.user_id AND e.ts < o."at")`,
		"the roles are mixed up":       `SELECT count(*) FROM 'out/data.parquet' o WHERE "receiver.n" <> (SELECT count(*) FROM 'orders-*.parquet' e WHERE e.user_id = o.to_id AND e.ts < o."at")`,
		"no country without a default": `SELECT count(*) FROM 'out/data.parquet' WHERE ("spend.last_country" IS NULL) OR ("spend.last_country.reason" IS NULL) <> ("spend.last_country.status" = 'PRESENT')`,
		"strangers are not told":       `SELECT count(*) FROM 'out/data.parquet' WHERE user_id > 9 AND "spend.mean_7d.status" <> 'UNKNOWN_ENTITY' OR ("spend.mean_7d" IS NULL) = ("spend.mean_7d.status" = 'PRESENT')`,
		"durations are not in ns":      `SELECT count(*) FROM 'out/data.parquet' WHERE "spend.last_at" IS NOT NULL AND "spend.age" <> 1000 * date_diff('microsecond', "spend.last_at", "at"::TIMESTAMPTZ)`,
		"maps do not add up":           `SELECT count(*) FROM 'out/data.parquet' WHERE list_sum(map_values("spend.by_country")) > "spend.n"`,
		"lists are too long":           `SELECT count(*) FROM 'out/data.parquet' WHERE len("spend.last_two") > 2 OR len("spend.last_two") > "spend.n"`,
		"a cold start is not 1":        `SELECT count(*) FROM 'out/data.parquet' WHERE "spend.mean_7d" IS NULL AND price > 0 AND relative <> 1`,
	} {
		if got := p.ask(t, sql); !slices.Equal(got, []string{"0"}) {
			t.Errorf("%s: %s rows", name, got)
		}
	}
	if got := p.ask(t, "SELECT count(*), count(DISTINCT \"spend.n\") > 5 FROM 'out/data.parquet'"); got[0] != "300 true" {
		t.Errorf("rows %v", got)
	}
	if m.Spine.Rows != 300 || m.Files[0].Rows != 300 {
		t.Errorf("manifest: %d rows of %d", m.Files[0].Rows, m.Spine.Rows)
	}
}

func TestManifest(t *testing.T) {
	p, set := newShop(t, 100, 300)
	m := p.train(t, p.config(set))
	back, err := ReadManifest(filepath.Join(p.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(*m) == "" || back.ServiceFingerprint != set.Service.Fingerprint.String() || back.Service != "svc" || back.AsOf != "known" || back.Engines.DuckDB != relation.EngineVersion() {
		t.Errorf("manifest %+v", back)
	}
	src := back.Sources[0]
	if len(src.Inputs) != 3 || src.Inputs[2].Path != "orders-2.parquet" || len(src.Inputs[2].SHA256) != 64 || src.Inputs[2].Size == 0 || src.Rows != 100 || len(src.Skipped) != 0 {
		t.Errorf("source %+v", src)
	}
	var ratio, total OutputManifest
	for _, o := range back.Outputs {
		switch o.Name {
		case "receiver.ratio":
			ratio = o
		case "spend.total":
			total = o
		}
	}
	if ratio.RowErrors != 25 || total.RowErrors != 0 { // qty is 0 in every fourth order
		t.Errorf("row errors %d and %d", ratio.RowErrors, total.RowErrors)
	}
	if total.Statuses["PRESENT"] != 300 || ratio.Type != "int" || ratio.Fingerprint == "" {
		t.Errorf("output %+v, %+v", total, ratio)
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, "out", "manifest.json"))
	if err != nil || strings.Contains(string(raw), p.dir) {
		t.Errorf("the manifest holds an absolute path: %v", err)
	}
}

// TestP7_RebuildIsIdentical: the bytes depend on the data and the definitions alone:
// not on threads, memory, row groups read or the names and order of input files.
func TestP7_RebuildIsIdentical(t *testing.T) {
	p, set := newShop(t, 3000, 70_000)
	c := p.config(set)
	var first *Manifest
	type try struct {
		threads int
		memory  int64
	}
	tries := []try{{1, 0}, {3, 0}, {2, 8 << 20}, {2, 0}, {1, 4 << 20}}
	if testing.Short() {
		tries = tries[:3]
	}
	for i, try := range tries {
		if i == 1 {
			p.rename(t, map[string]string{"orders-0.parquet": "orders-9.parquet"})
		}
		c.Threads, c.Memory, c.WithStatus = try.threads, try.memory, true
		m := p.train(t, c)
		if first == nil {
			first = m
		}
		if !reflect.DeepEqual(m.Files[0], first.Files[0]) {
			t.Errorf("%d threads and %d bytes give %+v instead of %+v", try.threads, try.memory, m.Files[0], first.Files[0])
		}
		if !reflect.DeepEqual(m.ReportFiles, first.ReportFiles) {
			t.Errorf("%d threads and %d bytes give the report %+v instead of %+v", try.threads, try.memory, m.ReportFiles, first.ReportFiles)
		}
	}
	if groups := p.ask(t, "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata('out/data.parquet') ORDER BY ALL"); !slices.Equal(groups, []string{"0 65536", "1 4464"}) {
		t.Errorf("row groups %v", groups)
	}
}

func (p *project) rename(t *testing.T, names map[string]string) {
	t.Helper()
	for from, to := range names {
		if err := os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is the names and contents of the output directory.
func (p *project) listing(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(p.dir, "out"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(p.dir, "out", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(raw)
	}
	return out
}

// TestFailureLeavesTheDirectoryAlone: an error or a cancellation at any point
// changes nothing of what an earlier run wrote.
func TestFailureLeavesTheDirectoryAlone(t *testing.T) {
	p, set := newShop(t, 100, 3000)
	c := p.config(set)
	p.train(t, c)
	before := p.listing(t)
	if len(before) != 4 {
		t.Fatalf("files %v", slices.Collect(maps.Keys(before)))
	}
	for _, memory := range []int64{0, 5000} {
		for _, phase := range []string{"spine", "history", "replay", "write"} {
			ctx, cancel := context.WithCancel(context.Background())
			c := p.config(set)
			c.Memory = memory
			reached := false
			c.Progress = func(pr Progress) {
				if pr.Phase == phase {
					reached = true
					cancel()
				}
			}
			_, err := Train(ctx, c)
			cancel()
			if !reached || !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled in %s: %v", phase, err)
			}
			if !maps.Equal(p.listing(t), before) {
				t.Errorf("cancelled in %s: the directory has changed", phase)
			}
		}
	}
}

// fullAfter is a disk with room for n more bytes.
type fullAfter struct {
	w io.Writer
	n int
}

func (f *fullAfter) Write(b []byte) (int, error) {
	if len(b) > f.n {
		return 0, &os.PathError{Op: "write", Path: "data", Err: syscall.ENOSPC}
	}
	f.n -= len(b)
	return f.w.Write(b)
}

func TestFullDisk(t *testing.T) {
	p, set := newShop(t, 100, 3000)
	for _, room := range []int{0, 100, 20_000} {
		tr := newTrainer(p.config(set))
		tr.writer = func(w io.Writer) io.Writer { return &fullAfter{w, room} }
		_, err := tr.train(context.Background())
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "is full after") || !strings.Contains(err.Error(), "free some space") {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
		if left := p.listing(t); len(left) != 0 {
			t.Errorf("left behind: %v", slices.Collect(maps.Keys(left)))
		}
	}
}

// A disk that is too small for what does not fit into memory, or for the training set, is an error that names
// the directory, and nothing is left on it [p9].
func TestP9_ADiskThatIsTooSmall(t *testing.T) {
	p, set := newShop(t, 100, 3000)
	for _, tc := range []struct {
		memory, disk int64
		full         string
	}{{5000, 64 << 10, "bytes of intermediate results"}, {0, 64 << 10, "bytes of data.parquet"}, {0, 4 << 20, ""}, {5000, 16 << 20, ""}} {
		dir := disktest.Small(t, tc.disk)
		c := p.config(set)
		c.Memory, c.Out = tc.memory, filepath.Join(dir, "out")
		_, err := Train(t.Context(), c)
		if tc.full == "" {
			if err != nil {
				t.Errorf("%d bytes of disk: %v", tc.disk, err)
			}
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the disk of "+c.Out+" is full after") || !strings.Contains(err.Error(), tc.full) {
			t.Errorf("%d bytes of memory: %v", tc.memory, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%d bytes of memory: %v are left, %v", tc.memory, left, err)
		}
	}
}

func TestSpinesThatCannotBe(t *testing.T) {
	p, set := newShop(t, 20, 20)
	for _, tc := range []struct{ sql, want string }{
		{"SELECT * RENAME (to_id AS toid) FROM 'spine.parquet'", `spine of set: its sql: has no column "to_id" (did you mean "toid"?)`},
		{"SELECT * REPLACE (user_id::VARCHAR AS user_id) FROM 'spine.parquet'", `column "user_id" is declared as int but its sql: holds VARCHAR`},
		{"SELECT * EXCLUDE paid FROM 'spine.parquet'", `spine of set: its sql: has no column "paid"`},
		{"SELECT * REPLACE (CASE WHEN price = 3 THEN NULL ELSE \"at\" END AS \"at\") FROM 'spine.parquet'", `spine of set: row 3 of its sql, column "at": the as-of time is null`},
		{"SELECT *, 1 AS \"Spend.N\" FROM 'spine.parquet'", `two columns "Spend.N" and "spend.n"`},
		{"SELECT *, INTERVAL '1 day' AS term FROM 'spine.parquet'", `column "term" of the spine`},
	} {
		set.Spine.From, set.Spine.SQL = "", tc.sql
		_, err := Train(context.Background(), p.config(set))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.sql, err, tc.want)
		}
	}
	set.Spine.SQL = "SELECT * FROM 'spine.parquet' WHERE false"
	if m := p.train(t, p.config(set)); m.Files[0].Rows != 0 {
		t.Errorf("an empty spine has %d rows", m.Files[0].Rows)
	}
	if got := p.ask(t, "SELECT count(*) FROM 'out/data.parquet'"); got[0] != "0" {
		t.Errorf("an empty training set has %v rows", got)
	}
	set.Spine.SQL = "SELECT * REPLACE (CASE WHEN user_id > 3 THEN user_id END AS user_id) FROM 'spine.parquet'"
	p.train(t, p.config(set))
	if got := p.ask(t, `SELECT count(*) FROM 'out/data.parquet' WHERE user_id IS NULL AND "spend.n" > 0`); got[0] != "0" {
		t.Errorf("[k3] null keys match: %v rows", got)
	}
}

func TestSplitWritesParts(t *testing.T) {
	p, set := newShop(t, 1000, 5000)
	p.train(t, p.config(set)) // leaves data.parquet, which must go
	set.Split = &plan.Split{Train: 0.7, Validation: 0.1, Test: 0.2, Embargo: plan.Day}
	m := p.train(t, p.config(set))
	if names := slices.Sorted(maps.Keys(p.listing(t))); !slices.Equal(names, []string{"manifest.json", "report.html", "report.json", "test.parquet", "train.parquet", "validation.parquet"}) {
		t.Errorf("files %v", names)
	}
	var rows int64
	for _, f := range m.Files {
		rows += f.Rows
		if got := p.ask(t, "SELECT count(*) FROM 'out/"+f.Name+"'"); got[0] != fmt.Sprint(f.Rows) || f.Rows == 0 {
			t.Errorf("%s has %v rows, its manifest says %d", f.Name, got, f.Rows)
		}
	}
	dropped := m.Split.Dropped[2]
	if dropped.Why != DroppedByEmbargo || dropped.Rows == 0 || rows+dropped.Rows != 5000 || m.Split.Embargo != "1d" || len(m.Split.Boundaries) != 2 {
		t.Errorf("%d rows, split %+v", rows, m.Split)
	}
	for i, later := range []string{"validation", "test"} {
		earlier := []string{"train", "validation"}[i]
		got := p.ask(t, fmt.Sprintf("SELECT max(e.\"at\") < '%[1]s'::TIMESTAMPTZ, (SELECT min(\"at\") FROM 'out/%[2]s.parquet') >= '%[1]s'::TIMESTAMPTZ + INTERVAL 1 DAY FROM 'out/%[3]s.parquet' e", m.Split.Boundaries[i].From, later, earlier))
		if got[0] != "true true" {
			t.Errorf("between %s and %s: %v", earlier, later, got)
		}
	}
}
