package offline

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/parquetfile/arrowfile"
	"github.com/unskew/unskew/materializer/report"
)

// rowGroup is the rows of one row group of one part, in order.
type rowGroup struct {
	part      *part
	partIndex int // of part, among the parts
	number    int // among the row groups of part
	spans     []span
	rows      []int32     // of the spine
	textBytes int64       // of the texts of the spine and of the aggregates
	weight    int64       // in assembly.room
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

	work    chan *rowGroup      // to be filled
	ordered chan *rowGroup      // the same, to be committed in this order
	room    *semaphore.Weighted // bytes of row groups in flight
}

// run reads the spine and writes the parts. As many row groups are in flight as the share for writing allows,
// besides those that rows are still added to.
func (a *assembly) run(ctx context.Context) error {
	fillers := make([]*filler, a.t.fillers())
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
		if a.layout, err = newLayout(schema, t.Set.Service, t.WithStatus, len(t.partition.names)); err != nil {
			return err
		}
		return a.begin()
	}, func(rec arrow.RecordBatch) error {
		n := int(rec.NumRows())
		if a.row+n > t.spine.rows() {
			return fmt.Errorf("%s has more rows than when it was read first; it must not change while it is read", t.spine.rel.Owner)
		}
		shares, err := a.divide(ctx, rec)
		for i := 0; i < n && err == nil; {
			var m int
			m, err = a.add(ctx, shares, i, n)
			i += m
		}
		for _, s := range shares {
			s.release()
		}
		if err != nil {
			return err
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

// share is the rows of a record that belong to one part.
type share struct {
	rec   arrow.RecordBatch // nil: none
	texts *textSizes
	next  int // the next row of rec
}

func (s *share) release() {
	if s.rec != nil {
		s.rec.Release()
	}
}

// divide divides the next rows of the spine, a record, among the parts. The rows of a part are copied unless they are all,
// since a record that waits for the row groups of several parts would stay in memory for the slowest of them.
func (a *assembly) divide(ctx context.Context, rec arrow.RecordBatch) ([]share, error) {
	n := int(rec.NumRows())
	rows := make([][]int32, len(a.parts))
	for i := 0; i < n; {
		p, m := a.t.partition.run(a.row+i, n-i)
		for ; m > 0; m-- {
			if !isDropped(p) {
				rows[p] = append(rows[p], int32(i))
			}
			i++
		}
	}
	shares := make([]share, len(a.parts))
	for p, of := range rows {
		if len(of) == 0 {
			continue
		}
		s := &shares[p]
		if len(of) == n {
			rec.Retain()
			s.rec = rec
		} else {
			var err error
			if s.rec, err = takeRows(ctx, rec, of); err != nil {
				return shares, fmt.Errorf("%s: %w", a.t.spine.rel.Owner, err)
			}
		}
		s.texts = newTextSizes(s.rec)
	}
	return shares, nil
}

// add adds rows of a record from row i on that belong to one part, and returns their number.
func (a *assembly) add(ctx context.Context, shares []share, i, n int) (int, error) {
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
	s := &shares[p]
	m = min(m, a.layout.rows-len(g.rows))
	for i := range m {
		g.textBytes += s.texts.size(s.next + i)
		if err := a.append(g); err != nil {
			return 0, err
		}
		if g.textBytes > a.layout.texts {
			m = i + 1
			break
		}
	}
	g.addSpan(s.rec, s.next, s.next+m)
	s.next += m
	if len(g.rows) == a.layout.rows || g.textBytes > a.layout.texts {
		a.open[p] = nil
		return m, a.send(ctx, g)
	}
	return m, nil
}

// addSpan adds a range of rows of a record, which may continue the last one.
func (g *rowGroup) addSpan(rec arrow.RecordBatch, from, to int) {
	if n := len(g.spans); n > 0 && g.spans[n-1].rec == rec && g.spans[n-1].to == from {
		g.spans[n-1].to = to
		return
	}
	rec.Retain()
	g.spans = append(g.spans, span{rec, from, to})
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
		g.textBytes += of.TextBytes(row)
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

// textCopies is how often a text is in memory while its row group is written: in the spine or the results, as a value, in
// the page and in the compressed page.
const textCopies = 4

// send queues a group to be filled and committed.
func (a *assembly) send(ctx context.Context, g *rowGroup) error {
	g.weight = min(a.t.writingBytes(), a.t.groupBytes()*int64(len(g.rows))/groupRows+textCopies*g.textBytes)
	if err := a.room.Acquire(ctx, g.weight); err != nil {
		return err
	}
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
		a.room.Release(g.weight)
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
	served ServedReader // nil: all values are computed

	derived *kernel.Features // of the rows at hand
}

// featureRows is how many rows are evaluated at a time: few enough for the cache. They are fewer if their texts, and lists, have
// more than featureTexts bytes: an element takes several times what it is counted as.
const (
	featureRows  = 1024
	leastBatch   = 64
	featureTexts = 2 << 20
)

// batch is how many rows of the group are evaluated at a time.
func (g *rowGroup) batch() int {
	n := featureRows
	for n > leastBatch && int64(n)*g.textBytes > featureTexts*int64(len(g.rows)) {
		n /= 2
	}
	return n
}

func (t *trainer) newFiller() (*filler, error) {
	f := &filler{t: t, counts: report.NewCollector(t.shape), views: make([]*kernel.Features, len(t.roles))}
	for _, r := range t.roles {
		reader, err := r.of.kernel.NewReader(r.view)
		if err != nil {
			return nil, err
		}
		f.readers = append(f.readers, reader)
	}
	if t.Served != nil {
		f.served = t.Served.NewReader()
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
	step := g.batch()
	for from := 0; from < len(g.rows); from += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+step, len(g.rows))
		out, err := f.outputs(g, from, to)
		if err != nil {
			return err
		}
		f.count(g, from, to, out)
		derived := len(f.views)
		for i := range f.views {
			g.failed[i].see(f.views[i], g.rows[from:to])
			g.withEvents[i] += int64(f.views[i].Known.Count())
		}
		g.failed[derived].see(f.derived, g.rows[from:to])
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
	for piece := 0; piece < len(g.rows); piece += step {
		from, to := piece, min(piece+featureRows, len(g.rows))
		if err := g.spineColumns(sample, from, to); err != nil {
			return err
		}
		for batch := g.batch(); from < to; from += batch {
			n := min(batch, to-from)
			out, err := f.outputs(g, from, from+n)
			if err != nil {
				return err
			}
			if f.texts, err = g.part.addOutputs(sample, out, n, f.texts); err != nil {
				return err
			}
		}
	}
	encodings, err := sample.Encodings()
	if err != nil {
		return err
	}
	g.part.begin(encodings)
	return nil
}

// outputs computes the outputs of the service for rows of a group, or takes those that were served. They are valid until
// the next call.
func (f *filler) outputs(g *rowGroup, from, to int) ([]kernel.FeatureColumn, error) {
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
	out := f.service.Assemble(f.views, f.derived)
	if f.served == nil {
		return out, nil
	}
	return f.served.Replace(g.rows[from:to], out)
}

// spineColumns adds the columns of the spine for rows of the group.
func (g *rowGroup) spineColumns(to columns, begin, end int) error {
	for c := range g.part.spine {
		row := 0 // of the group
		for _, s := range g.spans {
			from, until := max(begin, row), min(end, row+s.to-s.from)
			if from < until {
				if err := to.Array(c, arrowfile.Array(s.rec.Column(c)), s.from+from-row, s.from+until-row); err != nil {
					return err
				}
			}
			row += s.to - s.from
		}
	}
	return nil
}
