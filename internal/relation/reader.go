//go:build duckdb_arrow

package relation

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// Options bound what reading may use.
type Options struct {
	MemoryLimit string // of queries, such as "4GB"; "": 80 % of the machine
	Threads     int    // of queries; 0: one for each core
	TempDir     string // below which queries larger than MemoryLimit spill; "": the system's
	BaseDir     string // what relative paths are relative to; "": the working directory
}

// Reader reads relations. All methods may be called concurrently; Close only after
// they have returned.
type Reader struct {
	db   *duckdb.DB
	base string // absolute
}

// Open makes a reader.
func Open(o Options) (*Reader, error) {
	base, err := filepath.Abs(o.BaseDir)
	if err != nil {
		return nil, fmt.Errorf("base directory %q: %w", o.BaseDir, err)
	}
	db, err := duckdb.Open(duckdb.Options(o))
	if err != nil {
		return nil, err
	}
	return &Reader{db, base}, nil
}

// Close releases everything the reader holds.
func (r *Reader) Close() error { return r.db.Close() }

// open looks at the files of a relation.
func (r *Reader) open(ctx context.Context, rel *Relation) (table, error) {
	p, f, err := r.find(rel)
	if err != nil {
		return nil, err
	}
	switch {
	case rel.SQL != "" || isURL(rel.From):
		return r.openQuery(ctx, rel, f)
	case f == parquetFiles:
		return openParquet(ctx, rel, p)
	}
	return openText(rel, p), nil
}

// find lists the files of a relation that are read from here.
func (r *Reader) find(rel *Relation) (p paths, f fileFormat, err error) {
	p.base = r.base
	if rel.SQL != "" {
		return p, 0, nil
	}
	if rel.From == "" {
		return p, 0, fmt.Errorf("%s has neither from: nor sql:, so it has no rows to read", rel.Owner)
	}
	f, ok := formatOf(rel.From)
	if !ok {
		return p, 0, fmt.Errorf("%s: cannot tell the format of %q by its ending; it must end in .parquet, .csv, .tsv, .json, .jsonl or .ndjson "+
			"(.gz or .zst may follow); write sql: for anything else", rel.Owner, rel.From)
	}
	if isURL(rel.From) {
		p.files = []string{rel.From}
		return p, f, nil
	}
	if p.files, err = expand(r.base, rel.From); err != nil {
		return p, 0, fmt.Errorf("%s: list %s: %w", rel.Owner, rel.From, err)
	}
	if len(p.files) == 0 {
		return p, 0, fmt.Errorf("%s: no file matches %q in %s", rel.Owner, rel.From, r.base)
	}
	return p, f, nil
}

// openQuery looks at a query, or at files on a server: DuckDB reads Parquet there.
func (r *Reader) openQuery(ctx context.Context, rel *Relation, f fileFormat) (table, error) {
	if f != parquetFiles && rel.SQL == "" {
		return nil, fmt.Errorf("%s: CSV and JSON are read from this machine only; copy %s here, or say with sql: what it holds, "+
			"such as SELECT * FROM read_csv('%s', header = true, columns = {'id': 'VARCHAR', …})", rel.Owner, rel.From, rel.From)
	}
	return openQuery(ctx, r.db, rel, r.base)
}

// Scan reads the given columns of a relation and calls f with its rows in batches
// of a few thousand at most, in the order of the files' paths and of the rows in
// them, or of the query. The first error of f ends the scan and is returned.
//
// A missing column, a column whose type is not the declared one, a value that the
// declared type cannot hold and an unreadable file are errors that name the owner and
// the place.
func (r *Reader) Scan(ctx context.Context, rel Relation, columns []plan.Field, f func(*Batch) error) error {
	return r.ScanParallel(ctx, rel, columns, 1, func(_ int, b *Batch) error { return f(b) })
}

// ScanParallel reads what Scan reads, but calls f from up to the given number of
// workers at a time, numbered from 0; calls with the same number do not overlap. Batches
// come in no particular order.
//
// The error that is returned is the one of the earliest batch that has one, whatever the
// number of workers: the batches before it are still read.
func (r *Reader) ScanParallel(ctx context.Context, rel Relation, columns []plan.Field, workers int, f func(worker int, b *Batch) error) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	s, err := t.bind(ctx, columns)
	if err != nil {
		return err
	}
	return run(ctx, s, workers, f)
}

// Records reads all columns of a relation as they are, whatever their types: it
// calls schema once and then f with the rows in the order of Scan. A record is only
// valid during the call. Declared columns must be there with their types, as for Scan.
func (r *Reader) Records(ctx context.Context, rel Relation, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	return t.records(ctx, declared, schema, f)
}

// Columns lists the columns of a relation with the plan types they are read as where
// none is declared, in their order.
func (r *Reader) Columns(ctx context.Context, rel Relation) ([]Column, error) {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return nil, err
	}
	return t.columns(ctx)
}

// Check makes sure that a relation can be read and has the given columns with types
// that Scan takes. A value that its type cannot hold is found by Scan only. Rows are read
// of JSON alone, which names its columns in them.
func (r *Reader) Check(ctx context.Context, rel Relation, columns []plan.Field) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	s, err := t.bind(ctx, columns)
	if err != nil {
		return err
	}
	if text, ok := t.(*textTable); ok {
		return text.checkNames(s)
	}
	return s.close()
}

// CheckName makes sure that a relation has a column, of whatever type.
func (r *Reader) CheckName(ctx context.Context, rel Relation, name string) error {
	columns, err := r.Columns(ctx, rel)
	if err != nil {
		return err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		if names[i] = c.Name; c.Name == name {
			return nil
		}
	}
	return rel.missing(rel.place(), name, names)
}

// Count is the number of rows of a relation.
func (r *Reader) Count(ctx context.Context, rel Relation) (int64, error) {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return 0, err
	}
	return t.count(ctx)
}

// EngineVersion is the version of the library that runs queries, such as "v1.5.6".
func EngineVersion() string { return duckdb.Version() }

// ident makes s a quoted identifier of SQL.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
