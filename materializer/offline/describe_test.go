package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/materializer/report"
)

const described = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: tx
from: tx.parquet
event_time: ts
---
kind: FeatureView
name: v
entity: user
source: tx
features:
  n: count("2d/exact")
  mean: mean(amount, "2d/exact")
  kind: {expr: 'latest(kind, "2d/exact")', default: none}
  leak: latest(turned_out)
  age: latest_time()
  broken: {expr: 'sum(100 / qty, "2d/exact") / count("2d/exact")'}
  last_two: 'latest_n(amount, 2, "2d/exact")'
---
kind: FeatureService
name: svc
features: [v]
derived:
  constant: '7'
  double_n: 'v.n * 2'
---
kind: TrainingSet
name: set
service: svc
spine: {from: spine.parquet, time: at, label: y}
split: {train: 0.7, test: 0.3, embargo: 1d}
`

// newDescribed has events of which some tell what the spine's label is going to be.
func newDescribed(t *testing.T) (*project, Config) {
	p := newProject(t)
	p.copyTo(t, "tx.parquet", `SELECT i % 60 AS user_id, TIMESTAMPTZ '2025-01-01' + to_minutes(32 * i) AS ts, CASE WHEN i % 5 > 0 THEN i % 97 - 30.5 END::DOUBLE AS amount,
		'<kind ' || (i % 13 * (i % 2)) || '>' AS kind, (i % 60) % 4 = 0 AS turned_out, i % 3 AS qty FROM range(3000) t(i) WHERE i % 60 < 50`)
	p.copyTo(t, "spine.parquet", `SELECT i % 60 AS user_id, TIMESTAMPTZ '2025-01-02' + to_minutes(32 * i + 5) AS "at", (i % 60) % 4 = 0 AS y FROM range(2500) t(i)`)
	set, _ := p.define(t, described).TrainingSet("set")
	return p, p.config(set)
}

// reported is what of a report the tests read back.
type reported struct {
	Rows     int64
	Parts    []report.Part
	Entities []report.EntityRows
	Features []reportedFeature
}

type reportedFeature struct {
	Name        string
	NullRate    float64 `json:"null_rate"`
	DefaultRate float64 `json:"default_rate"`
	ErrorRate   float64 `json:"error_rate"`
	Quantiles   map[string]float64
	Categories  *report.Categories
	Cohorts     []struct {
		Cohort string
		Rows   int64
	}
}

func (p *project) report(t *testing.T) *reported {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "out", report.JSONName))
	if err != nil {
		t.Fatal(err)
	}
	out := &reported{}
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *reported) feature(t *testing.T, name string) *reportedFeature {
	t.Helper()
	for i := range r.Features {
		if r.Features[i].Name == name {
			return &r.Features[i]
		}
	}
	t.Fatalf("no feature %s", name)
	return nil
}

// TestReportAgreesWithTheFiles: what the report says of parts, entities and features is what SQL
// finds in the files.
func TestReportAgreesWithTheFiles(t *testing.T) {
	p, c := newDescribed(t)
	c.WithStatus = true
	p.train(t, c)
	r := p.report(t)
	one := func(sql string) string { return p.ask(t, sql)[0] }
	const all = "(FROM 'out/train.parquet' UNION ALL FROM 'out/test.parquet')"
	if want := one("SELECT count(*) FROM " + all); fmt.Sprint(r.Rows) != want {
		t.Errorf("%d rows, want %s", r.Rows, want)
	}
	for _, part := range r.Parts {
		got := fmt.Sprint(part.Rows.Rows, part.ByLabel["true"], part.ByLabel["false"])
		if want := one(fmt.Sprintf("SELECT count(*), count(*) FILTER (y), count(*) FILTER (NOT y) FROM 'out/%s.parquet'", part.Name)); got != want {
			t.Errorf("%s: %s, want %s", part.Name, got, want)
		}
	}
	shared := r.Entities[0].Shared[0]
	if want := one(`SELECT count(DISTINCT user_id), count(*) FROM 'out/test.parquet' WHERE user_id IN (SELECT user_id FROM 'out/train.parquet')`); fmt.Sprint(shared.Entities, shared.Rows) != want {
		t.Errorf("shared: %+v, want %s", shared, want)
	}
	for _, f := range r.Features {
		sql := fmt.Sprintf(`SELECT count(*) FILTER ("%[1]s" IS NULL), count(*) FILTER ("%[1]s.status" = 'DEFAULTED'), count(*) FILTER ("%[1]s.status" = 'ERROR') FROM %[2]s`, f.Name, all)
		round := func(rate float64) int64 { return int64(math.Round(rate * float64(r.Rows))) }
		if got, want := fmt.Sprint(round(f.NullRate), round(f.DefaultRate), round(f.ErrorRate)), one(sql); got != want {
			t.Errorf("%s: null, default and error on %s rows, want %s", f.Name, got, want)
		}
		rows := int64(0)
		for _, cohort := range f.Cohorts {
			rows += cohort.Rows
		}
		if rows != r.Rows && f.Name != "constant" {
			t.Errorf("%s: the cohorts have %d rows", f.Name, rows)
		}
	}
	for _, name := range []string{"v.n", "v.mean", "double_n"} {
		for of, got := range r.feature(t, name).Quantiles {
			var want float64
			fmt.Sscan(one(fmt.Sprintf(`SELECT list_sort(list("%[1]s") FILTER ("%[1]s" IS NOT NULL))[1 + floor(%[2]s * (count("%[1]s") - 1))::BIGINT] FROM %[3]s`, name, of, all)), &want)
			if math.Abs(got-want) > math.Abs(want)/64+1e-5 || math.Abs(got) > math.Abs(want)+1e-5 {
				t.Errorf("%s: quantile %s is %g, want %g", name, of, got, want)
			}
		}
	}
	for _, top := range r.feature(t, "v.kind").Categories.Top {
		if want := one(fmt.Sprintf(`SELECT count(*) FROM %s WHERE "v.kind" = '%s'`, all, top.Value)); fmt.Sprint(top.Rows) != want {
			t.Errorf("%s on %d rows, want %s", top.Value, top.Rows, want)
		}
	}
	few := r.feature(t, "v.n").Cohorts
	visible := `(SELECT count(*) FROM 'tx.parquet' e WHERE e.user_id = s.user_id AND e.ts < s."at")`
	want := one(fmt.Sprintf("SELECT count(*) FILTER (%[1]s = 0), count(*) FILTER (%[1]s BETWEEN 1 AND 4), count(*) FILTER (%[1]s > 4) FROM %[2]s s", visible, all))
	if got := fmt.Sprint(few[0].Rows, few[1].Rows, few[2].Rows); got != want || few[1].Cohort != "few_events" {
		t.Errorf("cohorts of %s rows, want %s", got, want)
	}
}

// TestWhatIsTooGoodIsFound: the one feature that is the label raises an alarm, with its
// definition, and none of the others.
func TestWhatIsTooGoodIsFound(t *testing.T) {
	p, c := newDescribed(t)
	m := p.train(t, c)
	r := m
	if len(r.Alarms) != 1 || r.Alarms[0].Feature != "v.leak" || !strings.HasSuffix(r.Alarms[0].Definition, ":19") {
		t.Errorf("alarms %+v", r.Alarms)
	}
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.Kind+" "+n.Feature)
	}
	if got := strings.Join(notes, ", "); got != "errors v.broken, constant constant, shared_entities " {
		t.Errorf("notes %s: %+v", got, r.Notes)
	}
	before := p.listing(t)
	c.Strict = true
	_, err := Train(t.Context(), c)
	strict := (*StrictError)(nil)
	if !errors.As(err, &strict) || len(strict.Manifest.Warnings) != 0 || !strings.Contains(err.Error(), "feature v.leak: ") {
		t.Errorf("strictly: %v", err)
	}
	if after := p.listing(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("strictly, the directory changed")
	}
}

// TestReportFiles: the report is JSON and a page that needs nothing from elsewhere and in which
// texts of the data are texts.
func TestReportFiles(t *testing.T) {
	p, c := newDescribed(t)
	m := p.train(t, c)
	raw, err := os.ReadFile(filepath.Join(p.dir, "out", report.JSONName))
	var back struct {
		Format   int
		Features []struct{ Name string }
	}
	if err := errors.Join(err, json.Unmarshal(raw, &back)); err != nil || back.Format != report.Format || len(back.Features) != 9 {
		t.Errorf("%+v, %v", back, err)
	}
	page, err := os.ReadFile(filepath.Join(p.dir, "out", report.HTMLName))
	if err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"<kind", "http://", "https://", "src=", "@import", "url(", p.dir} {
		if strings.Contains(string(page), no) {
			t.Errorf("the page has %q", no)
		}
	}
	for _, want := range []string{"&lt;kind 0&gt;", "Too good to be true: v.leak", "<caption>", "scope=\"row\""} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if len(m.ReportFiles) != 2 || m.ReportFiles[0].Size != int64(len(raw)) || m.ReportFiles[1].Size != int64(len(page)) {
		t.Errorf("%+v", m.ReportFiles)
	}
}
