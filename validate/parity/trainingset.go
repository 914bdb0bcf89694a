package parity

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// ReadTrainingSet reads rows of a training set that was written with statuses: of the rows whose
// as-of time is at or after from, n that are evenly spread over the files, or all if n is 0.
func ReadTrainingSet(ctx context.Context, dir string, m *offline.Manifest, set *plan.TrainingSet, from plan.EventTime, n int) ([]Row, error) {
	r := &setReader{set: set, dir: dir, files: m.Files}
	var candidates []int
	err := r.each(ctx, []string{set.Spine.Time}, func(b *trainingBatch) error {
		for i := range b.n {
			t, err := b.time(set, i)
			if err != nil {
				return err
			}
			if t >= from {
				candidates = append(candidates, b.first+i)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	wanted := candidates
	if n > 0 && n < len(candidates) {
		wanted = make([]int, n)
		for i := range wanted {
			wanted[i] = candidates[i*len(candidates)/n]
		}
	}
	rows := make([]Row, 0, len(wanted))
	err = r.each(ctx, nil, func(b *trainingBatch) error {
		for len(rows) < len(wanted) && wanted[len(rows)] < b.first+b.n {
			row, err := b.row(set, wanted[len(rows)]-b.first)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// setReader reads the files of a training set one after another.
type setReader struct {
	set   *plan.TrainingSet
	dir   string
	files []offline.FileManifest
}

// trainingBatch is some rows of a training set; first is the number of the first row, counted
// over all files.
type trainingBatch struct {
	columns  map[string]arrow.Array
	first, n int
}

// each calls f with the rows of all files, with the named columns or, if names is nil, with all.
func (r *setReader) each(ctx context.Context, names []string, f func(*trainingBatch) error) error {
	row := 0
	for _, output := range r.files {
		path := filepath.Join(r.dir, output.Name)
		n, err := eachBatch(ctx, path, names, row, f)
		if err != nil {
			return fmt.Errorf("training set %s: %w", path, err)
		}
		row += n
	}
	return nil
}

// eachBatch calls f with the rows of a file and returns their number; first is the number of the
// first row.
func eachBatch(ctx context.Context, path string, names []string, first int, f func(*trainingBatch) error) (int, error) {
	parquet, err := file.OpenParquetFile(path, false)
	if err != nil {
		return 0, err
	}
	defer parquet.Close()
	var indices []int
	for _, name := range names {
		i := parquet.MetaData().Schema.ColumnIndexByName(name)
		if i < 0 {
			return 0, missingColumn(name)
		}
		indices = append(indices, i)
	}
	reader, err := pqarrow.NewFileReader(parquet, pqarrow.ArrowReadProperties{BatchSize: 8192}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	records, err := reader.GetRecordReader(ctx, indices, nil)
	if err != nil {
		return 0, err
	}
	defer records.Release()
	n := 0
	for records.Next() {
		b := records.RecordBatch()
		t := &trainingBatch{columns: map[string]arrow.Array{}, first: first + n, n: int(b.NumRows())}
		for i, field := range b.Schema().Fields() {
			t.columns[field.Name] = b.Column(i)
		}
		if err := f(t); err != nil {
			return 0, err
		}
		n += t.n
	}
	if err := records.Err(); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return n, ctx.Err()
}

func (b *trainingBatch) column(name string) (arrow.Array, error) {
	if c, ok := b.columns[name]; ok {
		return c, nil
	}
	return nil, missingColumn(name)
}

func missingColumn(name string) error {
	if strings.HasSuffix(name, ".status") {
		return fmt.Errorf("there is no column %q; build the training set with --with-status", name)
	}
	return fmt.Errorf("there is no column %q", name)
}

// time is the as-of time of row i.
func (b *trainingBatch) time(set *plan.TrainingSet, i int) (plan.EventTime, error) {
	at, err := b.column(set.Spine.Time)
	if err != nil {
		return 0, err
	}
	t, err := cell(at, i, plan.T(plan.Timestamp))
	if err != nil {
		return 0, fmt.Errorf("column %q: %w", set.Spine.Time, err)
	}
	return t.Time(), nil
}

// row is row i with its keys, request fields and values.
func (b *trainingBatch) row(set *plan.TrainingSet, i int) (Row, error) {
	row := Row{Number: b.first + i}
	var err error
	if row.At, err = b.time(set, i); err != nil {
		return row, err
	}
	if row.Keys, err = cells(b.column, i, set.Service.Keys); err != nil {
		return row, err
	}
	if row.Request, err = cells(b.column, i, set.Service.Request); err != nil {
		return row, err
	}
	for _, o := range set.Service.Outputs() {
		want, err := outputCell(b.column, i, o)
		if err != nil {
			return row, err
		}
		row.Want = append(row.Want, want)
	}
	return row, nil
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
	return plan.Value{}, fmt.Errorf("it has type %v, want %v", a.DataType(), t)
}

func elements(a arrow.Array, from, to int, t plan.Type) (plan.Value, error) {
	if t.Kind != plan.List {
		return plan.Value{}, fmt.Errorf("it has lists, want %v", t)
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
		return plan.Value{}, fmt.Errorf("it has maps, want %v", t)
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

// scalar reads the Arrow types of the columns of training sets and spines.
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
