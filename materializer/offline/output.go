package offline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// rowGroup is the number of rows of every row group but the last. With everything
// else fixed, it makes equal rows equal bytes.
const rowGroup = 64 << 10

// Suffixes of the columns that --with-status adds.
const (
	statusSuffix = ".status"
	reasonSuffix = ".reason"
)

// layout is the columns of a training set: the spine's, then for each output its
// value and, with statuses, its status and, if a default can stand in, what it stands for.
type layout struct {
	schema  *arrow.Schema
	spine   int // columns of the spine
	outputs []outputColumn
}

type outputColumn struct {
	value          arrow.DataType
	status, reason bool
}

func newLayout(spine *arrow.Schema, s *plan.Service, withStatus bool) (*layout, error) {
	l := &layout{spine: spine.NumFields()}
	fields := slices.Clone(spine.Fields())
	for _, f := range fields {
		if _, err := pqarrow.ToParquet(arrow.NewSchema([]arrow.Field{f}, nil), nil, pqarrow.DefaultWriterProps()); err != nil {
			return nil, fmt.Errorf("column %q of the spine is a %v, which Parquet cannot hold; let sql: convert it", f.Name, f.Type)
		}
	}
	defaults := hasDefault(s)
	for i, o := range s.Outputs() {
		t, err := arrowType(o.Type)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		fields = append(fields, arrow.Field{Name: o.Name, Type: t, Nullable: true})
		c := outputColumn{value: t, status: withStatus, reason: withStatus && defaults[i]}
		if c.status {
			fields = append(fields, arrow.Field{Name: o.Name + statusSuffix, Type: arrow.BinaryTypes.String})
		}
		if c.reason {
			fields = append(fields, arrow.Field{Name: o.Name + reasonSuffix, Type: arrow.BinaryTypes.String, Nullable: true})
		}
		l.outputs = append(l.outputs, c)
	}
	seen := map[string]string{}
	for _, f := range fields {
		// DuckDB and other readers do not tell A from a.
		if other, ok := seen[strings.ToLower(f.Name)]; ok {
			return nil, fmt.Errorf("the training set would have two columns %q and %q; let sql: rename the spine's, or as: the feature's role", other, f.Name)
		}
		seen[strings.ToLower(f.Name)] = f.Name
	}
	l.schema = arrow.NewSchema(fields, nil)
	return l, nil
}

func hasDefault(s *plan.Service) []bool {
	var out []bool
	for _, f := range s.Features {
		out = append(out, s.Views[f.Ref].View.Features[f.Feature].Default != nil)
	}
	for _, d := range s.Derived {
		out = append(out, d.Default != nil)
	}
	return out
}

// tableWriter writes one Parquet file.
type tableWriter struct {
	*layout
	file     *stagedFile
	parquet  *pqarrow.FileWriter
	pending  []arrow.RecordBatch // spine rows of the current row group
	builders []array.Builder     // its outputs
	n        int                 // rows in it
	rows     int64
}

func newTableWriter(l *layout, f *stagedFile) (*tableWriter, error) {
	props := parquet.NewWriterProperties(
		parquet.WithCreatedBy("unskew"),
		parquet.WithVersion(parquet.V2_LATEST),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithMaxRowGroupLength(rowGroup),
	)
	// pqarrow closes what it writes to when that can be closed.
	p, err := pqarrow.NewFileWriter(l.schema, struct{ io.Writer }{f}, props, pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", f.name, err)
	}
	w := &tableWriter{layout: l, file: f, parquet: p}
	for _, field := range l.schema.Fields()[l.spine:] {
		w.builders = append(w.builders, array.NewBuilder(memory.DefaultAllocator, field.Type))
	}
	return w, nil
}

// append adds n rows: those of rec from row i on and those of out from row j on. It
// keeps a reference to rec.
func (w *tableWriter) append(rec arrow.RecordBatch, i int, out []kernel.FeatureColumn, j, n int) error {
	for n > 0 {
		m := min(n, rowGroup-w.n)
		w.pending = append(w.pending, rec.NewSlice(int64(i), int64(i+m)))
		w.appendOutputs(out, j, j+m)
		i, j, n = i+m, j+m, n-m
		if w.n += m; w.n == rowGroup {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *tableWriter) appendOutputs(out []kernel.FeatureColumn, from, to int) {
	b := 0
	for c, o := range w.outputs {
		appendVector(w.builders[b], out[c].Vec, from, to)
		b++
		if o.status {
			appendStatuses(w.builders[b].(*array.StringBuilder), out[c].Status[from:to])
			b++
		}
		if o.reason {
			appendStatuses(w.builders[b].(*array.StringBuilder), out[c].Reason[from:to])
			b++
		}
	}
}

// appendStatuses appends names; 0 is null.
func appendStatuses(b *array.StringBuilder, statuses []kernel.Status) {
	for _, s := range statuses {
		if s == 0 {
			b.AppendNull()
			continue
		}
		b.Append(s.String())
	}
}

// flush writes the current row group.
func (w *tableWriter) flush() error {
	if w.n == 0 {
		return nil
	}
	cols := make([]arrow.Array, 0, w.schema.NumFields())
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	for c := range w.spine {
		parts := make([]arrow.Array, len(w.pending))
		for i, rec := range w.pending {
			parts[i] = rec.Column(c)
		}
		whole, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			return fmt.Errorf("column %q of the spine: %w", w.schema.Field(c).Name, err)
		}
		cols = append(cols, whole)
	}
	for _, b := range w.builders {
		cols = append(cols, b.NewArray())
	}
	w.release()
	rec := array.NewRecordBatch(w.schema, cols, int64(w.n))
	defer rec.Release()
	w.rows += int64(w.n)
	w.n = 0
	if err := w.parquet.Write(rec); err != nil {
		return fmt.Errorf("write %s: %w", w.file.name, err)
	}
	return nil
}

func (w *tableWriter) release() {
	for _, rec := range w.pending {
		rec.Release()
	}
	w.pending = w.pending[:0]
}

// finish writes what is left and the footer.
func (w *tableWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.parquet.Close(); err != nil {
		return fmt.Errorf("write %s: %w", w.file.name, err)
	}
	return nil
}

// output is the files of a training set, one for each part.
type output struct {
	partition *partition
	parts     []*tableWriter
	row       int                // of the spine
	statuses  []map[string]int64 // rows by status, of each output
}

func newOutput(l *layout, p *partition, s *staging) (*output, error) {
	o := &output{partition: p}
	for range l.outputs {
		o.statuses = append(o.statuses, map[string]int64{})
	}
	for _, name := range p.names {
		f, err := s.create(name + ".parquet")
		if err != nil {
			return nil, err
		}
		w, err := newTableWriter(l, f)
		if err != nil {
			return nil, err
		}
		o.parts = append(o.parts, w)
	}
	return o, nil
}

// append adds the next n rows to the files they belong to.
func (o *output) append(rec arrow.RecordBatch, i int, out []kernel.FeatureColumn, j, n int) error {
	for n > 0 {
		part, m := o.run(n)
		if !isDropped(part) {
			o.count(out, j, j+m)
			if err := o.parts[part].append(rec, i, out, j, m); err != nil {
				return err
			}
		}
		o.row += m
		i, j, n = i+m, j+m, n-m
	}
	return nil
}

// run is how many of the next n rows belong to one part, and which.
func (o *output) run(n int) (part uint8, m int) {
	if o.partition.of == nil {
		return 0, n
	}
	of := o.partition.of[o.row : o.row+n]
	for m = 1; m < n && of[m] == of[0]; m++ {
	}
	return of[0], m
}

func (o *output) count(out []kernel.FeatureColumn, from, to int) {
	for c := range out {
		var counts [8]int64
		for _, s := range out[c].Status[from:to] {
			counts[s]++
		}
		for s, n := range counts {
			if n > 0 {
				o.statuses[c][kernel.Status(s).String()] += n
			}
		}
	}
}

func (o *output) finish() error {
	var err error
	for _, w := range o.parts {
		err = errors.Join(err, w.finish())
	}
	return err
}

// abandon frees what unfinished parts hold.
func (o *output) abandon() {
	for _, w := range o.parts {
		w.release()
	}
}
