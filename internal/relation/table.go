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

// Column is a column of a relation and the type it is read as when none is declared.
type Column struct {
	plan.Field // of kind Null when the column holds no value that would tell
	// Unusable completes the sentence "column x of source s …" where no plan type holds what
	// the column has, or none without a declaration; "" otherwise.
	Unusable string
}

// table is a relation that was looked at. Each format implements it once.
type table interface {
	// columns lists all columns in order.
	columns(ctx context.Context) ([]Column, error)
	// bind settles how the given columns are read, and refuses what cannot be.
	bind(ctx context.Context, columns []plan.Field) (scan, error)
	// count is the number of rows.
	count(ctx context.Context) (int64, error)
	// records reads everything as it is; see Reader.Records.
	records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error
}

// scan yields the parts of a relation in the order of its rows. A nil error ends with
// ok = false. next is not called concurrently, close after the last call of next and once
// all parts were read.
type scan interface {
	next(ctx context.Context) (p part, ok bool, err error)
	close() error
}

// part is consecutive rows of one file, or of a query, which one worker reads.
type part struct {
	bytes int64 // it may take in memory at most, about
	read  func(emit func(*Batch) error) error
}

// fileFormat is how files are read.
type fileFormat uint8

const (
	parquetFiles fileFormat = iota + 1
	csvFiles
	jsonFiles
)

// formats by the ending of a file's name, before a compression's ending.
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

// place names where a relation's columns are looked for.
func (rel *Relation) place() string {
	if rel.SQL != "" {
		return "its sql:"
	}
	return rel.From
}

// failed names the relation in an error about all of it.
func (rel *Relation) failed(err error) error {
	if rel.SQL != "" {
		return fmt.Errorf("%s: sql: %w", rel.Owner, err)
	}
	return fmt.Errorf("%s: read %s: %w", rel.Owner, rel.From, err)
}

// missing is the error about a column that is not there.
func (rel *Relation) missing(place, name string, there []string) error {
	return fmt.Errorf("%s: %s has no column %q%s; it has %s", rel.Owner, place, name, nearest.Hint(name, there), strings.Join(there, ", "))
}

// refused is the error about a column whose type is not the declared one.
func (rel *Relation) refused(place string, f plan.Field, found, advice string) error {
	return fmt.Errorf("%s: column %q is declared as %v but %s holds %s%s", rel.Owner, f.Name, f.Type, place, found, advice)
}

// sameBut finds two names that differ in case only.
func sameBut(names []string) (a, b string, ok bool) {
	seen := map[string]string{}
	for _, n := range names {
		if other, ok := seen[strings.ToLower(n)]; ok {
			return other, n, true
		}
		seen[strings.ToLower(n)] = n
	}
	return "", "", false
}

// distinct refuses names of columns that differ in case only, or not at all: DuckDB and
// others, to whom training sets go, cannot tell them apart.
func (rel *Relation) distinct(place string, names []string) error {
	a, b, ok := sameBut(names)
	switch {
	case !ok:
		return nil
	case a == b:
		return fmt.Errorf("%s: %s has two columns %q; let sql: name one of them otherwise", rel.Owner, place, a)
	}
	return fmt.Errorf("%s: %s has columns %q and %q, which differ in case only; let sql: name one of them otherwise", rel.Owner, place, a, b)
}
