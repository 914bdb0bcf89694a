//go:build duckdb_arrow

package relation

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// Options limit the resources that reading may use.
type Options struct {
	MemoryLimit string // of queries, such as "4GB"; "": 80 % of the machine's memory
	Threads     int    // of queries; 0: one for each core
	TempDir     string // where queries larger than MemoryLimit spill; "": the system's directory
	BaseDir     string // the directory that relative paths are relative to; "": the working directory
	Databases   []Database
	InFlight    int64 // bytes of row groups and text that are decoded at once, estimated, and of a page; 0: 1 GiB, and no limit
	IDs         int64 // bytes of the hashes in which Repeated looks for repeated values; 0: 512 MiB
}

// Database is a database that queries can name.
type Database = duckdb.Database

// Reader reads relations. All methods may be called concurrently, except that Close must
// come last.
type Reader struct {
	db       *duckdb.DB
	base     string // absolute
	inFlight int64
	mostPage int64
	ids      int64
}

// Open makes a reader.
func Open(o Options) (*Reader, error) {
	base, err := filepath.Abs(o.BaseDir)
	if err != nil {
		return nil, fmt.Errorf("base directory %q: %w", o.BaseDir, err)
	}
	db, err := duckdb.Open(duckdb.Options{MemoryLimit: o.MemoryLimit, Threads: o.Threads, TempDir: o.TempDir, BaseDir: o.BaseDir, Databases: o.Databases})
	if err != nil {
		return nil, err
	}
	return &Reader{db, base, cmp.Or(o.InFlight, mostInFlight), o.InFlight, cmp.Or(o.IDs, mostIDs)}, nil
}

// Close releases everything the reader holds.
func (r *Reader) Close() error { return r.db.Close() }

// open inspects the files of a relation.
func (r *Reader) open(ctx context.Context, rel *Relation) (table, error) {
	p, f, err := r.find(rel)
	if err != nil {
		return nil, err
	}
	switch {
	case rel.SQL != "" || isURL(rel.From):
		return r.openQuery(ctx, rel, f)
	case f == parquetFiles:
		return openParquet(ctx, rel, p, r.inFlight, r.mostPage)
	}
	return openText(rel, p), nil
}

// find lists the local files of a relation.
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

// openQuery inspects a query, or remote Parquet files, which DuckDB reads.
func (r *Reader) openQuery(ctx context.Context, rel *Relation, f fileFormat) (table, error) {
	if f != parquetFiles && rel.SQL == "" {
		return nil, fmt.Errorf("%s: CSV and JSON are read from this machine only; copy %s here, or say with sql: what it holds, "+
			"such as SELECT * FROM read_csv('%s', header = true, columns = {'id': 'VARCHAR', …})", rel.Owner, rel.From, rel.From)
	}
	return openQuery(ctx, r.db, rel, r.base)
}

// Scan reads the given columns of a relation and calls f with batches of at most a few
// thousand rows. The order is that of the files' paths and of the rows in them, or of the
// query's result. The first error of f ends the scan and is returned.
//
// A missing column, a column whose type is not the declared one, a value that the declared
// type cannot hold and an unreadable file are errors that name the owner and the location.
func (r *Reader) Scan(ctx context.Context, rel Relation, columns []plan.Field, f func(*Batch) error) error {
	return r.ScanParallel(ctx, rel, columns, 1, func(_ int, b *Batch) error { return f(b) })
}

// ScanParallel reads the same rows as Scan, but calls f from up to the given number of
// workers, numbered from 0; calls with the same number do not overlap. The order of the
// batches is unspecified.
//
// The returned error is that of the earliest failing batch, whatever the number of workers:
// the batches before it are still read.
func (r *Reader) ScanParallel(ctx context.Context, rel Relation, columns []plan.Field, workers int, f func(worker int, b *Batch) error) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	s, err := t.bind(ctx, columns)
	if err != nil {
		return err
	}
	return run(ctx, s, workers, r.inFlight, f)
}

// Records reads all columns of a relation with their own types, whatever these are. It
// calls schema once and then f with the rows in the order of Scan. A record is valid only
// during the call. Declared columns must exist with their types, as for Scan.
func (r *Reader) Records(ctx context.Context, rel Relation, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return err
	}
	return t.records(ctx, declared, schema, f)
}

// Columns lists the columns of a relation in order, with the plan types they are read as
// when not declared.
func (r *Reader) Columns(ctx context.Context, rel Relation) ([]Column, error) {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return nil, err
	}
	return t.columns(ctx)
}

// Check ensures that a relation can be read and has the given columns with types that Scan
// accepts. It does not check values; those are found by Scan. It reads rows only for JSON,
// whose columns are named in the rows.
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

// CheckName ensures that a relation has a column, of any type.
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
	return rel.missing(rel.label(), name, names)
}

// Count is the number of rows of a relation.
func (r *Reader) Count(ctx context.Context, rel Relation) (int64, error) {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return 0, err
	}
	return t.count(ctx)
}

// StoredCount is the number of rows of a relation if its files store it, 0 if rows would have to
// be read to count them.
func (r *Reader) StoredCount(ctx context.Context, rel Relation) (int64, error) {
	t, err := r.open(ctx, &rel)
	if err != nil {
		return 0, err
	}
	if _, ok := t.(*parquetTable); !ok {
		return 0, nil
	}
	return t.count(ctx)
}

// EngineVersion is the version of the library that runs queries, such as "v1.5.6".
func EngineVersion() string { return duckdb.Version() }

// Ident makes s a quoted identifier of SQL.
func Ident(s string) string { return duckdb.Ident(s) }

// Quote makes s a string literal of SQL.
func Quote(s string) string { return duckdb.Quote(s) }
