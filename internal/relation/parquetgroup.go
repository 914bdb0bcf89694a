package relation

import (
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Limits of a batch; a single row may exceed the bytes.
const (
	batchRows  = 2048
	batchBytes = 8 << 20
)

// groupReader reads a row group.
type groupReader struct {
	rel     *Relation
	fields  []plan.Field
	file    *parquetFile
	index   int // of the file
	group   int
	sources []source
	most    int64 // bytes of a page; 0: no limit

	columns []chunkReader // nil for a constant column
	batch   Batch
}

func (r *groupReader) read(in *openedParquet, emit func(*Batch) error) (err error) {
	g := r.file.groups[r.group]
	groups := in.RowGroups()
	if in.size != r.file.size || r.group >= len(groups) || groups[r.group].NumRows() != g.rows {
		return fmt.Errorf("%s: %s changed while it was read", r.rel.Owner, r.file.name)
	}
	if err := r.begin(groups[r.group].ColumnChunks(), in); err != nil {
		return fmt.Errorf("%s: read %s: %w", r.rel.Owner, r.file.name, err)
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for done := int64(0); done < g.rows; {
		n, err := r.fill(int(min(g.rows-done, batchRows)))
		if err != nil {
			return fmt.Errorf("%s: read %s: %w", r.rel.Owner, r.file.name, err)
		}
		r.batch.First = g.first + done
		done += int64(n)
		if len(r.batch.Bad) > 0 && !r.rel.KeepBad {
			return r.batch.badError()
		}
		if err := emit(&r.batch); err != nil {
			return err
		}
	}
	return nil
}

// begin creates the readers of the columns.
func (r *groupReader) begin(chunks []parquet.ColumnChunk, in *openedParquet) (err error) {
	defer func() { err = damaged(recover(), err) }()
	r.batch = Batch{Batch: vector.NewBatch(r.fields, 0), File: r.index}
	r.batch.where = func(i int) string {
		return fmt.Sprintf("%s: row %d of %s", r.rel.Owner, r.batch.First+int64(i)+1, r.file.name)
	}
	r.columns = make([]chunkReader, len(r.fields))
	for i, s := range r.sources {
		if s.leaf < 0 {
			continue
		}
		lane := lane{vector: r.batch.Cols[i]}
		if needsArrow(&in.Metadata().RowGroups[r.group].Columns[s.leaf].MetaData) {
			chunk, err := in.arrowChunk(r.group, s.leaf)
			if err != nil {
				return fmt.Errorf("column %q: %w", r.fields[i].Name, err)
			}
			r.columns[i] = &arrowColumn{lane: lane, convert: s.convert, chunk: chunk}
			continue
		}
		meta := &in.Metadata().RowGroups[r.group].Columns[s.leaf].MetaData
		r.columns[i] = &columnReader{lane: lane, pages: openPages(in.in, chunks[s.leaf].Type(), s.levels, meta, r.file.groups[r.group].rows, r.most), convert: s.convert, asIs: s.asIs}
	}
	return nil
}

func (r *groupReader) close() (err error) {
	for _, c := range r.columns {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	return err
}

// fill reads the next batch, of at most n rows, and returns its number of rows.
func (r *groupReader) fill(n int) (_ int, err error) {
	column := -1
	defer func() {
		if err = damaged(recover(), err); err != nil && column >= 0 {
			err = fmt.Errorf("column %q, row group %d: %w", r.fields[column].Name, r.group+1, err)
		}
	}()
	var c chunkReader
	for column, c = range r.columns {
		if c != nil {
			if n, err = c.load(n, batchBytes); err != nil {
				return 0, err
			}
		}
	}
	r.batch.Bad = r.batch.Bad[:0]
	for column, c = range r.columns {
		if c == nil {
			fillConstant(r.batch.Cols[column], r.sources[column].value, n)
			continue
		}
		if err := c.fill(n); err != nil {
			return 0, err
		}
		for row, b := range c.badValues() {
			r.batch.Bad = append(r.batch.Bad, BadCell{Row: row, Column: column, Text: b.text, Reason: b.text + ": " + b.reason})
		}
	}
	r.batch.N = n
	r.batch.sortBad()
	return n, nil
}

// fillConstant sets v to n copies of x.
func fillConstant(v *vector.Vector, x plan.Value, n int) {
	v.Resize(n)
	for i := range n {
		v.Set(i, x)
	}
}
