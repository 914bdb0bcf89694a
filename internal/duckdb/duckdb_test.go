//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

func open(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Exec(t.Context(), "SELECT 1"); err != nil { // which starts it
		t.Fatal(err)
	}
	return db
}

func TestDescribeNamesAsTheQueryDoes(t *testing.T) {
	db := open(t, Options{Threads: 1})
	for _, sql := range []string{
		`SELECT 1 AS a, 'x' AS "A", 1.5 AS d`,
		`WITH w AS (SELECT 1 AS a, 'x' AS "A", 1.5 AS d) FROM w -- a comment`,
		`(VALUES (1, 'x', 1.5)) t(a, "A", d)`,
	} {
		if strings.HasPrefix(sql, "(VALUES") {
			sql = "FROM " + sql
		}
		columns, err := db.Describe(context.Background(), sql)
		var got []string
		for _, c := range columns {
			got = append(got, c.Name+" "+c.Type)
		}
		if want := []string{"a INTEGER", "A VARCHAR", "d DECIMAL(2,1)"}; err != nil || strings.HasPrefix(sql, "SELECT") && !slices.Equal(got, want) || len(got) != 3 {
			t.Errorf("%s: %q, %v", sql, got, err)
		}
	}
}

// TestFilesInFindsEveryFile that a query reads, in whatever way the query names it.
func TestFilesInFindsEveryFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.csv", "b.csv", "it's.csv", "day-7.csv", "deep/x/c.csv", "deep/y/c.csv", "d.x.csv", "lake/_delta_log/0.json", "lake/p/0.parquet", "berg/metadata/v1.json"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x\n1\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, Options{BaseDir: dir, Threads: 1})
	for _, tc := range []struct{ sql, want string }{
		{`SELECT 1 AS x`, ""},
		{`FROM 'a.csv'`, "a.csv"},
		{`FROM "a.csv"`, "a.csv"},
		{`FROM a.csv`, "a.csv"},
		{`FROM d."x.csv" t`, "d.x.csv"},
		{`SELECT * FROM read_csv($$a.csv$$)`, "a.csv"},
		{`FROM read_csv('it''s.csv')`, "it's.csv"},
		{`SELECT (SELECT max(x) FROM "deep/*/c.csv") AS m`, "deep/x/c.csv deep/y/c.csv"},
		{`FROM 'deep/**/*.csv'`, "deep/x/c.csv deep/y/c.csv"},
		{`FROM read_csv(['a.csv', 'b.csv'])`, "a.csv b.csv"},
		{`FROM read_csv('day-' || 7 || '.csv')`, "day-7.csv"},
		{`FROM read_csv(list_transform(['a', 'b'], c -> c || '.csv'))`, "a.csv b.csv"},
		{`WITH t AS (FROM 'a.csv') FROM t JOIN read_text("concat"('b', '.csv')) u ON true`, "a.csv b.csv"},
		{`PIVOT 'a.csv' ON x USING count(*)`, "a.csv"},
		{"FROM 'b.csv' -- 'a.csv'\nWHERE \"x\" <> 'nothing' /* 'a.csv' */", "b.csv"},
		{`FROM read_text('lake')`, "lake/_delta_log/0.json lake/p/0.parquet"},
		{`FROM read_text('be' || 'rg')`, "berg/metadata/v1.json"},
		{`FROM read_text('deep')`, ""},
		{`FROM '` + dir + `/a.csv'`, "a.csv"},
	} {
		files, err := db.FilesIn(context.Background(), tc.sql)
		var got []string
		for _, f := range files {
			got = append(got, strings.TrimPrefix(f, db.Base()))
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %q, %v, want %q", tc.sql, got, err, tc.want)
		}
	}
}

// TestNothingIsInstalled: a query that needs an extension says so instead.
func TestNothingIsInstalled(t *testing.T) {
	db := open(t, Options{Threads: 1})
	err := db.Exec(context.Background(), "SET GLOBAL extension_directory = '"+t.TempDir()+"'")
	if err != nil {
		t.Fatal(err)
	}
	for sql, extension := range map[string]string{
		"FROM 'https://example.invalid/a.parquet'":                                        "httpfs",
		"FROM delta_scan('data/orders')":                                                  "delta",
		"FROM iceberg_scan('data/orders')":                                                "iceberg",
		"FROM sqlite_scan('shop.db', 'orders')":                                           "sqlite_scanner",
		"FROM postgres_scan('host=example.invalid password=hunter2', 'public', 'orders')": "postgres_scanner",
	} {
		err := db.Query(context.Background(), sql, nil, func(arrow.RecordBatch) error { return nil })
		if err == nil {
			t.Errorf("%s: no error", sql)
			continue
		}
		for _, said := range []string{"extension " + extension + " is needed and not installed", Version() + `: duckdb -c "INSTALL ` + extension + `"`, "copy the data to Parquet"} {
			if !strings.Contains(err.Error(), said) {
				t.Errorf("%s: error %q does not say %q", sql, err, said)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %q shows the password", sql, err)
		}
	}
}

func TestCancelledStatementsEnd(t *testing.T) {
	db := open(t, Options{Threads: 1})
	slow := "SELECT sum(a.i * b.i) AS x FROM range(1000000) a(i), range(1000000) b(i) WHERE a.i + b.i = 0"
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Query(ctx, slow, nil, func(arrow.RecordBatch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before the query: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	go cancel()
	if err := db.Exec(ctx, "CREATE TABLE t AS "+slow); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled during the query: %v", err)
	}
}

func TestASettingThatIsRefused(t *testing.T) {
	db, err := Open(Options{MemoryLimit: "lots"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := db.Exec(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), "memory_limit = lots") {
			t.Errorf("error %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A database of which nothing is asked takes no time and leaves no files.
func TestStartsWithTheFirstStatement(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(Options{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if names := spills(t, dir); len(names) > 0 {
		t.Errorf("before a statement there are %q", names)
	}
	if err := db.Exec(t.Context(), "SELECT 1"); err != nil || len(spills(t, dir)) != 1 {
		t.Errorf("%v, %q", err, spills(t, dir))
	}
	if err := db.Close(); err != nil || len(spills(t, dir)) != 0 {
		t.Errorf("%v, %q", err, spills(t, dir))
	}
}
