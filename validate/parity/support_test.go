package parity_test

import (
	"context"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// project is a project folder with a DuckDB reader.
type project struct {
	dir  string
	db   *relation.Reader
	plan *plan.Plan
}

// open compiles the project in dir.
func open(t *testing.T, dir string) *project {
	t.Helper()
	db, err := relation.Open(relation.Options{BaseDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	p := defstest.Load(t, dir, featuredefs.Options{Schemas: func(s *plan.Source) ([]featuredefs.Column, error) {
		found, err := db.Columns(t.Context(), relation.SourceRelation(s))
		columns := make([]featuredefs.Column, len(found))
		for i, c := range found {
			columns[i] = featuredefs.Column(c)
		}
		return columns, err
	}})
	return &project{dir, db, p.Plan}
}

// train writes the only training set to a folder and returns both.
func (p *project) train(t *testing.T, withStatus bool) (out string, m *offline.Manifest) {
	t.Helper()
	out = t.TempDir()
	m, err := offline.Train(t.Context(), offline.Config{
		Reader: p.db, Project: "test", Set: p.plan.Training[0], Out: out, WithStatus: withStatus, Engine: celenv.Engine(), Threads: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, m
}

// history reads the files of a source.
func (p *project) history(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error {
	h := offline.History{Reader: p.db, Source: src}
	for _, c := range src.Columns {
		h.Columns = append(h.Columns, c.Name)
	}
	_, err := h.Read(ctx, f)
	return err
}
