//go:build duckdb_arrow

package duckdb

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// aDatabase writes a file of DuckDB with the table t, which has the one row 7.
func aDatabase(t *testing.T, path string) {
	t.Helper()
	db := open(t, Options{Threads: 1})
	if err := db.Exec(context.Background(), "ATTACH "+Quote(path)+" AS x; CREATE TABLE x.t AS SELECT 7::BIGINT AS n; DETACH x"); err != nil {
		t.Fatal(err)
	}
}

// attached attaches what sql names and returns the numbers in its only column.
func attached(db *DB, sql string) (numbers []int64, err error) {
	if err := db.Attach(context.Background(), sql); err != nil {
		return nil, err
	}
	err = db.Query(context.Background(), sql, nil, func(rec arrow.RecordBatch) error {
		numbers = append(numbers, rec.Column(0).(*array.Int64).Int64Values()...)
		return nil
	})
	return numbers, err
}

func TestAttach(t *testing.T) {
	dir := t.TempDir()
	aDatabase(t, filepath.Join(dir, "it's.db"))
	db := open(t, Options{BaseDir: dir, Threads: 1, Databases: []Database{
		{Name: "crm", Type: "duckdb", Path: "it's.db"},
		{Name: "gone", Type: "duckdb", Path: "gone.db"},
	}})
	for _, sql := range []string{"FROM crm.t", `SELECT t.n FROM "CRM".main."t" AS t`, "FROM crm.t -- gone.t"} {
		if got, err := attached(db, sql); err != nil || !slices.Equal(got, []int64{7}) {
			t.Errorf("%s: %v, %v", sql, got, err)
		}
		files, err := db.FilesIn(context.Background(), sql)
		if want := []string{filepath.Join(dir, "it's.db")}; err != nil || !slices.Equal(files, want) {
			t.Errorf("%s: files %q, %v", sql, files, err)
		}
	}
	if err := db.Exec(context.Background(), "INSERT INTO crm.t VALUES (8)"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write to it: %v", err)
	}
	if _, err := attached(db, "FROM gone.t"); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "attach gone: ") {
		t.Errorf("a file that does not exist: %v", err)
	}
	aDatabase(t, filepath.Join(dir, "gone.db"))
	if got, err := attached(db, "FROM gone.t"); err != nil || len(got) != 1 {
		t.Errorf("after the file has come: %v, %v", got, err)
	}
}

// TestAttachNeedsAnExtension: the error names the extension, not the connection string.
func TestAttachNeedsAnExtension(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, Options{BaseDir: dir, Threads: 1, Databases: []Database{
		{Name: "shop", Type: "sqlite", Path: "shop.db"},
		{Name: "crm", Type: "postgres", Connection: func() (string, error) { return "host=h password=hunter2", nil }},
	}})
	if err := db.Exec(context.Background(), "SET GLOBAL extension_directory = "+Quote(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	for name, extension := range map[string]string{"shop": "sqlite", "crm": "postgres"} {
		_, err := attached(db, "FROM "+name+".t")
		if err == nil || !strings.Contains(err.Error(), "extension "+extension) || !strings.Contains(err.Error(), "INSTALL "+extension) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorsHideConnectionStrings also when a later query of theirs quotes one.
func TestErrorsHideConnectionStrings(t *testing.T) {
	db := open(t, Options{Threads: 1})
	db.hide("host=h password=it's")
	err := db.Exec(context.Background(), "SELECT error('cannot connect to host=h password=it''s: refused')")
	if err == nil || strings.Contains(err.Error(), "password") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}

// A database that no query can name says where it belongs, and one of a newer DuckDB how to write it.
func TestDatabasesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.db")
	aDatabase(t, path)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The storage version comes after the letters DUCK; before them is a checksum, the exclusive or of words times a constant.
	words := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[i:]) }
	sum := words(0) ^ words(8)*0xbf58476d1ce4e5b9
	raw[12] = 99
	binary.LittleEndian.PutUint64(raw, sum^words(8)*0xbf58476d1ce4e5b9)
	if err := os.WriteFile(filepath.Join(dir, "newer.db"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, Options{BaseDir: dir, Threads: 1, Databases: []Database{{Name: "newer", Type: "duckdb", Path: "newer.db"}}})
	under := `neither a schema nor a database under attach: in unskew.yaml`
	for sql, want := range map[string]string{
		"FROM shop.t":      `the query names "shop", which is ` + under,
		"FROM shop.main.t": `as in attach: {shop: {duckdb: data/shop.duckdb}}`,
		"FROM newer.t":     `attach newer: the file was written by a newer DuckDB, in storage version 99; this program has DuckDB v1.`,
		"FROM 'newer.db'":  `(STORAGE_VERSION 'v1.`,
	} {
		if _, err := attached(db, sql); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// A query that needs more memory than it has, or more disk, says which limit that is.
func TestQueriesThatNeedTooMuch(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Options{MemoryLimit: "50MB", Threads: 1, TempDir: dir})
	if err := db.Exec(context.Background(), "SET GLOBAL max_temp_directory_size = '1MB'"); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		"SELECT list(i) FROM range(20000000) t(i)":                            "a query needs more memory than its share of the limit, 50MB; allow more memory (--memory)",
		"SELECT i, repeat('x', 500) AS x FROM range(1000000) t(i) ORDER BY x": "intermediate results do not fit on the disk of " + dir,
	} {
		err := db.Query(context.Background(), sql, nil, func(arrow.RecordBatch) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "memory_limit") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
