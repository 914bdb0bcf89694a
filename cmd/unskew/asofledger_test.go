package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stream, and a table that is loaded now and then, of which no definition says when.
const ledgerProject = `
kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: pays
stream: true
event_time: ts
event_id: id
columns:
  id: {type: string}
  ts: {type: timestamp}
  user: {type: int}
---
kind: Source
name: limits
from: limits.csv
event_time: ts
columns:
  ts: {type: timestamp}
  user: {type: int}
  limit: {type: int}
---
kind: FeatureView
name: paying
entity: user
source: pays
features:
  pays: count()
---
kind: FeatureView
name: credit
entity: user
source: limits
features:
  limit: latest(limit)
---
kind: FeatureService
name: risk
features: [paying.pays, credit.limit]
---
kind: TrainingSet
name: recorded
service: risk
spine: {from: spine.csv, time: at}
as_of: ledger
`

// served is what a server answered, and when.
type served struct {
	at     time.Time
	values string
}

// A table is loaded later than its rows are known, and events wait in the log while no server runs. A training set as of the ledger
// has what serving had at each time, one by declared known times has not, and the report says by how much [o11].
func TestO11_TrainingHasWhatWasServed(t *testing.T) {
	p := newTestProject(t)
	p.write("features/churn.yaml", ledgerProject)
	for _, name := range []string{"features/churn_test.yaml", "features/sources.yaml"} {
		p.write(name, "")
	}
	var answers []served
	read := func() {
		t.Helper()
		out, _ := p.run("get", "risk", "-k", "user=1", "--json")
		var got struct {
			AsOf     time.Time `json:"as_of"`
			Features map[string]struct{ Value any }
		}
		p.check(json.Unmarshal([]byte(out), &got))
		answers = append(answers, served{got.AsOf, fmt.Sprint(got.Features["paying.pays"].Value, " ", got.Features["credit.limit"].Value)})
	}
	events := 0
	push := func() {
		t.Helper()
		events++
		p.write("new.jsonl", fmt.Sprintf(`{"id": "e%d", "user": 1, "ts": %q}`+"\n", events, time.Now().UTC().Format(time.RFC3339Nano)))
		p.run("push", "pays", "new.jsonl", "-q")
	}
	rows := "ts,user,limit\n2020-01-01T00:00:00Z,1,10\n"
	load := func(limit int) {
		rows += fmt.Sprintf("%s,1,%d\n", time.Now().UTC().Format(time.RFC3339Nano), limit)
		p.write("limits.csv", rows)
	}
	// serve runs a server until a read has what was pushed.
	serve := func() {
		t.Helper()
		s, err := startServer(p.dir, nil)
		p.check(err)
		for deadline := time.Now().Add(30 * time.Second); ; {
			read()
			last := answers[len(answers)-1]
			if strings.HasPrefix(last.values, fmt.Sprint(events, " ")) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the server answers %s after %d events", last.values, events)
			}
		}
		p.check(s.terminate())
		answers = answers[len(answers)-1:]
	}
	var kept []served
	p.write("limits.csv", rows)
	p.run("materialize", "-q")
	push()
	serve()
	kept = append(kept, answers[0])
	load(20) // and no materialize
	push()   // while no server runs
	waiting := time.Now()
	serve()
	kept = append(kept, answers[0])
	p.run("materialize", "-q")
	serve()
	kept = append(kept, answers[0])
	if got := []string{kept[0].values, kept[1].values, kept[2].values}; !slices.Equal(got, []string{"1 10", "2 10", "2 20"}) {
		t.Fatalf("served: %v", got)
	}

	// Between the runs of the servers nothing was served; the ledger has what would have been.
	kept = slices.Insert(kept, 1, served{waiting, "1 10"})
	spine := "user,at\n"
	for _, a := range kept {
		spine += "1," + a.at.UTC().Format(time.RFC3339Nano) + "\n"
	}
	p.write("spine.csv", spine)
	values := func(dir string, args ...string) string {
		t.Helper()
		p.run(append([]string{"train", "recorded", "--out", dir, "-q"}, args...)...)
		c := exec.Command("query", `SELECT "paying.pays", "credit.limit" FROM 'data.parquet'`)
		c.Dir = filepath.Join(p.dir, dir)
		out, err := c.Output()
		p.check(err)
		_, table, _ := strings.Cut(string(out), "\n")
		return strings.ReplaceAll(strings.TrimSpace(table), "\n", ", ")
	}
	if got, want := values("ledger"), "1 10, 1 10, 2 10, 2 20"; got != want {
		t.Errorf("as of the ledger: %s, want %s", got, want)
	}
	if got, want := values("declared", "--as-of", "known"), "1 10, 2 20, 2 20, 2 20"; got != want {
		t.Errorf("as of declared known times: %s, want %s", got, want)
	}
	var m struct {
		AsOf    string `json:"as_of"`
		Sources []struct {
			Name   string
			Ledger *struct {
				RowsOutside int64 `json:"rows_outside"`
				Delays      struct{ N int64 }
			}
		}
		Notes    []struct{ Kind, Feature, Text string }
		Warnings []string
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "ledger", "manifest.json"))
	p.check(err)
	p.check(json.Unmarshal(text, &m))
	notes := map[string]string{}
	for _, n := range m.Notes {
		if n.Kind == "other_than_declared" {
			notes[n.Feature] = n.Text
		}
	}
	if m.AsOf != "ledger" || len(m.Warnings) > 0 || !strings.Contains(notes["paying.pays"], "25 % of the rows") || !strings.Contains(notes["credit.limit"], "50 % of the rows") {
		t.Errorf("manifest: as of %q, notes %v, warnings %v", m.AsOf, notes, m.Warnings)
	}
	for _, source := range m.Sources {
		if l := source.Ledger; l == nil || l.RowsOutside != 0 || l.Delays.N != 2 {
			t.Errorf("source %s: %+v", source.Name, l)
		}
	}
	again := values("again")
	second, err := os.ReadFile(filepath.Join(p.dir, "again", "data.parquet"))
	p.check(err)
	first, err := os.ReadFile(filepath.Join(p.dir, "ledger", "data.parquet"))
	p.check(err)
	if again == "" || !bytes.Equal(first, second) {
		t.Error("the same training set again has other bytes")
	}
}
