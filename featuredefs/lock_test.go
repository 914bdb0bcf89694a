package featuredefs_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

const lockProject = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: s
from: data.parquet
event_time: ts
columns: {declared: {type: double}, refund: {outcome: true}}
---
kind: FeatureView
name: v
entity: user
source: s
features: {a: sum(amount) + sum(declared)}
`

func lockDir(t *testing.T, lock string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	writeFile(t, filepath.Join(dir, "features", "a.yaml"), lockProject)
	if lock != "" {
		writeFile(t, filepath.Join(dir, "unskew.lock"), lock)
	}
	return dir
}

// schema returns the columns of lockProject's data: amount with the given type, or
// without amount if it is Invalid.
func schema(amount plan.Kind) func(*plan.Source) ([]featuredefs.Column, error) {
	return func(*plan.Source) ([]featuredefs.Column, error) {
		fields := []plan.Field{
			{Name: "user_id", Type: plan.T(plan.Int)}, {Name: "ts", Type: plan.T(plan.Timestamp)},
			{Name: "declared", Type: plan.T(plan.Int)}, {Name: "refund", Type: plan.T(plan.Bool)},
			{Name: "nested", Type: plan.ListOf(plan.T(plan.Int))},
		}
		if amount != plan.Invalid {
			fields = append(fields, plan.Field{Name: "amount", Type: plan.T(amount)})
		}
		return columnsOf(fields), nil
	}
}

const wantLock = `s:
  "amount": double
  "refund": bool
  "ts": timestamp
  "user_id": int
`

func TestLock_HoldsWhatWasInferred(t *testing.T) {
	p := loadClean(t, lockDir(t, ""), featuredefs.Options{Schemas: schema(plan.Double)})
	if _, body, _ := strings.Cut(string(p.Lock()), "\n"); body != wantLock {
		t.Errorf("got\n%s\nwant\n%s", body, wantLock)
	}
}

// TestLock_StandsInForTheData: the plan from a lock is the same as from the data, and so is the next lock.
func TestLock_StandsInForTheData(t *testing.T) {
	first := loadClean(t, lockDir(t, ""), featuredefs.Options{Schemas: schema(plan.Double)})
	dir := lockDir(t, string(first.Lock()))
	second := loadClean(t, dir, featuredefs.Options{})
	if string(second.Lock()) != string(first.Lock()) {
		t.Errorf("the lock changed to\n%s", second.Lock())
	}
	var a, b strings.Builder
	if err := errors.Join(plan.Print(&a, first.Plan), plan.Print(&b, second.Plan)); err != nil {
		t.Fatal(err)
	}
	if a.String() != b.String() {
		t.Errorf("plans differ:\n%s\n%s", a.String(), b.String())
	}
}

func TestLock_Findings(t *testing.T) {
	failing := func(*plan.Source) ([]featuredefs.Column, error) { return nil, errors.New("no such file") }
	for _, c := range []struct {
		name, lock string
		schemas    func(*plan.Source) ([]featuredefs.Column, error)
		want       string // rules and severities
	}{
		{"same type", wantLock, schema(plan.Double), ""},
		{"other type", wantLock, schema(plan.Int), "error lock-mismatch"},
		{"column gone", wantLock, schema(plan.Invalid), "error lock-mismatch"},
		{"data gone, types locked", wantLock, failing, "warning schema-unavailable"},
		{"data gone, nothing locked", "", failing, "error schema-unavailable, error unknown-type"},
		{"nobody knows", "", nil, "error unknown-type"},
		{"broken lock", "s: [1]\n", schema(plan.Double), "error wrong-value"},
		{"unknown type in the lock", "s: {amount: money}\n", schema(plan.Double), "error wrong-value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, diagnostics, err := featuredefs.Load(lockDir(t, c.lock), featuredefs.Options{Schemas: c.schemas})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range diagnostics {
				got = append(got, d.Severity.String()+" "+string(d.Rule))
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("got %v, want %s\n%s", got, c.want, render(t, diagnostics))
			}
		})
	}
}

// TestSchemas_AreOnlyAskedWhenNeeded: a project that declares what it uses loads
// without reading data.
func TestSchemas_AreOnlyAskedWhenNeeded(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	writeFile(t, filepath.Join(dir, "features", "a.yaml"), identity)
	loadClean(t, dir, featuredefs.Options{Schemas: func(s *plan.Source) ([]featuredefs.Column, error) {
		t.Errorf("asked about %s", s.Name)
		return nil, nil
	}})
}

// TestSchemas_ColumnsThatFeaturesCannotRead: such a column is reported as one, not as
// unknown, and not as the feature with the same name.
func TestSchemas_ColumnsThatFeaturesCannotRead(t *testing.T) {
	for _, features := range []string{"{a: count(nested)", "{nested: count(nested)"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
		writeFile(t, filepath.Join(dir, "features", "a.yaml"), strings.Replace(lockProject, "{a: sum(amount)", features, 1))
		_, diagnostics, err := featuredefs.Load(dir, featuredefs.Options{Schemas: schema(plan.Double)})
		if err != nil {
			t.Fatal(err)
		}
		if len(diagnostics) != 1 || diagnostics[0].Rule != featuredefs.RuleColumnType.ID {
			t.Errorf("%s…: got\n%s", features, render(t, diagnostics))
		}
	}
}

// TestCheckData: findings about data are treated like those of Load. An error replaces the
// warning about the same thing, and a comment acknowledges a warning. Where the data was not
// read, a comment counts as unused only if its rule cannot be about data.
func TestCheckData(t *testing.T) {
	dir := lockDir(t, wantLock)
	gone := featuredefs.Options{
		Schemas: func(*plan.Source) ([]featuredefs.Column, error) { return nil, errors.New("the file is gone") },
		CheckData: func(p *plan.Plan) (diag.Diagnostics, error) {
			r := featuredefs.RuleSchema
			return diag.Diagnostics{{Pos: p.Sources[0].RelationPos, Rule: r.ID, Severity: r.Severity, Message: "the file is gone"}}, nil
		},
	}
	_, found, err := featuredefs.Load(dir, gone)
	if err != nil || len(found) != 1 || found[0].Severity != diag.Error || found[0].Source == "" {
		t.Errorf("%v, got\n%s", err, render(t, found))
	}

	dir = lockDir(t, wantLock)
	text := strings.Replace(lockProject, "event_time: ts", "event_time: ts # unskew:ignore time-in-1970 -- old", 1)
	writeFile(t, filepath.Join(dir, "features", "a.yaml"), text)
	old := featuredefs.Options{Schemas: schema(plan.Double), CheckData: func(p *plan.Plan) (diag.Diagnostics, error) {
		r := featuredefs.RuleTimeIn1970
		return diag.Diagnostics{{Pos: p.Sources[0].ColumnPos["ts"], Rule: r.ID, Severity: r.Severity, Message: "old"}}, nil
	}}
	for _, opts := range []featuredefs.Options{old, {}} {
		if _, found, err := featuredefs.Load(dir, opts); err != nil || len(found) > 0 {
			t.Errorf("%v, got\n%s", err, render(t, found))
		}
	}
	old.CheckData = func(*plan.Plan) (diag.Diagnostics, error) { return nil, nil }
	if _, found, err := featuredefs.Load(dir, old); err != nil || len(found) != 1 || found[0].Rule != featuredefs.RuleIgnore.ID {
		t.Errorf("%v, got\n%s", err, render(t, found))
	}
}
