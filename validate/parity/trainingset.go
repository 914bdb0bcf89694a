package parity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/materializer/offline"
)

// ReadTrainingSet reads rows of a training set that was written with statuses: n of
// them, evenly spread over its files, or all when n is 0. Only rows whose as-of time is
// at or after from count.
func ReadTrainingSet(ctx context.Context, dir string, m *offline.Manifest, set *plan.TrainingSet, from plan.EventTime, n int) ([]Row, error) {
	r := &setReader{set: set, from: from}
	for _, f := range m.Files {
		if err := r.read(ctx, filepath.Join(dir, f.Name)); err != nil {
			return nil, fmt.Errorf("training set %s: %w", filepath.Join(dir, f.Name), err)
		}
	}
	if n == 0 || n >= len(r.rows) {
		return r.rows, nil
	}
	out := make([]Row, n)
	for i := range out {
		out[i] = r.rows[i*len(r.rows)/n]
	}
	return out, nil
}

type setReader struct {
	set  *plan.TrainingSet
	from plan.EventTime
	rows []Row
	seen int
}

func (r *setReader) read(ctx context.Context, path string) error {
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return err
	}
	defer f.Close()
	reader, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 8192}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	records, err := reader.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer records.Release()
	for records.Next() {
		if err := r.batch(records.RecordBatch()); err != nil {
			return err
		}
	}
	if err := records.Err(); err != nil && !errors.Is(err, context.Canceled) && err.Error() != "EOF" {
		return err
	}
	return ctx.Err()
}

func (r *setReader) batch(b arrow.RecordBatch) error {
	columns := map[string]arrow.Array{}
	for i, f := range b.Schema().Fields() {
		columns[f.Name] = b.Column(i)
	}
	column := func(name string) (arrow.Array, error) {
		c, ok := columns[name]
		if !ok && strings.HasSuffix(name, ".status") {
			return nil, fmt.Errorf("it has no column %q; write it with --with-status", name)
		}
		if !ok {
			return nil, fmt.Errorf("it has no column %q", name)
		}
		return c, nil
	}
	at, err := column(r.set.Spine.Time)
	if err != nil {
		return err
	}
	for i := range int(b.NumRows()) {
		number := r.seen
		r.seen++
		t, err := cell(at, i, plan.T(plan.Timestamp))
		if err != nil {
			return err
		}
		if t.Time() < r.from {
			continue
		}
		row := Row{Number: number, At: t.Time()}
		if row.Keys, err = cells(column, i, r.set.Service.Keys); err != nil {
			return err
		}
		if row.Request, err = cells(column, i, r.set.Service.Request); err != nil {
			return err
		}
		for _, o := range r.set.Service.Outputs() {
			want, err := outputCell(column, i, o)
			if err != nil {
				return err
			}
			row.Want = append(row.Want, want)
		}
		r.rows = append(r.rows, row)
	}
	return nil
}

func cells(column func(string) (arrow.Array, error), i int, fields []plan.Field) ([]plan.Value, error) {
	var out []plan.Value
	for _, f := range fields {
		c, err := column(f.Name)
		if err != nil {
			return nil, err
		}
		v, err := cell(c, i, f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func outputCell(column func(string) (arrow.Array, error), i int, o plan.Output) (Cell, error) {
	c, err := column(o.Name)
	if err != nil {
		return Cell{}, err
	}
	v, err := cell(c, i, o.Type)
	if err != nil {
		return Cell{}, fmt.Errorf("column %q: %w", o.Name, err)
	}
	s, err := column(o.Name + ".status")
	if err != nil {
		return Cell{}, err
	}
	status, err := kernel.ParseStatus(s.ValueStr(i))
	return Cell{v, status}, err
}

// cell reads element i of an Arrow array as a value of type t.
func cell(a arrow.Array, i int, t plan.Type) (plan.Value, error) {
	if a.IsNull(i) {
		return plan.NullValue(), nil
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return cell(a.Dictionary(), a.GetValueIndex(i), t)
	case *array.List:
		from, to := a.ValueOffsets(i)
		return elements(a.ListValues(), int(from), int(to), t)
	case *array.Map:
		from, to := a.ValueOffsets(i)
		return entries(a, int(from), int(to), t)
	}
	if v, ok := scalar(a, i, t.Kind); ok {
		return v, nil
	}
	return plan.Value{}, fmt.Errorf("holds %v where %v belongs", a.DataType(), t)
}

func elements(a arrow.Array, from, to int, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.List {
		return plan.Value{}, fmt.Errorf("holds a list where %v belongs", t)
	}
	var list []plan.Value
	for i := from; i < to; i++ {
		v, err := cell(a, i, *t.Elem)
		if err != nil {
			return plan.Value{}, err
		}
		list = append(list, v)
	}
	return plan.ListValue(list), nil
}

func entries(a *array.Map, from, to int, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.Map {
		return plan.Value{}, fmt.Errorf("holds a map where %v belongs", t)
	}
	keys, err := elements(a.Keys(), from, to, plan.ListOf(*t.Key))
	if err != nil {
		return plan.Value{}, err
	}
	values, err := elements(a.Items(), from, to, plan.ListOf(*t.Elem))
	if err != nil {
		return plan.Value{}, err
	}
	return plan.MapValue(keys.List(), values.List()), nil
}

// scalar reads the Arrow types that a training set's columns and spines have.
func scalar(a arrow.Array, i int, k plan.Kind) (plan.Value, bool) {
	if f, ok := a.(*array.Float64); ok && k == plan.Double {
		return plan.DoubleValue(f.Value(i)), true
	}
	if n, ok := integer(a, i); ok {
		switch k {
		case plan.Int:
			return plan.IntValue(n), true
		case plan.Duration:
			return plan.DurationValue(time.Duration(n)), true
		case plan.Double:
			return plan.DoubleValue(float64(n)), true
		}
	}
	switch a := a.(type) {
	case *array.Boolean:
		return plan.BoolValue(a.Value(i)), k == plan.Bool
	case *array.String:
		return plan.StringValue(strings.Clone(a.Value(i))), k == plan.String
	case *array.LargeString:
		return plan.StringValue(strings.Clone(a.Value(i))), k == plan.String
	case *array.Binary:
		return plan.BytesValue(a.Value(i)), k == plan.Bytes
	case *array.Float32:
		return plan.DoubleValue(float64(a.Value(i))), k == plan.Double
	case *array.Uint64:
		return plan.UintValue(a.Value(i)), k == plan.Uint
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return plan.TimestampValue(plan.TimeOf(a.Value(i).ToTime(unit))), k == plan.Timestamp
	}
	return plan.Value{}, false
}

func integer(a arrow.Array, i int) (int64, bool) {
	switch a := a.(type) {
	case *array.Int64:
		return a.Value(i), true
	case *array.Int32:
		return int64(a.Value(i)), true
	case *array.Int16:
		return int64(a.Value(i)), true
	case *array.Int8:
		return int64(a.Value(i)), true
	case *array.Uint32:
		return int64(a.Value(i)), true
	case *array.Uint16:
		return int64(a.Value(i)), true
	case *array.Uint8:
		return int64(a.Value(i)), true
	case *array.Uint64:
		return int64(a.Value(i)), a.Value(i) <= math.MaxInt64
	}
	return 0, false
}
