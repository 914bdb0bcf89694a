package parity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/validate/parity"
)

// everyType has a feature of each type, spine columns of each width, and rows with each
// status; %s is the training set's split.
const everyType = `kind: Entity
name: user
keys: [{name: user, type: int}, {name: region, type: string}]
---
kind: Source
name: visits
sql: >-
  SELECT user, region, TIMESTAMPTZ '2025-01-01 10:00:00Z' + to_minutes(minute) AS ts, amount, page, paid, encode(page) AS raw
  FROM (VALUES
    (1, 'a', 0, 0.1::DOUBLE, 'home', true), (1, 'a', 1, 0.2, 'Ω', false), (1, 'a', 2, 'nan', '', NULL),
    (2, 'a', 3, '-0.0', NULL, false), (2, 'b', 4, NULL, 'cart', true), (3, 'b', 5, 'infinity', 'home', true)
  ) AS t (user, region, minute, amount, page, paid)
event_time: ts
columns: {user: {type: int}, region: {type: string}, ts: {type: timestamp}, amount: {type: double}, page: {type: string}, paid: {type: bool}, raw: {type: bytes}}
---
kind: FeatureView
name: v
entity: user
source: visits
features:
  int: count()
  double: sum(amount)
  none: mean(amount, "2m")
  string: {expr: latest(page), default: "??"}
  bool: any(paid)
  bytes: latest(raw)
  timestamp: latest_time()
  duration: now - latest_time().orValue(now)
  pages: latest_n(page, 3)
  doubles: earliest_n(amount, 3)
  bools: latest_n(paid, 3)
  times: latest_n(ts, 2, "2m")
  by_page: count().by(page)
  mean_by_page: mean(amount).by(page)
  failing: 100 / (count() - 3)
  saved: {expr: 100 / (count() - 3), default: -1, on_error: default}
---
kind: FeatureService
name: s
features: [v]
request: {tiny: int, small: int, medium: int, big: int, single: double, exact: double, whole: double, text: string, yes: bool, moment: timestamp}
derived:
  sum_of_all: request.tiny + request.small + request.medium + request.big
  doubles: request.single + request.exact + request.whole
  rest: "request.text == null ? 'none' : request.text"
---
kind: TrainingSet
name: set
service: s
spine:
  sql: >-
    SELECT user, region, TIMESTAMPTZ '2025-01-01 10:00:00Z' + to_minutes(minute) AS asked, minute > 5 AS label,
      CAST(minute AS TINYINT) AS tiny, CAST(-minute AS SMALLINT) AS small, CAST(NULLIF(minute, 7) AS INTEGER) AS medium,
      9007199254740993 + minute AS big, CAST(minute / 3 AS FLOAT) AS single, minute / 3 AS exact, CAST(minute AS INTEGER) AS whole,
      CASE WHEN minute %% 2 = 0 THEN 'é' || minute END AS text, minute > 3 AS yes, TIMESTAMPTZ '1969-12-31 23:59:59.999999Z' AS moment
    FROM (SELECT unnest([1, 2, 3, 4, NULL]) AS user, region, minute FROM (SELECT unnest(['a', 'b']) AS region), generate_series(0, 9) AS m (minute))
  time: asked
  label: label
%s`

func events(t *testing.T, p *project) (out []oracle.Event) {
	t.Helper()
	for _, src := range p.plan.Sources {
		err := p.history(t.Context(), src, func(ev *kernel.Events) error {
			for i := range ev.Batch.N {
				columns := map[string]plan.Value{}
				for c, f := range ev.Batch.Fields {
					// Batches are valid only during the call; decoding copies the value.
					v, _, err := plan.DecodeCanonical(plan.AppendCanonical(nil, ev.Batch.Cols[c].Value(i)))
					if err != nil {
						return err
					}
					columns[f.Name] = v
				}
				e, err := oracle.NewEvent(src, columns, false)
				if err != nil {
					return err
				}
				out = append(out, e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func everyTypeProject(t *testing.T, split string) *project {
	dir := t.TempDir()
	defstest.Write(t, dir, fmt.Sprintf(everyType, split))
	return open(t, dir)
}

// A training set that is read back has the oracle's values, for every type and status including
// nulls and NaN, and so does serving.
func TestTrainingSetReadsBackAsTrained(t *testing.T) {
	p := everyTypeProject(t, "")
	out, m := p.train(t, true)
	rows, err := parity.ReadTrainingSet(t.Context(), out, m, p.plan.Training[0], plan.Always, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{t: t, plan: p.plan, service: p.plan.Services[0], events: events(t, p), rows: rows}
	if len(rows) != 100 || len(s.events) != 6 {
		t.Fatalf("%d rows, %d events", len(rows), len(s.events))
	}
	s.check()
	kinds, statuses := map[plan.Kind]bool{}, map[string]bool{}
	for i, r := range rows {
		if r.Number != i {
			t.Fatalf("row %d has number %d", i, r.Number)
		}
		for c, o := range s.service.Outputs() {
			kinds[o.Type.Kind] = kinds[o.Type.Kind] || !r.Want[c].Value.IsNull()
			statuses[r.Want[c].Status.String()] = true
		}
	}
	for _, k := range []plan.Kind{plan.Bool, plan.Int, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration, plan.List, plan.Map} {
		if !kinds[k] {
			t.Errorf("no value of type %v", k)
		}
	}
	if len(statuses) != 5 {
		t.Errorf("the only statuses are %v", statuses)
	}
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for _, from := range []plan.EventTime{plan.Always, rows[50].At} {
			s.t, s.rows = t, slices.DeleteFunc(slices.Clone(rows), func(r parity.Row) bool { return r.At < from })
			r := s.replay(open, p.history, from)
			for _, d := range r.Differences {
				t.Errorf("%+v", d)
			}
			if r.Compared != len(s.rows)*len(s.service.Outputs()) {
				t.Errorf("%d values compared", r.Compared)
			}
		}
	})
}

// A sample is spread evenly over all files, of rows from a given time on; its rows have their
// numbers in the whole training set.
func TestSampleOfATrainingSet(t *testing.T) {
	p := everyTypeProject(t, "split: {train: 0.5, validation: 0.3, test: 0.2}\n")
	out, m := p.train(t, true)
	if len(m.Files) != 3 {
		t.Fatalf("%d files", len(m.Files))
	}
	set := p.plan.Training[0]
	read := func(from plan.EventTime, n int) []parity.Row {
		t.Helper()
		rows, err := parity.ReadTrainingSet(t.Context(), out, m, set, from, n)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	all := read(plan.Always, 0)
	if len(all) != 100 {
		t.Fatalf("%d rows", len(all))
	}
	for _, from := range []plan.EventTime{plan.Always, all[0].At + plan.EventTime(7*plan.Minute), plan.MaxTime} {
		var candidates []parity.Row
		for _, r := range all {
			if r.At >= from {
				candidates = append(candidates, r)
			}
		}
		for _, n := range []int{0, 1, 7, len(candidates), len(candidates) + 1} {
			want := candidates
			if n > 0 && n < len(candidates) {
				want = nil
				for i := range n {
					want = append(want, candidates[i*len(candidates)/n])
				}
			}
			got := read(from, n)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d rows from %v on: %d rows, want %d:\n%v\n%v", n, from, len(got), len(want), got, want)
			}
		}
	}
}

// A file that does not match the definitions is an error with the file and the column.
func TestTrainingSetOfOtherDefinitions(t *testing.T) {
	p := everyTypeProject(t, "")
	out, m := p.train(t, false)
	_, err := parity.ReadTrainingSet(t.Context(), out, m, p.plan.Training[0], plan.Always, 1)
	for _, part := range []string{m.Files[0].Name, `"v.int.status"`, "--with-status"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("without statuses: %v; it does not say %q", err, part)
		}
	}
	out, m = p.train(t, true)
	for name, c := range map[string]struct{ from, to, says string }{
		"type of a feature":  {"  int: count()", "  int: latest(page)", `"v.int": it has type int64`},
		"list of a feature":  {"  pages: latest_n(page, 3)", "  pages: latest_n(amount, 3)", `"v.pages": it has type`},
		"map of a feature":   {"  by_page: count().by(page)", "  by_page: count()", `"v.by_page": it has maps`},
		"list for a scalar":  {"  times: latest_n(ts, 2, \"2m\")", "  times: count()", `"v.times": it has lists`},
		"another feature":    {"  bools: latest_n", "  flags: latest_n", `no column "v.flags"`},
		"type of a request":  {"text: string", "text: int", `"text": it has type`},
		"column of the time": {"time: asked", "time: asked_at", `no column "asked_at"`},
		"type of the time":   {"time: asked", "time: text", `"text": it has type`},
		"name of a key":      {"features: [v]", "features: [{view: v, keys: {region: zone}}]", `no column "zone"`},
	} {
		text := strings.Replace(fmt.Sprintf(everyType, ""), c.from, c.to, 1)
		text = strings.Replace(text, "request.text == null ? 'none' : request.text", "request.yes ? 'yes' : 'no'", 1)
		dir := t.TempDir()
		defstest.Write(t, dir, text)
		other := open(t, dir)
		_, err := parity.ReadTrainingSet(t.Context(), out, m, other.plan.Training[0], plan.Always, 0)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), m.Files[0].Name) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}
