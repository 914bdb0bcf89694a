//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Relation is where rows come from: files (From) or a query (SQL).
type Relation struct {
	Owner string // for errors: "source clicks"
	From  string // path, glob or URL; relative paths are relative to Options.BaseDir
	SQL   string
}

// SourceRelation is the history of s.
func SourceRelation(s *plan.Source) Relation {
	return Relation{Owner: "source " + s.Name, From: s.From, SQL: s.SQL}
}

// SpineRelation is the spine of a training set.
func SpineRelation(s plan.Spine) Relation {
	return Relation{Owner: "spine", From: s.From, SQL: s.SQL}
}

// format is how a file is read.
type format uint8

const (
	sqlQuery format = iota
	parquetFiles
	csvFiles
	jsonFiles
)

// formats by file name ending, before a compression's ending.
var formats = map[string]format{
	".parquet": parquetFiles, ".pq": parquetFiles,
	".csv": csvFiles, ".tsv": csvFiles,
	".json": jsonFiles, ".jsonl": jsonFiles, ".ndjson": jsonFiles,
}

func formatOf(from string) (format, bool) {
	name := strings.ToLower(from)
	if i := strings.IndexByte(name, '?'); i > 0 && isURL(from) {
		name = name[:i]
	}
	for _, compressed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, compressed)
	}
	f, ok := formats[filepath.Ext(name)]
	return f, ok
}

func isURL(from string) bool { return strings.Contains(from, "://") }

// table is a relation made ready: what stands behind FROM.
type table struct {
	rel    Relation
	format format
	files  []string // absolute paths in byte order, or the URL
	base   string   // absolute
}

// open finds the files of a relation.
func (db *DB) open(ctx context.Context, rel Relation) (*table, error) {
	if rel.SQL != "" {
		return &table{rel: rel, base: db.base}, nil
	}
	if rel.From == "" {
		return nil, fmt.Errorf("%s has neither from: nor sql:, so it has no rows to read", rel.Owner)
	}
	f, ok := formatOf(rel.From)
	if !ok {
		return nil, fmt.Errorf("%s: cannot tell the format of %q by its ending; it must end in .parquet, .csv, .tsv, .json, .jsonl or .ndjson "+
			"(.gz or .zst may follow); write sql: for anything else", rel.Owner, rel.From)
	}
	if isURL(rel.From) {
		return &table{rel: rel, format: f, files: []string{rel.From}, base: db.base}, nil
	}
	files, err := db.glob(ctx, db.abs(rel.From))
	if err != nil {
		return nil, fmt.Errorf("%s: list %s: %w", rel.Owner, rel.From, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no file matches %q in %s", rel.Owner, rel.From, db.base)
	}
	return &table{rel: rel, format: f, files: files, base: db.base}, nil
}

func (db *DB) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(db.base, path)
}

// glob lists the files that match a pattern, in byte order of their paths.
func (db *DB) glob(ctx context.Context, pattern string) ([]string, error) {
	var files []string
	err := db.stream(ctx, "SELECT file FROM glob("+quote(pattern)+") ORDER BY file", nil, func(rec arrow.RecordBatch) error {
		col := rec.Column(0).(*array.String)
		for i := range col.Len() {
			files = append(files, strings.Clone(col.Value(i)))
		}
		return nil
	})
	return files, err
}

// from writes what stands behind FROM. Every file is looked at before types are
// decided: DuckDB would else take those of the first and round what other files
// hold into them. types forces the types of text columns; JSON
// readers take all or none, so they get every column that is read.
func (t *table) from(types []forcedType) string {
	if t.format == sqlQuery {
		return "(" + strings.TrimRight(t.rel.SQL, "; \t\r\n") + "\n) AS r"
	}
	files := t.fileList()
	switch t.format {
	case csvFiles:
		return "read_csv(" + files + ", header = true, sample_size = -1, files_to_sniff = -1" + typesArgument("types", types) + ")"
	case jsonFiles:
		return "read_json(" + files + ", sample_size = -1, maximum_sample_files = -1" + typesArgument("columns", types) + ")"
	}
	return "read_parquet(" + files + ", union_by_name = true)"
}

// fileList is the files as a list of SQL.
func (t *table) fileList() string {
	quoted := make([]string, len(t.files))
	for i, f := range t.files {
		quoted[i] = quote(f)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// forcedType is a column of a text file and the DuckDB type it is parsed as.
type forcedType struct{ name, sql string }

func typesArgument(arg string, types []forcedType) string {
	if len(types) == 0 {
		return ""
	}
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = quote(t.name) + ": " + quote(t.sql)
	}
	return ", " + arg + " = {" + strings.Join(parts, ", ") + "}"
}

// failed names the owner in an error of a query over the table.
func (t *table) failed(err error) error {
	if bad := (*rowError)(nil); errors.As(err, &bad) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	msg := strings.ReplaceAll(err.Error(), t.base+string(filepath.Separator), "")
	if strings.Contains(msg, "magic bytes") {
		msg += "; it is cut off or no Parquet file"
	}
	err = errors.New(msg)
	if t.format == sqlQuery {
		return fmt.Errorf("%s: sql: %w", t.rel.Owner, err)
	}
	return fmt.Errorf("%s: read %s: %w", t.rel.Owner, t.rel.From, err)
}
