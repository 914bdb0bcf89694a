package offline

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/materializer/report"
)

// rowGroup is the rows of one row group of one part, in order.
type rowGroup struct {
	part      *part
	partIndex int // of part, among the parts
	number    int // among the row groups of part
	spans     []span
	rows      []int32     // of the spine
	sources   []rowSource // by replay: where the aggregates of the rows are

	done    chan struct{} // closed when all of the following is there
	err     error
	encoded *parquetfile.RowGroup
	failed  []*failedRows        // by role; the last of the derived features
	texts   []*report.GroupTexts // of the outputs that are texts

	withEvents []int64 // by role: rows whose entity has a visible event
}

// rowSource locates the aggregates of rows: an index into results, and a row there.
type rowSource struct {
	at      []kernel.At
	results []*kernel.PartResults
	last    []lastResults // by part of the replay
}

// lastResults are the results of the last row of a part, and their index in rowSource.results.
type lastResults struct {
	of     *kernel.PartResults
	number int32
}

// add adds a row of the given part.
func (s *rowSource) add(part int, of *kernel.PartResults, row int32) {
	l := &s.last[part]
	if l.of != of {
		*l = lastResults{of, int32(len(s.results))}
		s.results = append(s.results, of)
	}
	s.at = append(s.at, kernel.At{Part: l.number, Row: row})
}

// span is a range of rows of a record of the spine.
type span struct {
	rec      arrow.RecordBatch
	from, to int
}

func (g *rowGroup) release() {
	for _, s := range g.spans {
		s.rec.Release()
	}
	g.spans, g.rows, g.sources = nil, nil, nil
}

// assembly divides the spine into row groups. Several goroutines fill them; one commits
// them in order.
type assembly struct {
	t      *trainer
	layout *layout
	parts  []*part
	open   []*rowGroup // by part: the row group that gets its next rows
	row    int         // next of the spine

	work    chan *rowGroup // to be filled
	ordered chan *rowGroup // the same, to be committed in this order
}

// run reads the spine and writes the parts. At most Threads+2 row groups are in flight,
// besides those that rows are still added to.
func (a *assembly) run(ctx context.Context) error {
	fillers := make([]*filler, a.t.Threads)
	for i := range fillers {
		var err error
		if fillers[i], err = a.t.newFiller(); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer func() { close(a.work); close(a.ordered) }()
		return a.readSpine(ctx)
	})
	for _, f := range fillers {
		g.Go(func() error {
			for group := range a.work {
				group.err = f.fill(ctx, group)
				close(group.done)
			}
			return nil
		})
	}
	g.Go(func() error { return a.commit(ctx) })
	err := g.Wait()
	a.abandon()
	for _, f := range fillers {
		a.t.counts.Merge(f.counts.Counts())
	}
	return err
}

// readSpine reads the spine a second time, since its other columns were not kept in memory.
func (a *assembly) readSpine(ctx context.Context) error {
	t := a.t
	err := t.Reader.Records(ctx, t.spine.rel, t.spine.fields, func(schema *arrow.Schema) (err error) {
		if a.layout, err = newLayout(schema, t.Set.Service, t.WithStatus); err != nil {
			return err
		}
		return a.begin()
	}, func(rec arrow.RecordBatch) error {
		n := int(rec.NumRows())
		if a.row+n > t.spine.rows() {
			return fmt.Errorf("%s has more rows than when it was read first; it must not change while it is read", t.spine.rel.Owner)
		}
		for i := 0; i < n; {
			m, err := a.add(ctx, rec, i, n)
			if err != nil {
				return err
			}
			i += m
		}
		t.Progress(Progress{"write", int64(a.row), int64(t.spine.rows())})
		return nil
	})
	if err == nil && a.row != t.spine.rows() {
		err = fmt.Errorf("%s had %d rows at first and %d at last; it must not change while it is read", t.spine.rel.Owner, t.spine.rows(), a.row)
	}
	for _, g := range a.open {
		if err == nil && g != nil {
			err = a.send(ctx, g)
		}
	}
	return err
}

// begin creates the files, once their columns are known.
func (a *assembly) begin() (err error) {
	a.parts, err = newParts(a.layout, a.t.partition, a.t.stage)
	a.open = make([]*rowGroup, len(a.parts))
	return err
}

// add adds rows of a record from row i on that belong to one part, and returns their number.
func (a *assembly) add(ctx context.Context, rec arrow.RecordBatch, i, n int) (int, error) {
	p, m := a.t.partition.run(a.row, n-i)
	if isDropped(p) {
		for range m {
			if err := a.skip(); err != nil {
				return 0, err
			}
		}
		return m, nil
	}
	g := a.open[p]
	if g == nil {
		g = a.newGroup(int(p))
	}
	m = min(m, groupRows-len(g.rows))
	rec.Retain()
	g.spans = append(g.spans, span{rec, i, i + m})
	for range m {
		if err := a.append(g); err != nil {
			return 0, err
		}
	}
	if len(g.rows) == groupRows {
		a.open[p] = nil
		return m, a.send(ctx, g)
	}
	return m, nil
}

func (a *assembly) newGroup(p int) *rowGroup {
	g := &rowGroup{part: a.parts[p], partIndex: p, number: a.parts[p].groups, done: make(chan struct{})}
	for _, r := range a.t.replays {
		g.sources = append(g.sources, rowSource{last: make([]lastResults, r.kernel.Parts())})
	}
	a.parts[p].groups++
	a.open[p] = g
	return g
}

// append adds the next row of the spine to a group.
func (a *assembly) append(g *rowGroup) error {
	g.rows = append(g.rows, int32(a.row))
	for i, r := range a.t.replays {
		part := r.kernel.Part(a.row)
		of, row, err := r.results.next(part)
		if err != nil {
			return err
		}
		g.sources[i].add(part, of, row)
	}
	a.row++
	return nil
}

// skip leaves out the next row of the spine.
func (a *assembly) skip() error {
	for _, r := range a.t.replays {
		if _, _, err := r.results.next(r.kernel.Part(a.row)); err != nil {
			return err
		}
	}
	a.row++
	return nil
}

// send queues a group to be filled and committed.
func (a *assembly) send(ctx context.Context, g *rowGroup) error {
	for _, to := range []chan *rowGroup{a.ordered, a.work} {
		select {
		case to <- g:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// commit writes row groups in order.
func (a *assembly) commit(ctx context.Context) error {
	for g := range a.ordered {
		select {
		case <-g.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if g.err != nil {
			return g.err
		}
		if err := g.part.commit(g.encoded, len(g.rows)); err != nil {
			return err
		}
		a.t.see(g)
		g.release()
	}
	return nil
}

// abandon frees what is left of the spine when something has failed.
func (a *assembly) abandon() {
	for _, g := range a.open {
		if g != nil {
			g.release()
		}
	}
	for g := range a.ordered {
		g.release()
	}
}

// filler fills row groups, one after the other.
type filler struct {
	t       *trainer
	readers []*kernel.Reader // of each role
	service *kernel.Service
	views   []*kernel.Features

	times   []plan.EventTime // scratch, of the rows at hand
	texts   []string
	classes []uint8

	counts *report.Collector

	derived *kernel.Features // of the rows at hand
}

// featureRows is how many rows are evaluated at a time: few enough for the cache.
const featureRows = 1024

func (t *trainer) newFiller() (*filler, error) {
	f := &filler{t: t, counts: report.NewCollector(t.shape), views: make([]*kernel.Features, len(t.roles))}
	for _, r := range t.roles {
		reader, err := r.of.kernel.NewReader(r.view)
		if err != nil {
			return nil, err
		}
		f.readers = append(f.readers, reader)
	}
	var err error
	f.service, err = kernel.NewService(t.Set.Service)
	return f, err
}

// fill computes, encodes and compresses a row group.
func (f *filler) fill(ctx context.Context, g *rowGroup) error {
	if g.number == 0 {
		if err := f.decide(g); err != nil {
			return err
		}
	}
	select {
	case <-g.part.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	g.encoded = g.part.newRowGroup()
	g.withEvents = make([]int64, len(f.t.roles))
	f.counts.BeginGroup(g.partIndex)
	for _, r := range f.t.roles {
		g.failed = append(g.failed, newFailedRows(len(r.ref.View.Features)))
	}
	g.failed = append(g.failed, newFailedRows(len(f.t.Set.Service.Derived)))
	if err := g.spineColumns(g.encoded, 0, len(g.rows)); err != nil {
		return err
	}
	for from := 0; from < len(g.rows); from += featureRows {
		to := min(from+featureRows, len(g.rows))
		out := f.outputs(g, from, to)
		f.count(g, from, to, out)
		derived := len(f.views)
		for i := range f.views {
			g.failed[i].see(f.views[i], g.rows[from:to])
			g.withEvents[i] += int64(f.views[i].Known.Count())
		}
		g.failed[derived].see(f.derived, g.rows[from:to])
		var err error
		if f.texts, err = g.part.addOutputs(g.encoded, out, to-from, f.texts); err != nil {
			return err
		}
	}
	g.texts = f.counts.Texts()
	return g.encoded.Finish()
}

// count counts rows of a group for the report.
func (f *filler) count(g *rowGroup, from, to int, out []kernel.FeatureColumn) {
	f.classes = f.classes[:0]
	for _, row := range g.rows[from:to] {
		f.classes = append(f.classes, f.t.spine.labels.class(int(row)))
	}
	f.counts.Rows(f.classes, f.times, f.views, out)
}

// decide decides from the first row group of a part how its columns are encoded.
func (f *filler) decide(g *rowGroup) error {
	sample := parquetfile.NewSample(g.part.schema)
	const pieces = 8
	step := max(featureRows, len(g.rows)/pieces)
	for from := 0; from < len(g.rows); from += step {
		to := min(from+featureRows, len(g.rows))
		if err := g.spineColumns(sample, from, to); err != nil {
			return err
		}
		var err error
		if f.texts, err = g.part.addOutputs(sample, f.outputs(g, from, to), to-from, f.texts); err != nil {
			return err
		}
	}
	encodings, err := sample.Encodings()
	if err != nil {
		return err
	}
	return g.part.begin(encodings)
}

// outputs computes the outputs of the service for rows of a group. They are valid until
// the next call.
func (f *filler) outputs(g *rowGroup, from, to int) []kernel.FeatureColumn {
	at := f.t.spine.at
	f.times = f.times[:0]
	for _, row := range g.rows[from:to] {
		f.times = append(f.times, at[row])
	}
	for i, r := range f.t.roles {
		src := &g.sources[r.of.number]
		f.views[i] = f.readers[i].Read(src.results, src.at[from:to], f.times)
	}
	f.derived = f.service.Derive(f.views, f.t.spine.request(g.rows[from:to]), f.times)
	return f.service.Assemble(f.views, f.derived)
}

// spineColumns adds the columns of the spine for rows of the group.
func (g *rowGroup) spineColumns(to columns, begin, end int) error {
	for c := range g.part.spine {
		row := 0 // of the group
		for _, s := range g.spans {
			from, until := max(begin, row), min(end, row+s.to-s.from)
			if from < until {
				if err := to.Array(c, s.rec.Column(c), s.from+from-row, s.from+until-row); err != nil {
					return err
				}
			}
			row += s.to - s.from
		}
	}
	return nil
}
