package offline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
)

// Config says which training set to make.
type Config struct {
	Reader     *relation.Reader
	Log        eventlog.Log // what was pushed to the sources that are streams; nil: nothing
	Project    string
	Set        *plan.TrainingSet
	Out        string // directory; made when missing
	WithStatus bool   // also write the status of every value
	Final      bool   // take every event as known when it happened; to measure, not to train
	Strict     bool   // write nothing if the manifest has warnings
	Memory     int64  // bytes that events may take at a time; 0: no bound
	Threads    int    // 0: one for each core
	Engine     plan.Engine
	Version    string   // of this program, for the manifest
	Command    []string // for the manifest, as typed
	Progress   func(Progress)
}

// Progress is how far Train has come. Calls do not overlap.
type Progress struct {
	Phase string // "spine", "history", "replay" or "write"
	Done  int64  // rows; of "replay", parts of the work
	Total int64  // 0: not known
}

// Train joins the features of a service onto a spine and writes the training set and
// its manifest to a directory. On any error, and when ctx is cancelled, the
// directory is as it was. What it writes depends on the inputs, the definitions and
// WithStatus and Final alone: not on Memory, Threads or the order of files.
func Train(ctx context.Context, c Config) (*Manifest, error) {
	m, err := newTrainer(c).train(ctx)
	if err != nil {
		return nil, fmt.Errorf("training set %s: %w", c.Set.Name, err)
	}
	return m, nil
}

func newTrainer(c Config) *trainer {
	if c.Threads <= 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	return &trainer{Config: c, spine: newSpine(c.Set)}
}

type trainer struct {
	Config
	spine     *spine
	roles     []*role
	sources   []*source
	partition *partition
	passes    int
	spills    []*spill                  // one a role, when there are several passes
	failed    *failedRows               // of each derived feature
	writer    func(io.Writer) io.Writer // see staging
}

// source is a source with the roles that read it.
type source struct {
	plan    *plan.Source
	roles   []*role
	history *History
	rows    int64
	counts  HistoryCounts
	seen    timeRange // of the event times
}

func (t *trainer) train(ctx context.Context) (*Manifest, error) {
	if err := t.loadSpine(ctx); err != nil {
		return nil, err
	}
	if err := t.bindRoles(ctx); err != nil {
		return nil, err
	}
	stage, err := newStaging(t.Out)
	if err != nil {
		return nil, err
	}
	stage.writer = t.writer
	defer stage.abandon()
	if t.passes > 1 {
		dir, err := os.MkdirTemp(t.Out, passesPrefix)
		if err != nil {
			return nil, fmt.Errorf("intermediate results: %w", err)
		}
		defer os.RemoveAll(dir)
		for i := range t.roles {
			t.spills = append(t.spills, &spill{dir: dir, name: fmt.Sprint(i)})
			defer t.spills[i].remove()
		}
	}
	for pass := range t.passes {
		if err := t.runPass(ctx, pass); err != nil {
			return nil, err
		}
	}
	return t.write(ctx, stage)
}

func (t *trainer) loadSpine(ctx context.Context) error {
	err := t.spine.load(ctx, t.Reader, t.Set.Spine, func(rows int64) { t.Progress(Progress{"spine", rows, 0}) })
	if err != nil {
		return err
	}
	s := t.spine
	h := horizonOf(s.at, s.labelKnown, s.labels, t.Set.Split)
	t.partition = wholeSet(h)
	if t.Set.Split != nil {
		t.partition = splitByTime(s.at, h, t.Set.Split)
	}
	return nil
}

// bindRoles compiles the views and decides how many passes the memory allows.
func (t *trainer) bindRoles(ctx context.Context) error {
	var bytes int64
	for i := range t.Set.Service.Views {
		ref := &t.Set.Service.Views[i]
		r, err := newRole(ref, t.spine, t.partition)
		if err != nil {
			return err
		}
		t.roles = append(t.roles, r)
		s, err := t.sourceOf(ctx, ref.View.Source)
		if err != nil {
			return err
		}
		s.roles = append(s.roles, r)
		s.history.Columns = append(s.history.Columns, viewColumns(ref.View)...)
		bytes += s.rows * bytesPerEvent(ref.View)
	}
	t.failed = newFailedRows(t.partition, len(t.Set.Service.Derived))
	t.passes = 1
	if t.Memory > 0 {
		t.passes = int(min(maxPasses, (bytes+t.Memory-1)/t.Memory))
		t.passes = max(1, t.passes)
	}
	for _, r := range t.roles {
		r.divide(t.spine.rows(), t.passes)
	}
	return nil
}

func (t *trainer) sourceOf(ctx context.Context, p *plan.Source) (*source, error) {
	for _, s := range t.sources {
		if s.plan == p {
			return s, nil
		}
	}
	s := &source{plan: p, history: &History{Reader: t.Reader, Log: t.Log, Source: p, Final: t.Final}}
	if p.From != "" || p.SQL != "" {
		n, err := t.Reader.Count(ctx, relation.SourceRelation(p))
		if err != nil {
			return nil, err
		}
		s.rows = n
	}
	end, err := s.history.logEnd(ctx)
	if err != nil {
		return nil, err
	}
	s.history.Until = &end // every pass reads the same
	s.rows += int64(end)
	t.sources = append(t.sources, s)
	return s, nil
}

// bytesPerEvent estimates what a replay holds for an event of the view, half of it
// room to grow.
func bytesPerEvent(v *plan.View) int64 {
	n := int64(4 + 8 + 8 + 16 + 4) // entity, event and visible time, id, its place among the entity's
	for i := range v.Slots {
		for _, e := range []*plan.Expr{v.Slots[i].Arg, v.Slots[i].By, v.Slots[i].Group} {
			if e == nil {
				continue
			}
			switch vector.Lane(e.Type) {
			case plan.String:
				n += 32
			case plan.Dyn:
				n += 96
			default:
				n += 8
			}
		}
	}
	return 2 * n
}

// runPass replays the entities of one pass.
func (t *trainer) runPass(ctx context.Context, pass int) error {
	for _, r := range t.roles {
		r.begin(pass, t.spine.at)
	}
	for _, s := range t.sources {
		if err := t.readSource(ctx, s, pass); err != nil {
			return err
		}
	}
	err := sweep(ctx, t.roles, t.Threads, func(done, total int64) {
		t.Progress(Progress{"replay", int64(pass)*total + done, int64(t.passes) * total})
	})
	if err != nil {
		return err
	}
	for i, r := range t.roles {
		if pass == 0 {
			r.settle()
		}
		if t.passes > 1 {
			if err := t.spills[i].write(r); err != nil {
				return err
			}
			r.replay, r.rows = nil, nil
		}
	}
	return nil
}

// readSource feeds the history of a source to its roles.
func (t *trainer) readSource(ctx context.Context, s *source, pass int) error {
	done := int64(pass) * s.rows
	counts, err := s.history.Read(ctx, func(ev *kernel.Events) error {
		for _, r := range s.roles {
			r.replay.AddEvents(ev)
		}
		s.seen.add(ev.Time)
		done += int64(ev.Batch.N)
		t.Progress(Progress{"history", done, int64(t.passes) * s.rows})
		return nil
	})
	s.counts = counts
	return err
}

// write joins the roles, derives the service's own features and writes the files.
func (t *trainer) write(ctx context.Context, stage *staging) (*Manifest, error) {
	j, err := t.newJoin()
	if err != nil {
		return nil, err
	}
	defer j.close()
	var out *output
	defer func() {
		if out != nil {
			out.abandon()
		}
	}()
	err = t.Reader.Records(ctx, t.spine.rel, t.spine.fields, func(schema *arrow.Schema) error {
		l, err := newLayout(schema, t.Set.Service, t.WithStatus)
		if err == nil {
			out, err = newOutput(l, t.partition, stage)
		}
		return err
	}, func(rec arrow.RecordBatch) error {
		for i := 0; i < int(rec.NumRows()); {
			cols, from, n, err := j.take(int(rec.NumRows()) - i)
			if err != nil {
				return err
			}
			if err := out.append(rec, i, cols, from, n); err != nil {
				return err
			}
			i += n
		}
		t.Progress(Progress{"write", int64(out.row), int64(t.spine.rows())})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if out.row != t.spine.rows() {
		return nil, fmt.Errorf("%s had %d rows at first and %d at last; it must not change while it is read", t.spine.rel.Owner, t.spine.rows(), out.row)
	}
	if err := out.finish(); err != nil {
		return nil, err
	}
	return t.publish(ctx, stage, out)
}

// StrictError is why Train wrote nothing though it could have: its manifest has warnings.
type StrictError struct{ Manifest *Manifest }

func (e *StrictError) Error() string { return strings.Join(e.Manifest.Warnings, "; ") }

// publish writes the manifest and gives all files their names.
func (t *trainer) publish(ctx context.Context, stage *staging, out *output) (*Manifest, error) {
	m, err := t.manifest(ctx, out)
	if err != nil {
		return nil, err
	}
	if t.Strict && len(m.Warnings) > 0 {
		return nil, &StrictError{m}
	}
	if err := m.write(stage); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m, stage.publish(staleFiles(t.Out))
}

func (t *trainer) manifest(ctx context.Context, out *output) (*Manifest, error) {
	svc := t.Set.Service
	m := &Manifest{
		Format: manifestFormat, Project: t.Project, TrainingSet: t.Set.Name,
		Service: svc.Name, ServiceFingerprint: svc.Fingerprint.String(), SemanticsVersion: plan.SemanticsVersion,
		Engines: Engines{Unskew: t.Version, CEL: t.Engine.CEL, CELEnv: t.Engine.Env, DuckDB: relation.EngineVersion()},
		Command: t.Command, AsOf: "known",
		Spine: SpineManifest{Time: t.Set.Spine.Time, Label: t.Set.Spine.Label, LabelKnownAt: t.Set.Spine.LabelKnownAt, Rows: int64(t.spine.rows())},
	}
	var rows timeRange
	rows.add(t.spine.at)
	m.Spine.First, m.Spine.Last = rows.text()
	if t.Final {
		m.AsOf = "final"
	}
	files, err := t.Reader.Files(ctx, t.spine.rel)
	if err != nil {
		return nil, err
	}
	m.Spine.Inputs = inputs(files)
	for _, s := range t.sources {
		sm, err := t.sourceManifest(ctx, s)
		if err != nil {
			return nil, err
		}
		m.Sources = append(m.Sources, sm)
	}
	slices.SortFunc(m.Sources, func(a, b SourceManifest) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range t.roles {
		m.Views = append(m.Views, ViewManifest{r.ref.As, r.ref.View.Name, r.ref.View.Source.Name, r.ref.View.Fingerprint.String(), r.ref.Keys, int64(r.nulls),
			r.withEvents, t.rowsAfterEvents(r)})
	}
	for i, o := range svc.Outputs() {
		om := OutputManifest{Name: o.Name, Type: o.Type.String(), Fingerprint: o.Fingerprint.String(), Statuses: out.statuses[i]}
		if i < len(svc.Features) {
			f := svc.Features[i]
			om.RowErrors = int64(t.roles[f.Ref].leftOut[f.Feature].events)
		}
		om.RowErrorSamples, om.ErrorSamples = t.failures(i)
		m.Outputs = append(m.Outputs, om)
	}
	c := takeCensus(t.spine, t.partition)
	m.Label = c.label(t.partition.horizon)
	if t.Set.Split != nil {
		m.Split = c.split(t.partition)
	}
	for i, w := range out.parts {
		f := FileManifest{Name: w.file.name, Rows: w.rows, Size: w.file.size, SHA256: w.file.sha256(), LabelsKnownLate: c.late[i]}
		if t.spine.labels != nil {
			counts := c.counts(uint8(i))
			f.Labels = &counts
		}
		m.Files = append(m.Files, f)
	}
	m.Warnings = m.findWarnings()
	return m, nil
}

func (t *trainer) sourceManifest(ctx context.Context, s *source) (SourceManifest, error) {
	first, last := s.seen.text()
	m := SourceManifest{
		FirstEvent: first, LastEvent: last,
		Name: s.plan.Name, Inputs: []InputManifest{}, LogEnd: uint64(s.counts.LogEnd), Rows: s.counts.Rows,
		Skipped: s.counts.ByReason(), Redelivered: s.counts.Redelivered, Conflicts: s.counts.Conflicts,
		TimesIn1970: s.counts.In1970, FirstIn1970: s.counts.First1970,
	}
	if s.plan.From == "" && s.plan.SQL == "" {
		return m, nil
	}
	files, err := t.Reader.Files(ctx, relation.SourceRelation(s.plan))
	m.Inputs = inputs(files)
	return m, err
}

// join yields the outputs of the service in the order of the spine.
type join struct {
	t       *trainer
	service *kernel.Service
	streams []featureStream
	views   []*kernel.Features
	row     int                    // of the spine, behind the batch
	batch   []kernel.FeatureColumn // outputs of the batch
	n, used int                    // rows of the batch, and of them those taken
}

// joinBatch is how many rows are derived at a time where no replay decides it; a
// multiple of 64.
const joinBatch = 1024

func (t *trainer) newJoin() (*join, error) {
	service, err := kernel.NewService(t.Set.Service)
	if err != nil {
		return nil, err
	}
	j := &join{t: t, service: service, views: make([]*kernel.Features, len(t.roles))}
	for i, r := range t.roles {
		if t.passes == 1 {
			j.streams = append(j.streams, newReplayStream(r.replay))
			continue
		}
		s, err := t.spills[i].stream(r)
		if err != nil {
			return nil, err
		}
		j.streams = append(j.streams, s)
	}
	return j, nil
}

// take returns the outputs of the next rows, at most n: rows from to from+n of cols,
// valid until the next call.
func (j *join) take(n int) (cols []kernel.FeatureColumn, from, taken int, err error) {
	if j.used == j.n {
		if err := j.advance(); err != nil {
			return nil, 0, 0, err
		}
	}
	from = j.used
	n = min(n, j.n-j.used)
	j.used += n
	return j.batch, from, n, nil
}

func (j *join) advance() error {
	n := min(joinBatch, j.t.spine.rows()-j.row)
	if n == 0 {
		return errors.New("the spine has more rows than when it was read first; it must not change while it is read")
	}
	for i, s := range j.streams {
		f, err := s.next(n)
		if err != nil {
			return fmt.Errorf("view %s: %w", j.t.roles[i].ref.View.Name, err)
		}
		if i > 0 && f.N != n {
			return fmt.Errorf("view %s: %d results where others have %d", j.t.roles[i].ref.View.Name, f.N, n)
		}
		j.views[i], n = f, f.N
		if j.t.passes == 1 { // else the pass has seen them
			j.t.roles[i].failed.see(f, j.number)
		}
	}
	for i, f := range j.views {
		j.t.roles[i].countEvents(f, j.row, j.t.partition)
	}
	to := j.row + n
	derived := j.service.Derive(j.views, j.t.spine.request(j.row, to), j.t.spine.at[j.row:to])
	j.t.failed.see(derived, j.number)
	j.batch = j.service.Assemble(j.views, derived)
	j.row, j.n, j.used = to, n, 0
	return nil
}

// number is the spine's number of row i of the batch that is being computed.
func (j *join) number(i int) int { return j.row + i }

func (j *join) close() {
	for _, s := range j.streams {
		s.close()
	}
}
