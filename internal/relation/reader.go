//go:build duckdb_arrow

package relation

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/vector"
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
type Reader struct{ db *duckdb.DB }

// Open makes a reader.
func Open(o Options) (*Reader, error) {
	db, err := duckdb.Open(duckdb.Options(o))
	if err != nil {
		return nil, err
	}
	return &Reader{db}, nil
}

// Close releases everything the reader holds.
func (r *Reader) Close() error { return r.db.Close() }

// Scan reads the given columns of a relation and calls f with its rows in batches
// of a few thousand at most, in the order of the files' paths and of the rows in
// them, or of the query. The first error of f ends the scan and is returned.
//
// A missing column, a column whose type is not the declared one, a value that the
// declared type cannot hold and an unreadable file are errors that name the owner and
// the place. Only int widens to double; text is parsed as declared.
func (r *Reader) Scan(ctx context.Context, rel Relation, columns []plan.Field, f func(*Batch) error) error {
	var first int64
	return r.db.Scan(ctx, inner(rel), columns, func(v *vector.Batch) error {
		b := &Batch{Batch: v, First: first}
		b.where = func(i int) string { return r.db.Where(ctx, inner(rel), b.First+int64(i)) }
		first += int64(v.N)
		return f(b)
	})
}

// ScanParallel reads what Scan reads, but calls f from up to the given number of
// workers at a time, numbered from 0; calls with the same number do not overlap. Batches
// come in no particular order.
//
// The error that is returned is the one of the earliest batch, whatever the number of
// workers: when f fails, the batches before the failing one are still read.
func (r *Reader) ScanParallel(ctx context.Context, rel Relation, columns []plan.Field, workers int, f func(worker int, b *Batch) error) error {
	return r.Scan(ctx, rel, columns, func(b *Batch) error { return f(0, b) })
}

// Records reads all columns of a relation as they are, whatever their types: it
// calls schema once and then f with the rows in the order of Scan. A record is only
// valid during the call. Declared columns must be there with their types, as for Scan.
func (r *Reader) Records(ctx context.Context, rel Relation, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	return r.db.Records(ctx, inner(rel), declared, schema, f)
}

// Columns lists the columns of a relation with the plan types they are read as, in
// their order. When some have a type that no plan type can hold, the others are
// returned together with an *UnsupportedError that names them.
func (r *Reader) Columns(ctx context.Context, rel Relation) ([]plan.Field, error) {
	return r.db.Columns(ctx, inner(rel))
}

// UnsupportedError lists the columns of a relation that no plan type can hold.
type UnsupportedError = duckdb.UnsupportedError

// Check makes sure that a relation can be read and has the given columns with types
// that Scan takes. It reads no rows, so a value that its type cannot hold is found by
// Scan only.
func (r *Reader) Check(ctx context.Context, rel Relation, columns []plan.Field) error {
	return r.db.Check(ctx, inner(rel), columns)
}

// CheckName makes sure that a relation has a column, of whatever type.
func (r *Reader) CheckName(ctx context.Context, rel Relation, name string) error {
	return r.db.CheckName(ctx, inner(rel), name)
}

// Repeated calls f with the values of a column that occur in more than one row,
// each once, in no particular order. Nulls do not count.
func (r *Reader) Repeated(ctx context.Context, rel Relation, column plan.Field, f func(*vector.Vector) error) error {
	return r.db.Repeated(ctx, inner(rel), column, f)
}

// Count is the number of rows of a relation.
func (r *Reader) Count(ctx context.Context, rel Relation) (int64, error) {
	return r.db.Count(ctx, inner(rel))
}

// File is an input as a manifest records it.
type File = duckdb.File

// Files lists the input files of a relation in the order of their paths.
func (r *Reader) Files(ctx context.Context, rel Relation) ([]File, error) {
	return r.db.Files(ctx, inner(rel))
}

func inner(rel Relation) duckdb.Relation {
	return duckdb.Relation{Owner: rel.Owner, From: rel.From, SQL: rel.SQL}
}

// EngineVersion is the version of the library that runs queries, such as "v1.5.6".
func EngineVersion() string { return duckdb.Version() }
