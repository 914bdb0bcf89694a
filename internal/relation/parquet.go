package relation

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/parquet-go/parquet-go"

	"github.com/unskew/unskew/featuredefs/plan"
)

// parquetTable is Parquet files on this machine.
type parquetTable struct {
	rel        *Relation
	paths      paths
	partitions []string
	files      []*parquetFile
	inFlight   int64 // see run
	mostPage   int64 // bytes of a page; 0: no limit
}

// parquetFile is what is kept of a file after its footer was read.
type parquetFile struct {
	name    string // for messages
	path    string
	size    int64
	columns []stored
	nested  []stored                // leaves below a top-level column, named by their path
	fields  map[string]*structField // by column, those that are fields of structs
	groups  []rowGroup
	rows    int64
}

type rowGroup struct {
	first, rows int64
	sizes       []int64 // uncompressed bytes of each leaf
	least       []int64 // minimum of each leaf, see leastInt
}

func openParquet(ctx context.Context, rel *Relation, p paths, inFlight, mostPage int64) (*parquetTable, error) {
	t := &parquetTable{rel: rel, paths: p, partitions: partitions(rel.From), inFlight: inFlight, mostPage: mostPage}
	for _, path := range p.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := t.inspect(path)
		if err != nil {
			return nil, fmt.Errorf("%s: read %s: %w", rel.Owner, p.shown(path), err)
		}
		names := make([]string, len(f.columns))
		for i, c := range f.columns {
			names[i] = c.name
		}
		if err := rel.distinct(f.name, names); err != nil {
			return nil, err
		}
		t.files = append(t.files, f)
	}
	return t, nil
}

// inspect reads the footer of a file.
func (t *parquetTable) inspect(path string) (*parquetFile, error) {
	in, err := openParquetFile(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	meta := in.Metadata()
	f := &parquetFile{name: t.paths.shown(path), path: path, size: in.size}
	if f.columns, err = storedColumns(meta.Schema); err != nil {
		return nil, err
	}
	f.nested = nestedLeaves(meta.Schema, f.columns)
	if f.fields, err = t.rel.findFields(meta.Schema); err != nil {
		return nil, err
	}
	t.markDurations(f, in.File)
	written := calendarOf(meta.KeyValueMetadata)
	for s := range f.leaves() {
		s.markUnread(meta.RowGroups)
		written.mark(s)
	}
	for _, g := range meta.RowGroups {
		sizes, least := make([]int64, len(g.Columns)), make([]int64, len(g.Columns))
		for i := range g.Columns {
			sizes[i], least[i] = g.Columns[i].MetaData.TotalUncompressedSize, leastInt(&g.Columns[i].MetaData)
		}
		f.groups = append(f.groups, rowGroup{f.rows, g.NumRows, sizes, least})
		f.rows += g.NumRows
	}
	return f, nil
}

// leaves yields all that was found in the schema; some leaves of it twice.
func (f *parquetFile) leaves() iter.Seq[*stored] {
	return func(yield func(*stored) bool) {
		for _, list := range [][]stored{f.columns, f.nested} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
		for _, c := range f.fields {
			if !yield(&c.stored) {
				return
			}
		}
	}
}

// openedParquet is an open file.
type openedParquet struct {
	*parquet.File
	in   *os.File
	size int64

	once  sync.Once
	arrow *file.Reader // created on first use
	err   error
}

// arrowChunk returns arrow-go's reader of a column of a row group.
func (o *openedParquet) arrowChunk(group, leaf int) (file.ColumnChunkReader, error) {
	o.once.Do(func() { o.arrow, o.err = file.NewParquetReader(io.NewSectionReader(o.in, 0, o.size)) })
	if o.err != nil {
		return nil, o.err
	}
	return o.arrow.RowGroup(group).Column(leaf)
}

func (o *openedParquet) Close() error { return o.in.Close() }

// readBuffer is how many bytes of a column are read at a time.
const readBuffer = 256 << 10

func openParquetFile(path string) (_ *openedParquet, err error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() {
		if err = damaged(recover(), err); err != nil {
			in.Close()
		}
	}()
	info, err := in.Stat()
	if err != nil {
		return nil, withoutPath(err)
	}
	f, err := parquet.OpenFile(in, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		return nil, fmt.Errorf("it is truncated, damaged or not a Parquet file: %w", err)
	}
	return &openedParquet{File: f, in: in, size: info.Size()}, nil
}

// damaged turns the panic of a decoder, caused by a damaged file, into an error.
func damaged(panicked any, err error) error {
	if panicked != nil {
		return fmt.Errorf("it is damaged: %v", panicked)
	}
	return err
}

func (t *parquetTable) columns(context.Context) ([]Column, error) {
	var columns []Column
	index := map[string]int{}
	add := func(name string, c Column) {
		c.Name = name
		at, ok := index[name]
		if !ok {
			index[name] = len(columns)
			columns = append(columns, c)
			return
		}
		columns[at] = common(columns[at], c)
	}
	for _, f := range t.files {
		for i := range f.columns {
			if c := &f.columns[i]; !t.rel.taken(c.name) {
				add(c.name, c.column())
			}
		}
		for _, name := range slices.Sorted(maps.Keys(t.rel.Paths)) {
			if c, ok := t.found(f, name); ok {
				add(name, c)
			}
		}
	}
	return t.rel.withPartitions(columns, t.partitions, t.paths.files)
}

// found describes what a file has at the path of a column; ok is false if there is nothing.
func (t *parquetTable) found(f *parquetFile, column string) (c Column, ok bool) {
	if at, ok := f.fields[column]; ok {
		c = at.column()
		if at.problem != "" {
			c.Unusable = at.problem
		}
		return c, !at.missing
	}
	s := f.column(t.rel.path(column)[0])
	if s == nil {
		return c, false
	}
	return s.column(), true
}

// column finds a column by its name in the file; nil if there is none.
func (f *parquetFile) column(name string) *stored {
	i := slices.IndexFunc(f.columns, func(s stored) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return &f.columns[i]
}

// common merges the descriptions of a column that has type a in some files and b in others.
func common(a, b Column) Column {
	numeric := func(k plan.Kind) bool { return k == plan.Int || k == plan.Double }
	switch {
	case a.Unusable != "" || b.Type.Kind == plan.Null:
		return a
	case b.Unusable != "" || a.Type.Kind == plan.Null:
		return b
	case a.Type.Equal(b.Type):
		return a
	case numeric(a.Type.Kind) && numeric(b.Type.Kind):
		a.Type = plan.T(plan.Double)
		return a
	}
	a.Unusable = fmt.Sprintf("%v in some files and %v in others", a.Type, b.Type)
	return a
}

func (t *parquetTable) count(context.Context) (int64, error) {
	var n int64
	for _, f := range t.files {
		n += f.rows
	}
	return n, nil
}

// source is where a declared column of a file comes from.
type source struct {
	leaf    int // -1: every row has the same value
	levels  maxLevels
	convert converter
	asIs    bool       // convert copies values of 64 bits
	value   plan.Value // with leaf -1
}

func (t *parquetTable) bind(_ context.Context, columns []plan.Field) (scan, error) {
	s := &parquetScan{parquetTable: t, fields: columns}
	for _, f := range t.files {
		sources := make([]source, len(columns))
		for i, c := range columns {
			src, err := t.source(f, c)
			if err != nil {
				return nil, err
			}
			sources[i] = src
		}
		s.sources = append(s.sources, sources)
	}
	return s, nil
}

// source decides how a column of a file is read.
func (t *parquetTable) source(f *parquetFile, c plan.Field) (source, error) {
	var s *stored
	if at, ok := f.fields[c.Name]; ok && at.problem != "" {
		return source{}, fmt.Errorf("%s: column %q of %s %s", t.rel.Owner, c.Name, f.name, at.problem)
	} else if ok {
		s = &at.stored
	} else if s = f.column(t.rel.path(c.Name)[0]); s == nil {
		return t.absent(f, t.rel.inFiles(c))
	}
	if s.kind == storedNull {
		return source{leaf: -1}, nil
	}
	convert, ok := converterOf(s, c.Type.Kind)
	switch {
	case ok && s.unread != "":
		return source{}, t.unread(f, s)
	case ok && f.mayBeHybrid(s):
		return source{leaf: s.leaf, levels: s.levels, convert: refuseHybrid(s, convert)}, nil
	case ok:
		return source{leaf: s.leaf, levels: s.levels, convert: convert, asIs: s.holdsLane(c.Type.Kind)}, nil
	case s.kind == storedOther:
		return source{}, fmt.Errorf("%s: column %q of %s %s", t.rel.Owner, c.Name, f.name, s.unsupported())
	}
	return source{}, t.rel.refused(f.name, c, s.text, fmt.Sprintf("; declare it as %v, or let sql: convert it", planKinds[s.kind]))
}

// absent returns the source of a column that the file does not have: the path or a
// constant null.
func (t *parquetTable) absent(f *parquetFile, c plan.Field) (source, error) {
	if slices.Contains(t.partitions, c.Name) {
		v, err := partitionValue(f.path, c)
		if err != nil {
			return source{}, fmt.Errorf("%s: column %q, which the path of %s holds: %w", t.rel.Owner, c.Name, f.name, err)
		}
		return source{leaf: -1, value: v}, nil
	}
	names := make([]string, len(f.columns))
	for i, s := range f.columns {
		names[i] = s.name
	}
	for _, other := range t.files {
		if other.column(c.Name) != nil {
			return source{}, fmt.Errorf("%s: %s has no column %q, other files of %s have; let sql: say where it should be null",
				t.rel.Owner, f.name, c.Name, t.rel.From)
		}
	}
	return source{}, t.rel.missing(t.rel.From, c.Name, names)
}

// parquetScan yields the row groups of all files.
type parquetScan struct {
	*parquetTable
	fields  []plan.Field
	sources [][]source // by file
	file    int
	group   int
	open    *sharedFile // the file being read, once one of its parts was yielded
}

// sharedFile is a file that stays open while its parts are read.
type sharedFile struct {
	path  string
	parts int // not yet read
	mu    sync.Mutex
	file  *openedParquet
	err   error
}

func (s *sharedFile) get() (*openedParquet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil && s.err == nil {
		s.file, s.err = openParquetFile(s.path)
	}
	return s.file, s.err
}

// put marks a part as read; the last one closes the file.
func (s *sharedFile) put() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts--; s.parts == 0 && s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

func (s *parquetScan) next(context.Context) (part, bool, error) {
	for s.file < len(s.files) && s.group == len(s.files[s.file].groups) {
		s.file, s.group, s.open = s.file+1, 0, nil
	}
	if s.file == len(s.files) {
		return part{}, false, nil
	}
	f, sources := s.files[s.file], s.sources[s.file]
	if s.open == nil {
		s.open = &sharedFile{path: f.path, parts: len(f.groups)}
	}
	r := &groupReader{rel: s.rel, fields: s.fields, file: f, index: s.file, group: s.group, sources: sources, most: s.mostPage}
	shared := s.open
	g := f.groups[s.group]
	s.group++
	p := part{read: func(emit func(*Batch) error) error {
		defer shared.put()
		in, err := shared.get()
		if err != nil {
			return fmt.Errorf("%s: read %s: %w", s.rel.Owner, f.name, err)
		}
		return r.read(in, emit)
	}}
	for _, src := range sources {
		if src.leaf >= 0 && src.leaf < len(g.sizes) {
			p.bytes += g.sizes[src.leaf]
		}
	}
	return p, true, nil
}

// close closes a file whose remaining parts were not requested.
func (s *parquetScan) close() error {
	if s.open == nil || s.open.file == nil {
		return nil
	}
	return s.open.file.Close()
}
