//go:build duckdb_arrow

package relation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// queryTable is a query that DuckDB runs: the text of sql:, or a read of remote Parquet
// files.
type queryTable struct {
	db    *duckdb.DB
	rel   *Relation
	sql   string
	found []duckdb.Column
	// truncated holds the columns of UTC nanoseconds. DuckDB reads these as microseconds,
	// truncating toward zero.
	truncated map[string]bool
}

func openQuery(ctx context.Context, db *duckdb.DB, rel *Relation, base string) (*queryTable, error) {
	t := &queryTable{db: db, rel: rel, sql: strings.TrimRight(rel.SQL, "; \t\r\n")}
	if err := db.Attach(ctx, rel.SQL); err != nil {
		return nil, t.failed(err)
	}
	if rel.SQL == "" {
		t.sql = "SELECT * FROM read_parquet(" + duckdb.Quote(rel.From) + ", union_by_name = true, hive_partitioning = false)"
		if err := t.inspectServer(ctx); err != nil {
			return nil, err
		}
	} else if err := t.inspectFiles(ctx, base); err != nil {
		return nil, err
	}
	var err error
	if t.found, err = db.Describe(ctx, t.sql); err != nil {
		return nil, t.failed(err)
	}
	return t, rel.distinct(rel.label(), t.names())
}

func (t *queryTable) names() []string {
	names := make([]string, len(t.found))
	for i, c := range t.found {
		names[i] = c.Name
	}
	return names
}

// failed adds the relation's name to an error from DuckDB.
func (t *queryTable) failed(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return t.rel.failed(errors.New(strings.ReplaceAll(err.Error(), t.db.Base(), "")))
}

func (t *queryTable) columns(context.Context) ([]Column, error) {
	columns := make([]Column, len(t.found))
	for i, c := range t.found {
		columns[i] = queryColumn(c)
	}
	return columns, nil
}

func (t *queryTable) count(ctx context.Context) (n int64, err error) {
	s := &queryScan{table: t, sql: "SELECT count(*) AS n FROM (" + t.sql + "\n)", fields: []plan.Field{{Name: "n", Type: plan.T(plan.Int)}}}
	err = run(ctx, s, 1, mostInFlight, func(_ int, b *Batch) error { n = b.Cols[0].Int[0]; return nil })
	return n, err
}

func (t *queryTable) bind(_ context.Context, columns []plan.Field) (scan, error) {
	exprs := make([]string, len(columns))
	for i, f := range columns {
		at := slices.IndexFunc(t.found, func(c duckdb.Column) bool { return c.Name == f.Name })
		if at < 0 {
			return nil, t.rel.missing(t.rel.label(), f.Name, t.names())
		}
		c := t.found[at]
		expr, ok := queryExpression(c, f)
		if !ok {
			column := queryColumn(c)
			if column.Unusable != "" && c.Type == column.Unusable {
				return nil, fmt.Errorf("%s: column %q of %s %s", t.rel.Owner, c.Name, t.rel.label(), unsupported(c.Type, c.Name))
			}
			return nil, t.rel.refused(t.rel.label(), f, c.Type, "")
		}
		exprs[i] = expr
	}
	if len(exprs) == 0 {
		exprs = []string{"NULL"}
	}
	return &queryScan{table: t, sql: "SELECT " + strings.Join(exprs, ", ") + " FROM (" + t.sql + "\n) AS r", fields: columns}, nil
}

func (t *queryTable) records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	s, err := t.bind(ctx, declared)
	if err != nil {
		return err
	}
	if err := s.close(); err != nil {
		return err
	}
	exprs := make([]string, len(t.found))
	for i, c := range t.found {
		exprs[i] = Ident(c.Name)
		if strings.HasPrefix(c.Type, "ENUM(") {
			exprs[i] = "CAST(" + exprs[i] + " AS VARCHAR) AS " + exprs[i]
		}
	}
	var callback error
	err = t.db.Query(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM ("+t.sql+"\n) AS r", func(s *arrow.Schema) error {
		callback = schema(s)
		return callback
	}, func(rec arrow.RecordBatch) error {
		callback = f(rec)
		return callback
	})
	if err == nil || callback != nil {
		return err
	}
	return t.failed(err)
}

// queryScan yields the records of a result; the workers decode them.
type queryScan struct {
	table  *queryTable
	sql    string
	fields []plan.Field

	started bool
	records chan arrow.RecordBatch
	cancel  context.CancelFunc
	done    chan struct{} // closed when the query has ended
	err     error         // of the query; set before done is closed
	first   int64
	idle    sync.Pool // of *recordReader
}

// ahead is the number of records that are prefetched.
const ahead = 4

func (s *queryScan) start(ctx context.Context) {
	s.started = true
	s.records, s.done = make(chan arrow.RecordBatch, ahead), make(chan struct{})
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		defer close(s.records)
		s.err = s.table.db.Query(ctx, s.sql, nil, func(rec arrow.RecordBatch) error {
			rec.Retain()
			select {
			case s.records <- rec:
				return nil
			case <-ctx.Done():
				rec.Release()
				return ctx.Err()
			}
		})
	}()
}

func (s *queryScan) next(ctx context.Context) (part, bool, error) {
	if !s.started {
		s.start(ctx)
	}
	rec, ok := <-s.records
	if !ok {
		if s.err != nil {
			return part{}, false, s.table.failed(s.err)
		}
		return part{}, false, nil
	}
	first := s.first
	s.first += rec.NumRows()
	return part{read: func(emit func(*Batch) error) error {
		defer rec.Release()
		r, _ := s.idle.Get().(*recordReader)
		if r == nil {
			var err error
			if r, err = newRecordReader(s.table, s.fields, rec.Schema()); err != nil {
				return err
			}
		}
		defer s.idle.Put(r)
		return r.read(rec, first, emit)
	}}, true, nil
}

// close ends the query.
func (s *queryScan) close() error {
	if !s.started {
		return nil
	}
	s.cancel()
	for rec := range s.records {
		rec.Release()
	}
	<-s.done
	return nil
}
