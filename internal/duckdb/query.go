//go:build duckdb_arrow

package duckdb

import (
	"context"
	"fmt"
	"os"
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
// quoted or not: absolute paths and URLs in order, with patterns expanded. It includes files
// that are named but not read, and excludes those of attached databases.
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
		files = append(files, found...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
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
			path := strings.Clone(col.Value(i))
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				files = append(files, path)
			}
		}
		return nil
	})
	return files, err
}

// Quote makes s a string literal.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// missingExtension is part of DuckDB's error for an extension that is not installed.
const missingExtension = "Install it first using \"INSTALL "

// extensionError says what to do about an extension that is not installed.
func extensionError(msg string) error {
	_, rest, ok := strings.Cut(msg, missingExtension)
	if !ok {
		return nil
	}
	name, _, _ := strings.Cut(rest, `"`)
	return fmt.Errorf("the DuckDB extension %s is needed and not installed, and Unskew installs nothing by itself; "+
		"install it once with DuckDB %s: duckdb -c %q", name, Version(), "INSTALL "+name)
}
