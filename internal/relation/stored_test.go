//go:build duckdb_arrow

package relation

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/duckdb"
)

// What the message for a nested column advises is a query that runs, whether the column is in a file or of a query.
func TestNestedColumnsAreReadByTheQueryThatTheErrorShows(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(Options{BaseDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	db, err := duckdb.Open(duckdb.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	query := `SELECT {'x': 7::BIGINT} AS "a struct", [7::BIGINT] AS "a list", MAP {'key': 7::BIGINT} AS "a map"`
	if err := db.Exec(t.Context(), "COPY ("+query+") TO "+duckdb.Quote(filepath.Join(dir, "nested.parquet"))); err != nil {
		t.Fatal(err)
	}
	for _, in := range []Relation{{From: "nested.parquet"}, {SQL: query}} {
		columns, err := r.Columns(context.Background(), in)
		if err != nil || len(columns) != 3 {
			t.Fatalf("%+v, %v", columns, err)
		}
		for _, c := range columns {
			_, advice, ok := strings.Cut(c.Unusable, "such as SELECT ")
			advice = "SELECT " + advice
			if !ok {
				t.Errorf("%s: %q", c.Name, c.Unusable)
				continue
			}
			got, err := r.Columns(context.Background(), Relation{SQL: advice + " FROM 'nested.parquet'"})
			if err != nil || got[0].Unusable != "" {
				t.Errorf("%s: %+v, %v", advice, got, err)
			}
		}
	}
}
