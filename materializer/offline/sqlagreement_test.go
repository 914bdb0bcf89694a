package offline

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

var (
	sqlProjects = flag.Int("sql-projects", 10, "number of random projects to compare with SQL")
	sqlSeed     = flag.Uint64("sql-seed", rand.Uint64(), "seed of the random projects")
)

// TestTrainAgreesWithSQL: what DuckDB computes from the same files by SQL, written by a generator that shares nothing with
// the engine, has the same values, with any memory and number of threads. It draws only what SQL says exactly: no
// approximate aggregates, doubles whose sums are exact, ids of which every row is the same but for when it is known.
func TestTrainAgreesWithSQL(t *testing.T) {
	p := newProject(t)
	t.Logf("-sql-seed %d", *sqlSeed)
	for i := range *sqlProjects {
		g := &sqlProject{Rand: rand.New(rand.NewPCG(*sqlSeed, uint64(i)))}
		text, query := g.draw()
		p.copyTo(t, "sql-events.parquet", g.events())
		p.copyTo(t, "sql-spine.parquet", g.spine())
		set, _ := p.define(t, text).TrainingSet("set")
		c := p.config(set)
		c.Memory, c.Threads = []int64{0, 1000, 20_000, 1 << 20}[g.IntN(4)], 1+g.IntN(3)
		p.train(t, c)
		p.copyTo(t, "sql-wanted.parquet", p.inDir(query))
		for _, f := range g.features {
			for _, role := range []string{"v.", "other."} {
				name := role + f.name
				rows := p.ask(t, p.inDir(fmt.Sprintf(`SELECT o.row, s.at, o."%[1]s" AS got, w."%[1]s" AS want FROM 'out/data.parquet' o JOIN 'sql-wanted.parquet' w USING (row)
					JOIN 'sql-spine.parquet' s USING (row) WHERE o."%[1]s" IS DISTINCT FROM w."%[1]s" ORDER BY o.row LIMIT 3`, name)))
				if len(rows) > 0 {
					t.Fatalf("project %d of -sql-seed %d, memory %d: feature %s, which is %s, differs from\n%s\nin rows (row, time, ours, SQL's)\n%s\n%s",
						i, *sqlSeed, c.Memory, name, f.cel, f.sql, strings.Join(rows, "\n"), text)
				}
			}
		}
		if n := p.ask(t, p.inDir("SELECT count(*) FROM 'out/data.parquet' o JOIN 'sql-wanted.parquet' w USING (row)")); n[0] != fmt.Sprint(g.rows) {
			t.Fatalf("project %d of -sql-seed %d: %s rows in common of %d", i, *sqlSeed, n[0], g.rows)
		}
	}
}

// inDir makes the names of files in a query those of the project's directory.
func (p *project) inDir(sql string) string {
	for _, name := range []string{"out/data.parquet", "sql-events.parquet", "sql-spine.parquet", "sql-wanted.parquet"} {
		sql = strings.ReplaceAll(sql, "'"+name+"'", "'"+filepath.Join(p.dir, name)+"'")
	}
	return sql
}

// sqlProject draws definitions and, beside them, the SQL that means the same.
type sqlProject struct {
	*rand.Rand
	knownAt, ids, late bool // of the source
	people, rows       int
	features           []sqlFeature
}

// sqlFeature is a feature in both languages. sql is an aggregate over the rows e of the entity, without its FILTER.
type sqlFeature struct{ name, cel, sql string }

const sqlDefinitions = `kind: Entity
name: person
keys: [{name: who, type: int}]
---
kind: Source
name: events
from: sql-events.parquet
event_time: ts
%scolumns: {id: {type: string}, who: {type: int}, ts: {type: timestamp}, known: {type: timestamp}, qty: {type: int}, amount: {type: double}, text: {type: string},
  flag: {type: bool}, outcome: {type: int%s}, outcome_at: {type: timestamp}}
---
kind: FeatureView
name: v
entity: person
source: events
features:
%s---
kind: FeatureService
name: svc
features: [v, {view: v, as: other, keys: {who: other}}]
---
kind: TrainingSet
name: set
service: svc
spine: {from: sql-spine.parquet, time: at}
`

// draw draws a project; query computes its features from its files.
func (g *sqlProject) draw() (definitions, query string) {
	g.knownAt, g.ids, g.late = g.IntN(2) == 0, g.IntN(2) == 0, g.IntN(2) == 0
	g.people, g.rows = 1+g.IntN(6), 1+g.IntN(60)
	source, late := "", ""
	if g.ids {
		source += "event_id: id\n"
	}
	if g.knownAt {
		source += "known_at: known\n"
	}
	if g.late {
		late = ", known_at: outcome_at"
	}
	var lines strings.Builder
	for i := range 1 + g.IntN(8) {
		f := g.feature(fmt.Sprint("f", i))
		g.features = append(g.features, f)
		fmt.Fprintf(&lines, "  %s: %s\n", f.name, f.cel)
	}
	return fmt.Sprintf(sqlDefinitions, source, late, lines.String()), g.query()
}

// query joins every row of the spine with the events of its entity that are visible.
func (g *sqlProject) query() string {
	visible := "ts"
	if g.knownAt {
		visible = "greatest(ts, coalesce(known, ts))"
	}
	events := fmt.Sprintf("SELECT *, %s AS visible FROM 'sql-events.parquet'", visible)
	if g.ids {
		events = fmt.Sprintf("SELECT DISTINCT ON (id) * FROM (%s) ORDER BY id, visible", events)
	}
	of := func(role, key string) string {
		var columns []string
		for _, f := range g.features {
			columns = append(columns, fmt.Sprintf(`%s AS "%s%s"`, f.sql, role, f.name))
		}
		return fmt.Sprintf("SELECT s.row, %s FROM 'sql-spine.parquet' s LEFT JOIN events e ON e.who = s.%s GROUP BY s.row, s.at", strings.Join(columns, ",\n  "), key)
	}
	return fmt.Sprintf("WITH events AS (%s)\nSELECT * FROM (%s) JOIN (%s) USING (row)", events, of("v.", "who"), of("other.", "other"))
}

// feature draws a feature.
func (g *sqlProject) feature(name string) sqlFeature {
	column := func(of ...string) string { return of[g.IntN(len(of))] }
	any := column("qty", "amount", "text", "flag", "outcome")
	ordered := column("qty", "amount", "text", "outcome", "ts")
	number := column("qty", "amount", "outcome")
	countable := column("qty", "text", "outcome")
	order := "e.ts, e.x"
	if g.ids {
		order = "e.ts, e.id, e.x"
	}
	in := func(x, sql string) string { return strings.ReplaceAll(sql, "e.x", "e."+x) }
	var x, cel, sql string
	switch g.IntN(15) {
	case 0:
		cel, sql = "count(", "count(e.ts) FILTER (%s)"
	case 1:
		x, cel, sql = any, "count("+any, "count(e.x) FILTER (%s)"
	case 2:
		x, cel, sql = number, "sum("+number, "coalesce(sum(e.x) FILTER (%s), 0)"
	case 3:
		x, cel, sql = number, "mean("+number, "avg(e.x) FILTER (%s)"
	case 4:
		x, cel, sql = ordered, "min("+ordered, "min(e.x) FILTER (%s)"
	case 5:
		x, cel, sql = ordered, "max("+ordered, "max(e.x) FILTER (%s)"
	case 6:
		x, cel, sql = countable, "distinct_count("+countable, "count(DISTINCT e.x) FILTER (%s)"
	case 7:
		x, cel, sql = any, "latest("+any, "arg_max(e.x, ("+order+")) FILTER (%s)"
	case 8:
		x, cel, sql = any, "earliest("+any, "arg_min(e.x, ("+order+")) FILTER (%s)"
	case 9:
		cel, sql = "latest_time(", "max(e.ts) FILTER (%s)"
	case 10:
		cel, sql = "earliest_time(", "min(e.ts) FILTER (%s)"
	case 11:
		x, cel, sql = any, "max_by("+any+", amount", "arg_max(e.x, (e.amount, "+order+")) FILTER (%s AND e.amount IS NOT NULL)"
	case 12:
		x, cel, sql = any, "min_by("+any+", amount", "arg_min(e.x, (e.amount, "+order+")) FILTER (%s AND e.amount IS NOT NULL)"
	case 13:
		x, cel, sql = "flag", "any(flag", "coalesce(bool_or(e.x) FILTER (%s), false)"
	case 14:
		x, cel, sql = "flag", "all(flag", "coalesce(bool_and(e.x) FILTER (%s), true)"
	}
	window, inside := g.window()
	if window != "" && !strings.HasSuffix(cel, "(") {
		cel += ", "
	}
	filter, where := g.filter()
	conditions := []string{"e.ts IS NOT NULL", inside, where}
	if x != "" {
		conditions = append(conditions, in(x, "e.x IS NOT NULL"))
	}
	visible := "e.visible"
	if g.late && (x == "outcome" || strings.Contains(filter, "outcome")) {
		visible = "greatest(e.visible, e.outcome_at)"
		conditions = append(conditions, "e.outcome IS NOT NULL", "e.outcome_at IS NOT NULL")
	}
	conditions = append(conditions, visible+" < s.at")
	return sqlFeature{name, cel + window + ")" + filter, fmt.Sprintf(in(x, sql), "WHERE "+strings.Join(conditions, " AND "))}
}

// window draws a window, and the condition that an event is not before its tail.
func (g *sqlProject) window() (cel, sql string) {
	hops := []struct {
		cel        string
		width, hop int64 // seconds; hop 0: exact
	}{{"", 0, 0}, {`"1d/exact"`, 86400, 0}, {`"10d/1d"`, 864000, 86400}, {`"3h/1h"`, 10800, 3600}, {`"2d/6h"`, 172800, 21600}, {`"20d/exact"`, 1728000, 0}}
	w := hops[g.IntN(len(hops))]
	if w.width == 0 {
		return "", "true"
	}
	tail := fmt.Sprintf("epoch_us(s.at) - %d", w.width*int64(plan.Second))
	if w.hop > 0 {
		tail = fmt.Sprintf("(%s) - (%s) %% %d", tail, tail, w.hop*int64(plan.Second)) // all times are after 1970
	}
	return w.cel, "epoch_us(e.ts) >= " + tail
}

// filter draws a filter.
func (g *sqlProject) filter() (cel, sql string) {
	filters := [][2]string{
		{"", "true"}, {"", "true"}, {"qty > 3", "e.qty > 3"}, {"flag", "e.flag"}, {"!flag && qty < 5", "NOT e.flag AND e.qty < 5"}, {`text == "b" || text == "c"`, "e.text IN ('b', 'c')"},
		{"amount >= 1.5", "e.amount >= 1.5"}, {"outcome > 2", "e.outcome > 2"}, {"qty % 3 == 1", "e.qty % 3 = 1"}, {`text.startsWith("a")`, "starts_with(e.text, 'a')"}, {"qty + outcome > 4", "e.qty + e.outcome > 4"},
	}
	f := filters[g.IntN(len(filters))]
	if f[0] == "" {
		return "", f[1]
	}
	return ".where(" + f[0] + ")", f[1]
}

// random is an SQL expression for a whole number from 0 to n-1 that depends on the row i and the project.
func (g *sqlProject) random(n int) string {
	return fmt.Sprintf("(hash(i, %d) %% %d)::BIGINT", g.Uint32(), n)
}

// null makes one of n values null.
func (g *sqlProject) null(n int, sql string) string {
	return fmt.Sprintf("CASE WHEN %s > 0 THEN %s END", g.random(n), sql)
}

// events are events of thirty days, with ties of time; with ids, some come again and are known later.
func (g *sqlProject) events() string {
	n := g.IntN(400)
	step := []int{1, 600, 86400}[g.IntN(3)] // seconds, of which times are multiples
	at := func() string {
		return fmt.Sprintf("make_timestamp(1735689600000000 + %s * %d)", g.random(30*86400/step), step*1_000_000)
	}
	rows := fmt.Sprintf(`SELECT 'id-' || i AS id, %s AS who, %s AS ts, %s AS qty, %s AS amount, %s AS text, %s AS flag, %s AS outcome, %s AS outcome_at FROM range(%d) t(i)`,
		g.null(20, g.random(g.people)), at(), g.null(8, g.random(10)), g.null(8, g.random(40)+" / 4.0::DOUBLE - 5"), g.null(8, fmt.Sprintf("substr('abcab', 1 + %s, 1 + %s)", g.random(5), g.random(2))),
		g.null(8, g.random(2)+" = 0"), g.null(3, g.random(6)), "NULL::TIMESTAMP", n)
	rows = fmt.Sprintf("SELECT * REPLACE (CASE WHEN outcome IS NOT NULL THEN ts + to_seconds(hash(id, 1) %% 864000)::INTERVAL END AS outcome_at) FROM (%s)", rows)
	known := "ts + to_seconds(hash(id, copy) % 172800)"
	copies := 1
	if g.ids && !g.late {
		copies = 3
	}
	return fmt.Sprintf("SELECT *, %s AS known FROM (SELECT r.*, copy FROM (%s) r, range(%d) c(copy) WHERE copy = 0 OR hash(id, copy, 7) %% 4 = 0) ORDER BY hash(id, copy, 9)", known, rows, copies)
}

// spine is rows at times of which some are those of events, also before the first and after the last.
func (g *sqlProject) spine() string {
	return fmt.Sprintf("SELECT i AS row, %s AS who, %s AS other, make_timestamp(1735689600000000 + %s * %d) AS at FROM range(%d) t(i)",
		g.null(20, g.random(g.people+1)), g.random(g.people+1), g.random(40), 86_400_000_000, g.rows)
}
