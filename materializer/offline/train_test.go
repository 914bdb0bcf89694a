package offline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// project is a directory with data and a DB over it.
type project struct {
	dir string
	db  *relation.Reader

	duck *duckdb.DB // writes what tests read
}

func newProject(t testing.TB) *project {
	t.Helper()
	dir := t.TempDir()
	db, err := relation.Open(relation.Options{BaseDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	duck, err := duckdb.Open(duckdb.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(db.Close(), duck.Close()); err != nil {
			t.Error(err)
		}
	})
	return &project{dir, db, duck}
}

// define compiles definitions.
func (p *project) define(t failer, text string) *plan.Plan {
	t.Helper()
	defstest.Write(t, p.dir, text)
	loaded := defstest.Load(t, p.dir, featuredefs.Options{Schemas: func(s *plan.Source) ([]featuredefs.Column, error) {
		found, err := p.db.Columns(context.Background(), relation.SourceRelation(s))
		columns := make([]featuredefs.Column, len(found))
		for i, c := range found {
			columns[i] = featuredefs.Column(c)
		}
		return columns, err
	}})
	return loaded.Plan
}

// write makes a Parquet file of the given rows.
func (p *project) write(t failer, file string, fields []plan.Field, rows [][]plan.Value) {
	t.Helper()
	b := vector.NewBatch(fields, len(rows))
	var schema []arrow.Field
	for c, f := range fields {
		typ, err := arrowfile.ArrowType(f.Type)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range rows {
			b.Cols[c].Set(i, row[c])
		}
		schema = append(schema, arrow.Field{Name: f.Name, Type: typ, Nullable: true})
	}
	f, err := os.Create(filepath.Join(p.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeBatch(f, arrow.NewSchema(schema, nil), b), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// writeBatch writes a file of one row group.
func writeBatch(f io.Writer, schema *arrow.Schema, b *vector.Batch) error {
	s, err := arrowfile.NewSchema(schema)
	if err != nil {
		return err
	}
	encodings, err := parquetfile.NewSample(s).Encodings()
	if err != nil {
		return err
	}
	w := parquetfile.NewWriter(f, s, encodings, "test")
	g := w.NewRowGroup()
	for c, v := range b.Cols {
		err = errors.Join(err, g.Vector(c, v, 0, b.N))
	}
	return errors.Join(err, g.Finish(), g.Commit(), w.Close())
}

// copyTo writes the result of a query to a file.
func (p *project) copyTo(t failer, file, sql string) {
	t.Helper()
	if err := p.duck.Exec(context.Background(), "COPY ("+sql+") TO '"+filepath.Join(p.dir, file)+"'"); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// table is a training set read back by DuckDB.
type table struct {
	names []string
	types []string
	rows  [][]plan.Value
}

// read reads a file of a training set; the types of the service's outputs are those of the plan.
func (p *project) read(t failer, file string, s *plan.Service) *table {
	t.Helper()
	kinds := map[string]plan.Type{}
	for _, o := range s.Outputs() {
		kinds[o.Name] = o.Type
	}
	return p.readRelation(t, relation.Relation{Owner: "training set", From: file}, kinds)
}

func (p *project) readRelation(t failer, rel relation.Relation, kinds map[string]plan.Type) *table {
	t.Helper()
	out := &table{}
	err := p.db.Records(context.Background(), rel, nil, func(s *arrow.Schema) error {
		for _, f := range s.Fields() {
			out.names, out.types = append(out.names, f.Name), append(out.types, f.Type.String())
		}
		return nil
	}, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			row := make([]plan.Value, rec.NumCols())
			for c := range row {
				row[c] = valueOf(rec.Column(c), i, kinds[out.names[c]])
			}
			out.rows = append(out.rows, row)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (t *table) column(name string) int { return slices.Index(t.names, name) }

// valueOf is element i of an Arrow array as a value; want tells what Arrow does not.
func valueOf(a arrow.Array, i int, want plan.Type) plan.Value {
	if a.IsNull(i) {
		return plan.NullValue()
	}
	switch a := a.(type) {
	case *array.Map:
		from, to := a.ValueOffsets(i)
		var keys, values []plan.Value
		for e := int(from); e < int(to); e++ {
			keys, values = append(keys, valueOf(a.Keys(), e, *want.Key)), append(values, valueOf(a.Items(), e, *want.Elem))
		}
		return plan.MapValue(keys, values)
	case *array.List:
		from, to := a.ValueOffsets(i)
		list := []plan.Value{}
		for e := int(from); e < int(to); e++ {
			list = append(list, valueOf(a.ListValues(), e, *want.Elem))
		}
		return plan.ListValue(list)
	case *array.Int64:
		if want.Kind == plan.Duration {
			return plan.DurationValue(time.Duration(a.Value(i)))
		}
		return plan.IntValue(a.Value(i))
	case *array.Float64:
		return plan.DoubleValue(a.Value(i))
	case *array.Boolean:
		return plan.BoolValue(a.Value(i))
	case *array.String:
		return plan.StringValue(strings.Clone(a.Value(i)))
	case *array.Binary:
		return plan.BytesValue(a.Value(i))
	case *array.Timestamp:
		return plan.TimestampValue(plan.EventTime(a.Value(i)))
	}
	panic(fmt.Sprintf("no value of %T", a))
}

const serviceText = `---
kind: FeatureService
name: svc
features: [v, {view: v, as: other, keys: {%s}}]
request: {x: double}
derived:
  twice: request.x * 2.0
  later: {expr: 'request.x > 1.0 ? optional.of(now) : optional.none()', default: 2025-01-01T00:00:00Z}
`

// TestTrainAgreesWithTheOracle: every value and status of a training set is the
// oracle's, and its bytes do not depend on threads, memory, or the order and number of
// input files [p7] [o3] [o5] [k4].
func TestTrainAgreesWithTheOracle(t *testing.T) {
	p := newProject(t)
	rapid.Check(t, func(t *rapid.T) {
		text := gen.Definitions(t, 4)
		other := "key0: other0"
		if strings.Contains(text, "key1") {
			other += ", key1: key1"
		}
		project := p.define(t, text+fmt.Sprintf(serviceText, other))
		view, _ := project.View(gen.ViewName)
		service, _ := project.Service("svc")
		events := gen.Events(t, view, 24)
		reads := rapid.Permutation(gen.Reads(t, view, events, 8)).Draw(t, "spine")
		reads = append(reads, reads[0]) // a spine row twice

		// Parquet has no durations of this precision.
		if strings.Count(text, "took") > 1 {
			view.Source.SQL = "SELECT * REPLACE (to_microseconds(took // 1000) AS took) FROM 'events-*.parquet'"
			events = inMicroseconds(events)
		} else {
			view.Source.From = "events-*.parquet"
			view.Source.Columns = slices.DeleteFunc(view.Source.Columns, func(c plan.SourceColumn) bool { return c.Name == "took" })
		}
		set := &plan.TrainingSet{Name: "set", Service: service, Spine: plan.Spine{From: "spine.parquet", Time: "at"}}
		rows := p.writeSpine(t, service, view, reads)

		var hash string
		for try := range 2 {
			p.writeEvents(t, view.Source, events)
			m, err := Train(context.Background(), Config{
				Reader: p.db, Set: set, Out: filepath.Join(p.dir, "out"), WithStatus: true,
				Threads: rapid.IntRange(1, 3).Draw(t, "threads"),
				Memory:  rapid.SampledFrom([]int64{0, 2000, 4000}).Draw(t, "memory"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if try > 0 && m.Files[0].SHA256 != hash {
				t.Fatal("the bytes of the training set depend on threads, memory or files")
			}
			hash = m.Files[0].SHA256
		}
		got := p.read(t, "out/data.parquet", service)
		if len(got.rows) != len(reads) {
			t.Fatalf("%d rows for a spine of %d", len(got.rows), len(reads))
		}
		naive := oracle.New()
		for i, row := range got.rows {
			want, err := naive.Service(service, events, rows[i], map[string]plan.Value{"x": rows[i]["x"]}, reads[i].At)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range want {
				if err := got.agree(row, w); err != nil {
					t.Fatalf("row %d at %v: %v\n%s", i, reads[i].At, err, text)
				}
			}
			if at := row[got.column("at")]; at.Time() != reads[i].At {
				t.Fatalf("row %d has the time %v, the spine %v", i, at, reads[i].At)
			}
		}
	})
}

func (t *table) agree(row []plan.Value, want oracle.Result) error {
	if !want.Exact {
		return nil
	}
	reason := plan.NullValue()
	if want.Status == oracle.Defaulted {
		reason = plan.StringValue(want.Reason)
	}
	value, status := row[t.column(want.Name)], row[t.column(want.Name+".status")]
	if !value.Equal(want.Value) || status.Str() != string(want.Status) {
		return fmt.Errorf("%s: the oracle has %v %s, the training set %v %v", want.Name, want.Value, want.Status, value, status)
	}
	if c := t.column(want.Name + ".reason"); c >= 0 && !row[c].Equal(reason) {
		return fmt.Errorf("%s: the oracle has the reason %v, the training set %v", want.Name, reason, row[c])
	}
	return nil
}

// writeSpine writes the reads, and the entity of the next read as the other role's.
func (p *project) writeSpine(t *rapid.T, s *plan.Service, v *plan.View, reads []gen.Read) []map[string]plan.Value {
	fields := append(slices.Clone(s.Keys), s.Request...)
	fields = append(fields, plan.Field{Name: "at", Type: plan.T(plan.Timestamp)})
	var rows [][]plan.Value
	var named []map[string]plan.Value
	for i, r := range reads {
		row := map[string]plan.Value{"at": plan.TimestampValue(r.At), "x": rapid.SampledFrom([]plan.Value{plan.DoubleValue(0.5), plan.DoubleValue(2), {}}).Draw(t, "x")}
		for k, name := range s.Views[0].Keys {
			row[name] = r.Key[k]
		}
		row["other0"] = reads[(i+1)%len(reads)].Key[0]
		values := make([]plan.Value, len(fields))
		for c, f := range fields {
			values[c] = row[f.Name]
		}
		rows, named = append(rows, values), append(named, row)
	}
	p.write(t, "spine.parquet", fields, rows)
	return named
}

// inMicroseconds is the events with durations as DuckDB has them.
func inMicroseconds(events []oracle.Event) []oracle.Event {
	for _, e := range events {
		if v := e.Columns["took"]; v.Kind() == plan.Duration {
			e.Columns["took"] = plan.DurationValue(v.Duration().Truncate(time.Microsecond))
		}
	}
	return events
}

// writeEvents divides the events at random among files.
func (p *project) writeEvents(t *rapid.T, s *plan.Source, events []oracle.Event) {
	old, err := filepath.Glob(filepath.Join(p.dir, "events-*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	fields := make([]plan.Field, len(s.Columns))
	for i, c := range s.Columns {
		fields[i] = c.Field
	}
	files := make([][][]plan.Value, rapid.IntRange(1, 3).Draw(t, "files"))
	if len(events) > 0 {
		events = rapid.Permutation(events).Draw(t, "order")
	}
	for _, e := range events {
		row := make([]plan.Value, len(fields))
		for c, f := range fields {
			row[c] = e.Columns[f.Name]
		}
		f := rapid.IntRange(0, len(files)-1).Draw(t, "file")
		files[f] = append(files[f], row)
	}
	for i, rows := range files {
		p.write(t, fmt.Sprintf("events-%d.parquet", i), fields, rows)
	}
}
