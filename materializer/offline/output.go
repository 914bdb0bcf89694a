package offline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/internal/vector"
)

// The size of row groups depends on the rows and the definitions alone, so that equal rows make equal bytes: a row group ends
// with groupRows rows, or fewer if its columns are many, or with the row that makes the texts of the spine and of the aggregates exceed
// their limit. A row group of each part is in memory until it is complete.
const (
	groupRows  = 64 << 10
	leastRows  = 4 << 10
	groupCells = 8 << 20  // of the spine's columns in all parts, and of the outputs in one
	groupTexts = 16 << 20 // bytes, of all parts
)

// Suffixes of the columns that --with-status adds.
const (
	statusSuffix = ".status"
	reasonSuffix = ".reason"
)

// layout is the columns of a training set: the spine's, then for each output its value and,
// with statuses, its status and, if it has a default, the reason why the default was used.
type layout struct {
	schema  *parquetfile.Schema
	spine   int // columns of the spine
	outputs []outputColumn
	rows    int   // of a row group, at most
	texts   int64 // bytes of texts in a row group, at most; the last row may exceed it
}

type outputColumn struct{ status, reason bool }

func newLayout(spine *arrow.Schema, s *plan.Service, withStatus bool, parts int) (*layout, error) {
	l := &layout{spine: spine.NumFields(), rows: groupRows, texts: int64(groupTexts / parts)}
	fields := slices.Clone(spine.Fields())
	defaults := hasDefault(s)
	for i, o := range s.Outputs() {
		t, err := arrowfile.ArrowType(o.Type)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		fields = append(fields, arrow.Field{Name: o.Name, Type: t, Nullable: true})
		c := outputColumn{status: withStatus, reason: withStatus && defaults[i]}
		if c.status {
			fields = append(fields, arrow.Field{Name: o.Name + statusSuffix, Type: arrow.BinaryTypes.String})
		}
		if c.reason {
			fields = append(fields, arrow.Field{Name: o.Name + reasonSuffix, Type: arrow.BinaryTypes.String, Nullable: true})
		}
		l.outputs = append(l.outputs, c)
	}
	for l.rows > leastRows && l.rows*(l.spine*(parts-1)+len(fields)) > groupCells {
		l.rows /= 2
	}
	seen := map[string]string{}
	for _, f := range fields {
		// DuckDB and other readers ignore case in column names.
		if other, ok := seen[strings.ToLower(f.Name)]; ok {
			return nil, fmt.Errorf("the training set would have two columns %q and %q; let sql: rename the spine's, or as: the feature's role", other, f.Name)
		}
		seen[strings.ToLower(f.Name)] = f.Name
	}
	var err error
	if l.schema, err = arrowfile.NewSchema(arrow.NewSchema(fields, nil)); err != nil {
		if bad := (*arrowfile.TypeError)(nil); errors.As(err, &bad) {
			return nil, fmt.Errorf("column %q of the spine is a %v, which Parquet cannot hold; let sql: convert it", bad.Column, bad.Type)
		}
		return nil, err
	}
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

// columns takes rows column by column: a row group, or the sample that decides encodings.
type columns interface {
	Array(col int, a *parquetfile.Array, from, to int) error
	Vector(col int, v *vector.Vector, from, to int) error
	Texts(col int, texts []string) error
}

// addOutputs adds the outputs of n rows to their columns. texts is scratch.
func (l *layout) addOutputs(to columns, out []kernel.FeatureColumn, n int, texts []string) ([]string, error) {
	col := l.spine
	statuses := func(statuses []kernel.Status) error {
		texts = texts[:0]
		for _, s := range statuses[:n] {
			texts = append(texts, statusText(s))
		}
		col++
		return to.Texts(col-1, texts)
	}
	for c, o := range l.outputs {
		if err := to.Vector(col, out[c].Vec, 0, n); err != nil {
			return texts, err
		}
		col++
		if o.status {
			if err := statuses(out[c].Status); err != nil {
				return texts, err
			}
		}
		if o.reason {
			if err := statuses(out[c].Reason); err != nil {
				return texts, err
			}
		}
	}
	return texts, nil
}

// statusText is the name of a status; "" for 0, which is no status.
func statusText(s kernel.Status) string {
	if s == 0 {
		return ""
	}
	return s.String()
}

// part is one file of a training set.
type part struct {
	*layout
	file   *stagedFile
	rows   int64
	groups int // row groups begun so far

	writer *parquetfile.Writer // set once ready is closed, when the first row group has decided encodings
	ready  chan struct{}
	empty  sync.Pool // row groups that were committed
}

// createdBy is the Parquet metadata field that names the writer.
const createdBy = "unskew"

// begin makes the writer, with the encodings that the first row group decided.
func (p *part) begin(encodings parquetfile.Encodings) {
	p.writer = parquetfile.NewWriter(p.file, p.schema, encodings, createdBy)
	close(p.ready)
}

func (p *part) newRowGroup() *parquetfile.RowGroup {
	if g, ok := p.empty.Get().(*parquetfile.RowGroup); ok {
		return g
	}
	return p.writer.NewRowGroup()
}

// commit writes a row group, the next one of the file.
func (p *part) commit(g *parquetfile.RowGroup, rows int) error {
	if err := g.Commit(); err != nil {
		return fmt.Errorf("write %s: %w", p.file.name, err)
	}
	p.rows += int64(rows)
	p.empty.Put(g)
	return nil
}

// finish writes the footer, with metadata.
func (p *part) finish(metadata map[string]string) error {
	if p.writer == nil { // no rows
		encodings, err := parquetfile.NewSample(p.schema).Encodings()
		if err != nil {
			return err
		}
		p.begin(encodings)
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		p.writer.SetMetadata(key, metadata[key])
	}
	if err := p.writer.Close(); err != nil {
		return fmt.Errorf("write %s: %w", p.file.name, err)
	}
	return nil
}

// fileSuffix ends the names of the files with rows.
const fileSuffix = ".parquet"

// newParts begins the files of a training set, one for each part of the split.
func newParts(l *layout, p *partition, s *staging) ([]*part, error) {
	var out []*part
	for _, name := range p.names {
		f, err := s.create(name + fileSuffix)
		if err != nil {
			return nil, err
		}
		out = append(out, &part{layout: l, file: f, ready: make(chan struct{})})
	}
	return out, nil
}
