package relation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/records"
	"github.com/unskew/unskew/internal/vector"
)

// textTable is CSV or JSON files on this machine.
type textTable struct {
	rel        *Relation
	paths      paths
	partitions []string
	found      []Column // cached by columns
}

func openText(rel *Relation, p paths) *textTable {
	return &textTable{rel: rel, paths: p, partitions: partitions(rel.From)}
}

// textFile is an open file.
type textFile struct {
	io.Reader
	closers []io.Closer
}

func (f *textFile) Close() (err error) {
	for _, c := range slices.Backward(f.closers) {
		err = errors.Join(err, c.Close())
	}
	return err
}

func openTextFile(path string) (*textFile, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	plain, err := records.Decompress(path, in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &textFile{plain, []io.Closer{in, plain}}, nil
}

// failed adds the file's name to an error about all of it.
func (t *textTable) failed(path string, err error) error {
	if missing := (*records.MissingError)(nil); errors.As(err, &missing) {
		return t.rel.missing(t.paths.shown(path), missing.Column, missing.Has)
	}
	return fmt.Errorf("%s: read %s: %w", t.rel.Owner, t.paths.shown(path), err)
}

// columns infers the types from all rows of all files, so that no part of the data decides
// for the rest.
func (t *textTable) columns(ctx context.Context) ([]Column, error) {
	if t.found != nil {
		return t.found, nil
	}
	in := &records.Inference{Paths: t.rel.Paths}
	for _, path := range t.paths.files {
		if err := t.infer(ctx, in, path); err != nil {
			return nil, t.failed(path, err)
		}
	}
	for _, c := range in.Columns() {
		column := Column{Field: plan.Field{Name: c.Name, Type: plan.T(c.Kind)}}
		switch {
		case c.Why == records.Nested:
			column.Unusable = fmt.Sprintf("holds objects or arrays, which no type of a column holds; read a member of an object as a column of a source, such as x: {field: %s}, or let sql: read it", fieldOf(c.Name, "x"))
		case c.Why != "":
			column.Unusable = fmt.Sprintf("holds %s, which no type of a column holds together; let sql: read it", c.Why)
		case c.Kind == plan.Invalid:
			column.Type = plan.T(plan.Null)
		}
		t.found = append(t.found, column)
	}
	var err error
	t.found, err = t.rel.withPartitions(t.found, t.partitions, t.paths.files)
	return t.found, err
}

func (t *textTable) infer(ctx context.Context, in *records.Inference, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := openTextFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	format, dialect, _ := records.FormatOf(path, t.rel.CSV)
	return in.Read(f, format, dialect)
}

// withPartitions adds the partition columns that the files do not have. Their types are
// inferred as for a CSV column with the same texts.
func (rel *Relation) withPartitions(columns []Column, names, files []string) ([]Column, error) {
	for _, name := range names {
		as := name
		for column, path := range rel.Paths {
			if len(path) == 1 && path[0] == name {
				as = column
			}
		}
		if slices.ContainsFunc(columns, func(c Column) bool { return c.Name == as }) || as == name && rel.taken(name) {
			continue
		}
		text := "x\n"
		for _, path := range files {
			if s, ok := partitionText(path, name); ok {
				text += `"` + strings.ReplaceAll(s, `"`, `""`) + "\"\n"
			}
		}
		in := &records.Inference{}
		if err := in.Read(strings.NewReader(text), records.CSV, plan.CSV{}); err != nil {
			return nil, err
		}
		kind := in.Columns()[0].Kind
		if kind == plan.Invalid {
			kind = plan.Null
		}
		columns = append(columns, Column{Field: plan.Field{Name: as, Type: plan.T(kind)}})
	}
	return columns, nil
}

// bind checks the headers. JSON has none: a column that no row has is an error at the end
// of the scan.
func (t *textTable) bind(ctx context.Context, columns []plan.Field) (scan, error) {
	s := &textScan{textTable: t, fields: columns}
	for _, path := range t.paths.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := &textReader{table: t, scan: s, path: path, fields: columns, index: len(s.readers)}
		if err := r.splitFields(); err != nil {
			return nil, t.failed(path, err)
		}
		s.readers = append(s.readers, r)
	}
	return s, nil
}

// checkNames reads the JSON files until each field of a scan was found in one of them.
func (t *textTable) checkNames(s scan) error {
	for _, r := range s.(*textScan).readers {
		if format, _, _ := records.FormatOf(r.path, t.rel.CSV); format == records.CSV {
			continue
		}
		if err := r.all(r.inFile); err != nil {
			return t.failed(r.path, err)
		}
	}
	return s.close()
}

// ended records which fields a completely read file had.
func (s *textScan) ended(r *textReader, rows *records.Reader, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	s.rows += n
	if s.seen == nil {
		s.seen, s.names = map[string]bool{}, map[string]bool{}
	}
	for _, f := range r.inFile {
		s.seen[f.Name] = s.seen[f.Name] || rows.Seen(f)
	}
	for _, name := range rows.Names() {
		s.names[name] = true
	}
}

// close reports a field that no object of any file has, so that it is not read as null.
func (s *textScan) close() error {
	if s.done < len(s.readers) || s.rows == 0 {
		return nil
	}
	for _, f := range s.fields {
		if seen, ok := s.seen[f.Name]; ok && !seen {
			return s.rel.missing(s.rel.From, place(s.rel.path(f.Name)), slices.Sorted(maps.Keys(s.names)))
		}
	}
	return nil
}

// count reads the files, since text files do not store their number of rows.
func (t *textTable) count(ctx context.Context) (n int64, err error) {
	s, err := t.bind(ctx, nil)
	if err != nil {
		return 0, err
	}
	rel := *t.rel
	rel.KeepBad = true
	for _, r := range s.(*textScan).readers {
		r.rel = &rel
	}
	err = run(ctx, s, 1, mostInFlight, func(_ int, b *Batch) error { n += int64(b.N); return nil })
	return n, err
}

// textScan yields the files.
type textScan struct {
	*textTable
	fields  []plan.Field
	readers []*textReader
	at      int

	mu    sync.Mutex
	done  int             // files read to the end
	rows  int64           // rows of these files
	seen  map[string]bool // fields that were found
	names map[string]bool // all column names that were found
}

func (s *textScan) next(context.Context) (part, bool, error) {
	if s.at == len(s.readers) {
		return part{}, false, nil
	}
	r := s.readers[s.at]
	s.at++
	return part{bytes: textBytes, read: r.read}, true, nil
}

// textBytes estimates the memory for reading a text file.
const textBytes = 16 << 20

// textReader reads one file.
type textReader struct {
	table  *textTable
	scan   *textScan
	rel    *Relation // nil: that of the table
	path   string
	index  int // of the file
	fields []plan.Field

	inFile []plan.Field // the fields that are columns of the file
	column []int        // their indexes in fields
	fixed  []plan.Value // values of the other fields, by index in fields
}

// splitFields separates columns of the file from partition columns in its path.
func (r *textReader) splitFields() error {
	r.fixed = make([]plan.Value, len(r.fields))
	for i, f := range r.fields {
		at := r.table.rel.inFiles(f)
		if _, inside := r.table.rel.Paths[at.Name]; slices.Contains(r.table.partitions, at.Name) && !(inside && at.Name == f.Name) {
			has, err := r.has(f)
			if err != nil {
				return err
			}
			if !has {
				if r.fixed[i], err = partitionValue(r.path, at); err != nil {
					return fmt.Errorf("column %q, which the path holds: %w", f.Name, err)
				}
				continue
			}
		}
		r.inFile = append(r.inFile, f)
		r.column = append(r.column, i)
	}
	format, _, _ := records.FormatOf(r.path, r.table.rel.CSV)
	if format != records.CSV {
		return nil
	}
	return r.header(r.inFile)
}

// has reports whether the file has a column, of whatever type.
func (r *textReader) has(field plan.Field) (bool, error) {
	field.Type = plan.T(plan.String)
	f, rows, err := r.open([]plan.Field{field})
	if err != nil {
		return false, err
	}
	defer f.Close()
	for !rows.Seen(field) {
		_, err := rows.Next()
		if missing := (*records.MissingError)(nil); errors.Is(err, io.EOF) || errors.As(err, &missing) {
			return rows.Seen(field), nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// header reads the header of a CSV file, which must have the fields.
func (r *textReader) header(fields []plan.Field) error {
	f, rows, err := r.open(fields)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := rows.Next(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// all reads the whole file, which must have the fields.
func (r *textReader) all(fields []plan.Field) error {
	f, rows, err := r.open(fields)
	if err != nil {
		return err
	}
	defer f.Close()
	for n := int64(0); ; {
		found, err := rows.Next()
		if errors.Is(err, io.EOF) {
			r.scan.ended(r, rows, n)
			return nil
		}
		if err != nil {
			return err
		}
		n += int64(found.N)
	}
}

func (r *textReader) open(fields []plan.Field) (*textFile, *records.Reader, error) {
	f, err := openTextFile(r.path)
	if err != nil {
		return nil, nil, err
	}
	o := records.Options{Fields: fields, Paths: r.table.rel.Paths, Raw: r.table.rel.raw}
	o.Format, o.Dialect, _ = records.FormatOf(r.path, r.table.rel.CSV)
	return f, records.NewReader(f, o), nil
}

func (r *textReader) read(emit func(*Batch) error) (err error) {
	f, rows, err := r.open(r.inFile)
	if err != nil {
		return r.table.failed(r.path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	rel := r.table.rel
	if r.rel != nil {
		rel = r.rel
	}
	b := &Batch{Batch: vector.NewBatch(r.fields, 0), File: r.index}
	for {
		found, err := rows.Next()
		if errors.Is(err, io.EOF) {
			r.scan.ended(r, rows, b.First)
			return nil
		}
		if err != nil {
			return r.table.failed(r.path, err)
		}
		r.fill(b, found)
		if len(b.Bad) > 0 && !rel.KeepBad {
			return b.badError()
		}
		if err := emit(b); err != nil {
			return err
		}
		b.First += int64(b.N)
	}
}

// fill moves parsed rows into b.
func (r *textReader) fill(b *Batch, rows *records.Rows) {
	b.N = rows.N
	b.where = func(i int) string {
		line := rows.Lines[i]
		if at := slices.IndexFunc(rows.Bad, func(bad records.Bad) bool { return bad.Row == i }); at >= 0 {
			line = rows.Bad[at].Line // of a row of several lines, the line with the cell
		}
		return fmt.Sprintf("%s: line %d of %s", r.table.rel.Owner, line, r.table.paths.shown(r.path))
	}
	next := 0
	for i := range r.fields {
		if next < len(r.column) && r.column[next] == i {
			b.Cols[i] = rows.Cols[next]
			next++
			continue
		}
		fillConstant(b.Cols[i], r.fixed[i], rows.N)
	}
	b.Bad = b.Bad[:0]
	for _, bad := range rows.Bad {
		cell := BadCell{Row: bad.Row, Column: bad.Column, Text: bad.Text, Reason: bad.Reason}
		if bad.Column >= 0 {
			cell.Column = r.column[bad.Column]
		}
		b.Bad = append(b.Bad, cell)
	}
}
