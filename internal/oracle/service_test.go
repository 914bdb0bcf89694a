package oracle_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
	"github.com/unskew/unskew/internal/vector"
)

// A service agrees with the oracle: one view in two roles, and derived features over both and
// over request fields, some of them null.
func TestServiceAgreesWithTheOracle(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := gen.ServiceDefinitions(t, 4)
		defstest.Write(t, dir, text)
		t.Logf("%s", text)
		service := loadService(t, dir)
		view := service.Views[0].View
		events := gen.Events(t, view, 16)
		reads := gen.Reads(t, view, events, 5)
		others := rapid.Permutation(reads).Draw(t, "other role")
		requests := make([]map[string]plan.Value, len(reads))
		for i := range reads {
			others[i].At = reads[i].At
			requests[i] = gen.Row(t, service.Request)
		}
		got := serve(t, service, events, [][]gen.Read{reads, others}, requests)
		for i, r := range reads {
			keys := map[string]plan.Value{}
			for k, name := range service.Views[0].Keys {
				keys[name], keys[service.Views[1].Keys[k]] = r.Key[k], others[i].Key[k]
			}
			want, err := oracle.New().Service(service, events, keys, requests[i], r.At)
			if err != nil {
				t.Fatal(err)
			}
			if err := agree(want, got[i]); err != nil {
				t.Fatalf("%v with %v at %v: %v", keys, requests[i], r.At, err)
			}
		}
	})
}

func loadService(t *rapid.T, dir string) *plan.Service {
	project, found, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	service, ok := project.Plan.Service(gen.ServiceName)
	if len(found) > 0 || !ok {
		t.Fatalf("%v", found)
	}
	return service
}

// serve replays every role and computes the derived features. reads has the rows of each role.
func serve(t fataler, s *plan.Service, events []oracle.Event, reads [][]gen.Read, requests []map[string]plan.Value) [][]cell {
	views := make([]*kernel.Features, len(s.Views))
	for i, ref := range s.Views {
		v, err := kernel.NewView(ref.View)
		if err != nil {
			t.Fatalf("%v", err)
		}
		batch := batchOf(ref.View, oracle.Deduplicate(ref.View.Source, events))
		r, err := swept(v.Plan(), []*kernel.Events{batch}, reads[i], 1)
		if err != nil {
			t.Fatalf("%v", err)
		}
		err = r.Results(func(_ int, f *kernel.Features) error {
			views[i] = f // all rows: there are fewer than a batch
			return nil
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	request := vector.NewBatch(s.Request, len(requests))
	at := make([]plan.EventTime, len(requests))
	for i, row := range requests {
		at[i] = reads[0][i].At
		for c, f := range s.Request {
			request.Cols[c].Set(i, row[f.Name])
		}
	}
	compiled, err := kernel.NewService(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	all := &kernel.Features{Cols: compiled.Assemble(views, compiled.Derive(views, request, at))}
	out := make([][]cell, len(requests))
	for i := range out {
		out[i] = cellsOf(all, i)
	}
	return out
}
