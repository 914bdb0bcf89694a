package relation

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
)

// Column is a column of a relation and the type it is read as when not declared.
type Column struct {
	plan.Field // of kind Null when no value tells its type
	// Unusable completes the sentence "column x of source s …" if no plan type holds the
	// column, or none does without a declaration; "" otherwise.
	Unusable string
}

// table is an opened relation; each format implements it.
type table interface {
	// columns lists all columns in order.
	columns(ctx context.Context) ([]Column, error)
	// bind decides how the given columns are read and rejects those that cannot be.
	bind(ctx context.Context, columns []plan.Field) (scan, error)
	// count is the number of rows.
	count(ctx context.Context) (int64, error)
	// records reads all columns with their own types; see Reader.Records.
	records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error
}

// scan yields the parts of a relation in row order; ok = false with a nil error is the end.
// Calls of next do not overlap. close is called after the last next, once all parts have
// been read.
type scan interface {
	next(ctx context.Context) (p part, ok bool, err error)
	close() error
}

// part is a run of consecutive rows of one file or query, read by one worker.
type part struct {
	bytes int64 // estimate of the memory it may take
	read  func(emit func(*Batch) error) error
}

// fileFormat selects how files are read.
type fileFormat uint8

const (
	parquetFiles fileFormat = iota + 1
	csvFiles
	jsonFiles
)

// formats maps a file's extension, before any compression extension, to its format.
var formats = map[string]fileFormat{
	".parquet": parquetFiles, ".pq": parquetFiles,
	".csv": csvFiles, ".tsv": csvFiles,
	".json": jsonFiles, ".jsonl": jsonFiles, ".ndjson": jsonFiles,
}

func formatOf(from string) (fileFormat, bool) {
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

// label names the relation in messages about its columns.
func (rel *Relation) label() string {
	if rel.SQL != "" {
		return "its sql:"
	}
	return rel.From
}

// failed adds the relation's name to an error about all of it.
func (rel *Relation) failed(err error) error {
	if rel.SQL != "" {
		return fmt.Errorf("%s: sql: %w", rel.Owner, err)
	}
	return fmt.Errorf("%s: read %s: %w", rel.Owner, rel.From, err)
}

// missing is the error for a column that does not exist.
func (rel *Relation) missing(place, name string, there []string) error {
	return fmt.Errorf("%s: %s has no column %q%s; it has %s", rel.Owner, place, name, nearest.Hint(name, there), some(there))
}

// refused is the error for a column whose type is not the declared one.
func (rel *Relation) refused(place string, f plan.Field, found, advice string) error {
	return fmt.Errorf("%s: column %q is declared as %v but %s holds %s%s", rel.Owner, f.Name, f.Type, place, found, advice)
}

// caseCollision finds two names that differ only in case.
func caseCollision(names []string) (a, b string, ok bool) {
	seen := map[string]string{}
	for _, n := range names {
		if other, ok := seen[strings.ToLower(n)]; ok {
			return other, n, true
		}
		seen[strings.ToLower(n)] = n
	}
	return "", "", false
}

// distinct rejects column names that are equal or differ only in case: DuckDB and other
// consumers of training sets cannot tell them apart.
func (rel *Relation) distinct(place string, names []string) error {
	a, b, ok := caseCollision(names)
	switch {
	case !ok:
		return nil
	case a == b:
		return fmt.Errorf("%s: %s has two columns %q; let sql: rename one of them", rel.Owner, place, a)
	}
	return fmt.Errorf("%s: %s has columns %q and %q, which differ only in case; let sql: rename one of them", rel.Owner, place, a, b)
}
