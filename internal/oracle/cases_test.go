package oracle_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
)

// sharedCases is a folder next to the repository that may have more cases.
const sharedCases = "../../../shared/cases"

// Cases are projects with expected values from an independent implementation of
// docs/semantics.md. Those of testdata/found are small and about past or likely errors.
func TestCases(t *testing.T) {
	for _, root := range []string{"testdata/cases", "testdata/found", sharedCases} {
		dirs, err := filepath.Glob(filepath.Join(root, "*", featuredefs.ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d cases in %s", len(dirs), root)
		if len(dirs) == 0 && root == "testdata/cases" {
			t.Fatal("the committed cases are missing")
		}
		for _, config := range dirs {
			dir := filepath.Dir(config)
			t.Run(filepath.Base(root)+"/"+filepath.Base(dir), func(t *testing.T) { runCase(t, dir) })
		}
	}
}

// runCase runs every test of a project in the oracle and the replay, and tests of views in
// online state too.
func runCase(t *testing.T, dir string) {
	project, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found.Errors() {
		t.Errorf("%v", d)
	}
	if len(project.Tests) == 0 {
		t.Fatal("no tests")
	}
	for _, test := range project.Tests {
		events := eventsOf(t, test)
		for _, x := range test.Expect {
			expectCells(t, "oracle", x, ask(t, test, events, x))
		}
		if test.Service != nil {
			runService(t, test, events)
			continue
		}
		runReplay(t, test, events)
		runOnline(t, test, events)
	}
}

func eventsOf(t *testing.T, test *featuredefs.Test) []oracle.Event {
	var out []oracle.Event
	for _, source := range test.Events {
		for _, row := range source.Rows {
			columns := map[string]plan.Value{}
			for i, c := range source.Source.Columns {
				columns[c.Name] = row.Values[i]
			}
			e, err := oracle.NewEvent(source.Source, columns, false)
			if err != nil {
				t.Fatalf("%v: %v", row.Pos, err)
			}
			out = append(out, e)
		}
	}
	return out
}

// ask computes an expectation's features with the oracle.
func ask(t *testing.T, test *featuredefs.Test, events []oracle.Event, x featuredefs.Expectation) []cell {
	var results []oracle.Result
	var err error
	if test.View != nil {
		results, err = oracle.New().View(test.View, events, x.Keys, x.At)
	} else {
		keys, request := byName(test.Service.Keys, x.Keys), byName(test.Service.Request, x.Request)
		results, err = oracle.New().Service(test.Service, events, keys, request, x.At)
	}
	if err != nil {
		t.Fatal(err)
	}
	cells := make([]cell, len(results))
	for i, r := range results {
		cells[i] = cell{value: r.Value, status: string(r.Status)}
	}
	return cells
}

func byName(fields []plan.Field, values []plan.Value) map[string]plan.Value {
	out := map[string]plan.Value{}
	for i, f := range fields {
		out[f.Name] = values[i]
	}
	return out
}

func expectCells(t *testing.T, path string, x featuredefs.Expectation, got []cell) {
	t.Helper()
	for _, f := range x.Features {
		g := got[f.Index]
		status := f.Status == "" || f.Status == g.status
		if f.Status == "" && f.HasValue && f.Value.IsNull() {
			status = g.status == "EMPTY" || g.status == "UNKNOWN_ENTITY"
		}
		if !status || f.HasValue && !f.Value.Equal(g.value) {
			t.Errorf("%s:%d: %s %v at %v: %s is %v %s, want %v %s", x.Pos.File, f.Pos.Line, path, x.Keys, x.At, f.Name, g.value, g.status, f.Value, f.Status)
		}
	}
}

func compiled(t *testing.T, test *featuredefs.Test) *kernel.View {
	v, err := kernel.NewView(test.View)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func runReplay(t *testing.T, test *featuredefs.Test, events []oracle.Event) {
	var reads []gen.Read
	for _, x := range test.Expect {
		reads = append(reads, gen.Read{Key: x.Keys, At: x.At})
	}
	batch := batchOf(test.View, oracle.Deduplicate(test.View.Source, events))
	got, err := replay(compiled(t, test).Plan(), []*kernel.Events{batch}, reads, 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range test.Expect {
		expectCells(t, "replay", x, got[i])
	}
}

// runOnline reads each expectation from new states, because their times need not ascend. It
// applies the events once at the time of the read and once long before; the states must not
// differ.
func runOnline(t *testing.T, test *featuredefs.Test, events []oracle.Event) {
	unique := oracle.Deduplicate(test.View.Source, events)
	for _, x := range test.Expect {
		late, early := newOnline(t, compiled(t, test)), newOnline(t, compiled(t, test))
		late.horizon = x.At
		for _, o := range []*online{late, early} {
			o.apply(unique)
			o.restore()
			expectCells(t, "online", x, o.read(gen.Read{Key: x.Keys, At: x.At}))
		}
		for k, state := range late.states {
			early.states[k].Fold(x.At)
			if !slices.Equal(state.Append(nil), early.states[k].Append(nil)) {
				t.Errorf("%s:%d: the state depends on when the events were applied", x.Pos.File, x.Pos.Line)
			}
		}
	}
}

func runService(t *testing.T, test *featuredefs.Test, events []oracle.Event) {
	reads := make([][]gen.Read, len(test.Service.Views))
	requests := make([]map[string]plan.Value, len(test.Expect))
	for i, x := range test.Expect {
		keys := byName(test.Service.Keys, x.Keys)
		requests[i] = byName(test.Service.Request, x.Request)
		for v, ref := range test.Service.Views {
			r := gen.Read{At: x.At}
			for _, name := range ref.Keys {
				r.Key = append(r.Key, keys[name])
			}
			reads[v] = append(reads[v], r)
		}
	}
	got := serve(t, test.Service, events, reads, requests)
	for i, x := range test.Expect {
		expectCells(t, "replay", x, got[i])
	}
}
