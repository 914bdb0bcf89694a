//go:build duckdb_arrow

package relation

import (
	"context"
	"errors"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/vector"
)

// duckTable is a relation that DuckDB reads.
type duckTable struct {
	db  *duckdb.DB
	rel *Relation
}

func (t *duckTable) inner() duckdb.Relation {
	return duckdb.Relation{Owner: t.rel.Owner, From: t.rel.From, SQL: t.rel.SQL}
}

func (t *duckTable) columns(ctx context.Context) ([]Column, error) {
	fields, err := t.db.Columns(ctx, t.inner())
	if unsupported := (*duckdb.UnsupportedError)(nil); errors.As(err, &unsupported) {
		err = nil
	}
	columns := make([]Column, len(fields))
	for i, f := range fields {
		columns[i].Field = f
	}
	return columns, err
}

func (t *duckTable) count(ctx context.Context) (int64, error) { return t.db.Count(ctx, t.inner()) }

func (t *duckTable) records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	return t.db.Records(ctx, t.inner(), declared, schema, f)
}

func (t *duckTable) bind(ctx context.Context, columns []plan.Field) (scan, error) {
	if err := t.db.Check(ctx, t.inner(), columns); err != nil {
		return nil, err
	}
	return &duckScan{table: t, fields: columns}, nil
}

// duckScan yields all rows as one part.
type duckScan struct {
	table  *duckTable
	fields []plan.Field
	ended  bool
}

func (s *duckScan) next(ctx context.Context) (part, bool, error) {
	if s.ended {
		return part{}, false, nil
	}
	s.ended = true
	return part{read: func(emit func(*Batch) error) error {
		var first int64
		return s.table.db.Scan(ctx, s.table.inner(), s.fields, func(v *vector.Batch) error {
			b := &Batch{Batch: v, First: first}
			b.where = func(i int) string { return s.table.db.Where(ctx, s.table.inner(), b.First+int64(i)) }
			first += int64(v.N)
			return emit(b)
		})
	}}, true, nil
}

func (s *duckScan) close() error { return nil }
