package parquetfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Reader reads a file that was written with the schema of SchemaOf.
type Reader struct {
	fields []plan.Field
	schema *Schema
	file   *parquet.File
}

// NewReader opens a file, which must have the given columns.
func NewReader(from io.ReaderAt, size int64, fields []plan.Field) (r *Reader, err error) {
	defer recovered(&err)
	r = &Reader{fields: fields}
	if r.schema, err = SchemaOf(fields); err != nil {
		return nil, err
	}
	if r.file, err = parquet.OpenFile(from, size, parquet.SkipBloomFilters(true)); err != nil {
		return nil, err
	}
	want := parquet.NewSchema("schema", newGroup(r.schema.columns, make([]encoding.Encoding, len(r.schema.leaves))))
	if !slices.EqualFunc(r.file.Schema().Columns(), want.Columns(), slices.Equal) {
		return nil, fmt.Errorf("it has the columns %s", joined(r.file.Schema().Columns()))
	}
	return r, nil
}

func joined(columns [][]string) string {
	names := make([]string, len(columns))
	for i, path := range columns {
		names[i] = strings.Join(path, "/")
	}
	return strings.Join(names, ", ")
}

// Groups is the number of row groups.
func (r *Reader) Groups() int { return len(r.file.RowGroups()) }

// Group reads a row group, which must have the given number of rows and at most so many values in a column,
// elements of lists included: what a damaged file says of itself is not believed. Columns for which want is false are nil; a want that
// is nil wants all.
func (r *Reader) Group(i, rows, most int, want func(column int) bool) (b *vector.Batch, err error) {
	defer recovered(&err)
	group := r.file.RowGroups()[i]
	if n := group.NumRows(); n != int64(rows) {
		return nil, fmt.Errorf("it has %d rows instead of %d", n, rows)
	}
	b = &vector.Batch{N: rows, Fields: r.fields, Cols: make([]*vector.Vector, len(r.fields))}
	leaves := make([]leafReader, len(r.schema.leaves))
	for c, column := range r.schema.columns {
		if want != nil && !want(c) {
			continue
		}
		if err := r.readLeaves(i, c, most, leaves); err != nil {
			return nil, err
		}
		b.Cols[c] = vector.New(r.fields[c].Type, rows)
		if column.leaf >= 0 && len(leaves[column.leaf].values) == rows {
			column.fill(b.Cols[c], leaves[column.leaf].values)
			leaves[column.leaf].values = nil
			continue
		}
		for row := range rows {
			b.Cols[c].Set(row, column.read(leaves, r.fields[c].Type))
		}
	}
	for leaf := range leaves {
		if len(leaves[leaf].values) > 0 {
			return nil, errors.New("it has more values than rows")
		}
	}
	return b, nil
}

// fill is read for all values of a column that is not nested.
func (c *column) fill(to *vector.Vector, values []parquet.Value) {
	for row := range values {
		v := &values[row]
		if v.DefinitionLevel() < int(c.def) {
			to.SetNull(row)
			continue
		}
		switch to.Type.Kind {
		case plan.Double:
			to.Double[row] = math.Float64frombits(plan.DoubleBits(v.Double()))
		case plan.String:
			to.Str[row] = textOf(v)
		case plan.Int, plan.Timestamp, plan.Duration:
			to.Int[row] = v.Int64()
		default:
			to.Set(row, valueOf(*v, to.Type))
		}
	}
}

// textOf is a text, whose memory nobody changes; see cloneOf.
func textOf(v *parquet.Value) string {
	b := v.ByteArray()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// readLeaves reads the leaves of a column of a row group.
func (r *Reader) readLeaves(i, c, most int, leaves []leafReader) (err error) {
	end := len(leaves)
	if c+1 < len(r.schema.columns) {
		end = r.schema.columns[c+1].first()
	}
	chunks, stored := r.file.RowGroups()[i].ColumnChunks(), r.file.Metadata().RowGroups[i]
	for leaf := r.schema.columns[c].first(); leaf < end; leaf++ {
		if codec := stored.Columns[leaf].MetaData.Codec; codec != format.Zstd {
			err = fmt.Errorf("it is compressed with %v", codec)
		} else {
			leaves[leaf].values, err = valuesOf(chunks[leaf], most)
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", r.schema.leaves[leaf].field.Name, err)
		}
	}
	return nil
}

// valuesOf reads all values of a column chunk, at most so many. Their texts are in memory of their own.
func valuesOf(chunk parquet.ColumnChunk, most int) (all []parquet.Value, err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		from := len(all)
		if page.NumValues() > int64(most-from) {
			return nil, fmt.Errorf("it has more than %d values", most)
		}
		all = append(all, make([]parquet.Value, page.NumValues())...)
		n, err := page.Values().ReadValues(all[from:])
		if err != nil && err != io.EOF {
			return nil, err
		}
		if from+n < len(all) {
			return nil, fmt.Errorf("a page has %d of %d values", n, len(all)-from)
		}
		for i := from; i < len(all); i++ {
			all[i] = cloneOf(all[i], all[:i])
		}
		parquet.Release(page)
	}
}

// cloneOf returns a value with memory of its own, which it may share with the one before: most texts, such as names, are those
// of the row before.
func cloneOf(v parquet.Value, before []parquet.Value) parquet.Value {
	if v.Kind() == parquet.ByteArray && len(before) > 0 {
		if last := before[len(before)-1]; last.Kind() == parquet.ByteArray && bytes.Equal(last.ByteArray(), v.ByteArray()) {
			return last.Level(v.RepetitionLevel(), v.DefinitionLevel(), v.Column())
		}
	}
	return v.Clone()
}

// leafReader has the values of a leaf that are not read yet.
type leafReader struct{ values []parquet.Value }

func (l *leafReader) next() parquet.Value {
	v := l.values[0]
	l.values = l.values[1:]
	return v
}

// first is the first leaf of a column.
func (c *column) first() int {
	for c.leaf < 0 {
		c = c.children[0]
	}
	return c.leaf
}

// skip drops what stands for a null or an empty list.
func (c *column) skip(leaves []leafReader) {
	if c.leaf >= 0 {
		leaves[c.leaf].next()
		return
	}
	for _, child := range c.children {
		child.skip(leaves)
	}
}

// read reads the next value of a column. See sink for the levels.
func (c *column) read(leaves []leafReader, t plan.Type) plan.Value {
	first := &leaves[c.first()]
	switch level := first.values[0].DefinitionLevel(); {
	case level < int(c.def):
		c.skip(leaves)
		return plan.NullValue()
	case c.leaf >= 0:
		return valueOf(first.next(), t)
	case level == int(c.def):
		c.skip(leaves)
		return collection(t, nil, nil)
	}
	var keys, elems []plan.Value
	for more := true; more; more = len(first.values) > 0 && first.values[0].RepetitionLevel() == int(c.rep)+1 {
		if t.Kind == plan.Map {
			keys = append(keys, c.children[0].read(leaves, *t.Key))
		}
		elems = append(elems, c.children[len(c.children)-1].read(leaves, *t.Elem))
	}
	return collection(t, keys, elems)
}

func collection(t plan.Type, keys, elems []plan.Value) plan.Value {
	if t.Kind == plan.Map {
		return plan.MapValue(keys, elems)
	}
	return plan.ListValue(elems)
}

// valueOf returns a value that is not null.
func valueOf(v parquet.Value, t plan.Type) plan.Value {
	switch t.Kind {
	case plan.Bool:
		return plan.BoolValue(v.Boolean())
	case plan.Uint:
		return plan.UintValue(v.Uint64())
	case plan.Double:
		return plan.DoubleValue(v.Double())
	case plan.String:
		return plan.StringValue(textOf(&v))
	case plan.Bytes:
		return plan.BytesValue(v.ByteArray())
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(v.Int64()))
	case plan.Duration:
		return plan.DurationValue(time.Duration(v.Int64()))
	}
	return plan.IntValue(v.Int64())
}
