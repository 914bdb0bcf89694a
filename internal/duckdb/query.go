//go:build duckdb_arrow

package duckdb

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Query runs a query and calls schema once, if it is not nil, and then f with the rows in
// order, in batches of a few thousand, without holding the whole result. A
// record is valid only during the call unless f retains it. The first error of a callback
// ends the query and is returned.
func (db *DB) Query(ctx context.Context, sql string, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	return db.stream(ctx, sql, schema, f)
}

// Column is a column of a query's result.
type Column struct {
	Name string
	Type string // DuckDB's name of it
}

// Describe lists the columns of a query's result, named as the query names them, without
// running it.
func (db *DB) Describe(ctx context.Context, sql string) ([]Column, error) {
	var columns []Column
	err := db.stream(ctx, "DESCRIBE "+sql, nil, func(rec arrow.RecordBatch) error {
		names, types := rec.Column(0).(*array.String), rec.Column(1).(*array.String)
		for i := range names.Len() {
			columns = append(columns, Column{strings.Clone(names.Value(i)), strings.Clone(types.Value(i))})
		}
		return nil
	})
	return columns, err
}

// FilesIn lists the files that a query names, in string literals and in names of tables,
// quoted or not: absolute paths and URLs in order, with patterns and the folders of Delta and
// Iceberg tables expanded. It includes files that are named but not read, and those of attached
// databases with their write-ahead logs.
func (db *DB) FilesIn(ctx context.Context, sql string) ([]string, error) {
	names, err := db.computedNames(ctx, sql)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range append(namesIn(sql), names...) {
		if strings.Contains(name, "://") {
			files = append(files, name)
			continue
		}
		found, err := db.glob(ctx, name)
		if err != nil {
			return nil, err
		}
		table, err := db.lakeTable(name)
		if err != nil {
			return nil, err
		}
		files = append(append(files, found...), table...)
	}
	for _, d := range db.DatabasesIn(sql) {
		if d.Path != "" {
			files = append(files, existing(db.abs(d.Path), db.abs(d.Path)+".wal", db.abs(d.Path)+"-wal")...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// lakeTable lists the files of a Delta or Iceberg table; name is the folder of the table.
func (db *DB) lakeTable(name string) (files []string, err error) {
	root := db.abs(name)
	isFolder := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	}
	if name == "" || strings.ContainsRune(name, 0) || !isFolder(filepath.Join(root, "_delta_log")) && !isFolder(filepath.Join(root, "metadata")) {
		return nil, nil
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

func existing(paths ...string) []string {
	return slices.DeleteFunc(paths, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !info.Mode().IsRegular()
	})
}

// glob lists the files that a pattern of SQL names.
func (db *DB) glob(ctx context.Context, pattern string) ([]string, error) {
	if pattern == "" || strings.ContainsRune(pattern, 0) {
		return nil, nil
	}
	var files []string
	err := db.stream(ctx, "SELECT file FROM glob("+Quote(db.abs(pattern))+")", nil, func(rec arrow.RecordBatch) error {
		col := rec.Column(0).(*array.String)
		for i := range col.Len() {
			files = append(files, existing(strings.Clone(col.Value(i)))...)
		}
		return nil
	})
	return files, err
}

// Quote makes s a string literal.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Ident makes s a quoted identifier.
func Ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
