package relation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// records reads columns of every type with pqarrow, with the types of the Parquet schema.
// The additional types in a file's own Arrow schema (dictionaries, large offsets) are
// ignored.
func (t *parquetTable) records(ctx context.Context, declared []plan.Field, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	s, err := t.bind(ctx, declared)
	if err != nil {
		return err
	}
	if err := s.close(); err != nil {
		return err
	}
	for _, pf := range t.files {
		if err := t.exactInRecords(ctx, pf); err != nil {
			return err
		}
	}
	whole, err := t.arrowSchema()
	if err != nil {
		return err
	}
	if err := schema(whole); err != nil {
		return err
	}
	for _, pf := range t.files {
		if err := t.fileRecords(ctx, pf, whole, f); err != nil {
			return err
		}
	}
	return nil
}

// exactInRecords rejects a file that pqarrow would read wrongly.
func (t *parquetTable) exactInRecords(ctx context.Context, pf *parquetFile) error {
	for _, columns := range [][]stored{pf.columns, pf.nested} {
		for i := range columns {
			if columns[i].unread != "" {
				return t.unread(pf, &columns[i])
			}
		}
	}
	if err := t.gregorian(ctx, pf); err != nil {
		return err
	}
	return t.wholePages(ctx, pf)
}

// wholePages reads the columns of a file that have no nested type and returns an error if a page
// does not hold the values that it says it has; pqarrow makes up what a page lacks.
func (t *parquetTable) wholePages(ctx context.Context, pf *parquetFile) error {
	s := &parquetScan{parquetTable: &parquetTable{rel: &Relation{Owner: t.rel.Owner}, files: []*parquetFile{pf}, mostPage: t.mostPage}, sources: [][]source{nil}}
	for _, c := range pf.columns {
		if c.flat {
			s.fields = append(s.fields, plan.Field{Name: c.name, Type: plan.T(plan.Int)})
			s.sources[0] = append(s.sources[0], source{leaf: c.leaf, levels: c.levels, convert: func(*vector.Vector, int, *encoding.Values, int, int, func(int, string, string)) {}})
		}
	}
	if err := run(ctx, s, runtime.GOMAXPROCS(0), t.inFlight, func(int, *Batch) error { return nil }); err != nil {
		return err
	}
	return t.wholeNested(ctx, pf)
}

// wholeNested does the same for the leaves of nested columns.
func (t *parquetTable) wholeNested(ctx context.Context, pf *parquetFile) error {
	leaves := pf.nested
	for _, c := range pf.columns {
		if c.text == "LIST" && c.levels.repetition > 0 && !slices.ContainsFunc(leaves, func(s stored) bool { return s.leaf == c.leaf }) {
			leaves = append(leaves, c) // without a group around it
		}
	}
	if len(leaves) == 0 {
		return nil
	}
	in, err := openParquetFile(pf.path)
	if err != nil {
		return fmt.Errorf("%s: read %s: %w", t.rel.Owner, pf.name, err)
	}
	defer in.Close()
	for group := range pf.groups {
		for _, leaf := range leaves {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := in.wholeChunk(group, leaf, t.mostPage); err != nil {
				return fmt.Errorf("%s: read %s: column %q, row group %d: %w", t.rel.Owner, pf.name, leaf.name, group+1, err)
			}
		}
	}
	return nil
}

// wholeChunk reads the pages of a leaf.
func (o *openedParquet) wholeChunk(group int, leaf stored, most int64) (err error) {
	defer func() { err = damaged(recover(), err) }()
	meta := &o.Metadata().RowGroups[group].Columns[leaf.leaf].MetaData
	if meta.Type == format.Boolean {
		return nil // pqarrow refuses short pages of these itself
	}
	p := openPages(o.in, o.RowGroups()[group].ColumnChunks()[leaf.leaf].Type(), leaf.levels, meta, meta.NumValues, most)
	defer func() { err = errors.Join(err, p.close()) }()
	for p.left > 0 {
		d, err := p.next()
		if err != nil {
			return unexpectedEnd(err)
		}
		d.release()
	}
	return nil
}

// arrowSchema is the common schema of all files, followed by the partition columns.
func (t *parquetTable) arrowSchema() (*arrow.Schema, error) {
	var fields []arrow.Field
	for n, pf := range t.files {
		s, err := fileSchema(pf)
		if err != nil {
			return nil, fmt.Errorf("%s: read %s: %w", t.rel.Owner, pf.name, err)
		}
		if n == 0 {
			fields = s.Fields()
			continue
		}
		if fields, err = t.joinSchemas(fields, s.Fields(), pf); err != nil {
			return nil, err
		}
	}
	for _, name := range t.partitions {
		if !slices.ContainsFunc(fields, func(f arrow.Field) bool { return f.Name == name }) {
			fields = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
		}
	}
	return arrow.NewSchema(fields, nil), nil
}

// joinSchemas merges the columns of another file into the schema of the files before it.
func (t *parquetTable) joinSchemas(fields, more []arrow.Field, pf *parquetFile) ([]arrow.Field, error) {
	for _, m := range more {
		i := slices.IndexFunc(fields, func(f arrow.Field) bool { return f.Name == m.Name })
		if i < 0 {
			return nil, fmt.Errorf("%s: %s has no column %q, %s has it; let sql: say where it should be null", t.rel.Owner, t.files[0].name, m.Name, pf.name)
		}
		typ, ok := commonArrow(fields[i].Type, m.Type)
		if !ok {
			return nil, fmt.Errorf("%s: column %q is %v in %s and %v in files before; let sql: convert it", t.rel.Owner, m.Name, m.Type, pf.name, fields[i].Type)
		}
		fields[i].Type = typ
		fields[i].Nullable = fields[i].Nullable || m.Nullable
	}
	for _, f := range fields {
		if !slices.ContainsFunc(more, func(m arrow.Field) bool { return f.Name == m.Name }) {
			return nil, fmt.Errorf("%s: %s has no column %q, other files of %s have; let sql: say where it should be null", t.rel.Owner, pf.name, f.Name, t.rel.From)
		}
	}
	return fields, nil
}

// commonArrow returns the type that can hold the values of both types.
func commonArrow(a, b arrow.DataType) (arrow.DataType, bool) {
	ta, oka := a.(*arrow.TimestampType)
	tb, okb := b.(*arrow.TimestampType)
	switch {
	case arrow.TypeEqual(a, b) || b.ID() == arrow.NULL:
		return a, true
	case a.ID() == arrow.NULL:
		return b, true
	case oka && okb:
		// A timestamp without a zone is treated as UTC. Arrow's unit constants increase
		// with precision.
		return &arrow.TimestampType{Unit: max(ta.Unit, tb.Unit), TimeZone: "UTC"}, true
	case arrow.IsFloating(a.ID()) && arrow.IsFloating(b.ID()):
		return arrow.PrimitiveTypes.Float64, true
	case arrow.IsInteger(a.ID()) && arrow.IsInteger(b.ID()) && a.ID() != arrow.UINT64 && b.ID() != arrow.UINT64:
		return arrow.PrimitiveTypes.Int64, true
	}
	return nil, false
}

// buffered makes arrow-go read a column chunk as it decodes its pages, and not all of it at once.
var buffered = &parquet.ReaderProperties{BufferSize: readBuffer, BufferedStreamEnabled: true}

// arrowReader opens a file for pqarrow.
func arrowReader(pf *parquetFile) (p *pqarrow.FileReader, c io.Closer, err error) {
	defer func() { err = damaged(recover(), err) }() // it panics on logical types that it does not know
	r, err := file.OpenParquetFile(pf.path, false, file.WithReadProps(buffered))
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	r.MetaData().FileMetaData.KeyValueMetadata = nil
	p, err = pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: batchRows}, memory.DefaultAllocator)
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return p, r, nil
}

func fileSchema(pf *parquetFile) (*arrow.Schema, error) {
	p, c, err := arrowReader(pf)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := p.Schema()
	if err != nil {
		return nil, err
	}
	fields := s.Fields()
	for i := range fields {
		fields[i].Metadata = arrow.Metadata{}
		if i < len(pf.columns) && pf.columns[i].kind == storedUUID {
			fields[i].Type = arrow.BinaryTypes.String
		}
	}
	return arrow.NewSchema(fields, nil), nil
}

func (t *parquetTable) fileRecords(ctx context.Context, pf *parquetFile, whole *arrow.Schema, f func(arrow.RecordBatch) error) (err error) {
	failed := func(err error) error { return fmt.Errorf("%s: read %s: %w", t.rel.Owner, pf.name, err) }
	p, c, err := arrowReader(pf)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	rows := int64(0)
	rr, err := p.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return failed(err)
	}
	defer rr.Release()
	for nextRecord(rr, &err) {
		rec, err := t.convertRecord(ctx, pf, rr.RecordBatch(), whole)
		if err != nil {
			return failed(err)
		}
		rows += rec.NumRows()
		err = f(rec)
		rec.Release()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err == nil && rr.Err() != nil && !errors.Is(rr.Err(), io.EOF) {
		err = rr.Err()
	}
	if err == nil && rows != pf.rows {
		err = fmt.Errorf("it has %d rows, and its footer says %d", rows, pf.rows)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// nextRecord moves to the next record. It turns a panic of pqarrow, which has not every encoding, into
// an error.
func nextRecord(rr pqarrow.RecordReader, err *error) (ok bool) {
	defer func() {
		if panicked := recover(); panicked != nil {
			ok, *err = false, fmt.Errorf("a column that is not declared cannot be passed through: %v", panicked)
		}
	}()
	return rr.Next()
}

// convertRecord casts a record of one file to the common schema.
func (t *parquetTable) convertRecord(ctx context.Context, pf *parquetFile, rec arrow.RecordBatch, whole *arrow.Schema) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, whole.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, f := range whole.Fields() {
		at := slices.IndexFunc(pf.columns, func(s stored) bool { return s.name == f.Name })
		switch {
		case at < 0:
			columns[i] = partitionColumn(pf.path, f.Name, int(rec.NumRows()))
		case pf.columns[at].kind == storedUUID:
			columns[i] = uuidColumn(rec.Column(at))
		case arrow.TypeEqual(rec.Column(at).DataType(), f.Type):
			rec.Column(at).Retain()
			columns[i] = rec.Column(at)
		default:
			var err error
			if columns[i], err = compute.CastArray(ctx, rec.Column(at), compute.SafeCastOptions(f.Type)); err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
	}
	return array.NewRecordBatch(whole, columns, rec.NumRows()), nil
}

func partitionColumn(path, name string, n int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	s, ok := partitionText(path, name)
	for range n {
		if ok {
			b.Append(s)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray()
}

// uuidColumn writes UUIDs as text.
func uuidColumn(a arrow.Array) arrow.Array {
	if e, ok := a.(array.ExtensionArray); ok {
		a = e.Storage()
	}
	in := a.(*array.FixedSizeBinary)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		if in.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(uuidText(in.Value(i)))
		}
	}
	return b.NewArray()
}
