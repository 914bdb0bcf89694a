package arrival_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/validate/arrival"
)

const table = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: limits
from: limits.csv
event_time: at
%s
columns:
  at: {type: timestamp}
  user_id: {type: int}
`

// measureTable measures a table with a row every ten minutes of 30 days from begin on, which is loaded at times.
func measureTable(t *testing.T, known string, loads []ledger.Run) *arrival.Report {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, fmt.Sprintf(table, known))
	var rows strings.Builder
	rows.WriteString("at,user_id\n")
	for at := begin; at < begin+30*day; at += 10 * minute {
		fmt.Fprintf(&rows, "%s,1\n", at)
	}
	if err := os.WriteFile(filepath.Join(dir, "limits.csv"), []byte(rows.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	src := defstest.Load(t, dir, featuredefs.Options{}).Plan.Sources[0]
	reader, err := relation.Open(relation.Options{BaseDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r, err := arrival.MeasureFiles(context.Background(), reader, &ledger.Source{Files: []*ledger.Times{ledger.NewTimes(ledger.Files, loads)}}, src)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A table that a job loads at four in the morning, for 20 minutes, is known by a schedule; what was loaded before the first record,
// and what is not loaded yet, counts for nothing.
func TestTablesAreKnownOnceTheyAreLoaded(t *testing.T) {
	var loads []ledger.Run
	for d := range plan.EventTime(20) {
		began := begin + (5+d)*day + 4*hour
		loads = append(loads, ledger.Run{From: began + 20*minute, To: began + 20*minute, Lag: 20 * plan.Minute})
	}
	r := measureTable(t, "", loads)
	// From the first load on, but for the rows that it had: those of 19 days.
	if r.Events.Count != 19*24*6 || r.Events.Later != r.Events.Count || !r.Files {
		t.Errorf("undeclared: %+v", r)
	}
	if want := `{schedule: "20 4 * * *", delay: 1m}`; r.Events.Suggested != want {
		t.Errorf("suggested %s, want %s", r.Events.Suggested, want)
	}
	r = measureTable(t, `known_at: {schedule: "0 4 * * *", delay: 30m}`, loads)
	if r.Events.Later == 0 || r.Events.Suggested == "" {
		t.Errorf("rows that are known at half past four are in the next load: %+v", r.Events)
	}
	r = measureTable(t, "", []ledger.Run{{From: begin + 40*day, To: begin + 40*day, Lag: 0}})
	if r.Events.Count != 0 || r.Events.Suggested != "" {
		t.Errorf("one load of everything says nothing: %+v", r.Events)
	}
}
