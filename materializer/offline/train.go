package offline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/tracing"
	"github.com/unskew/unskew/materializer/report"
)

// Config describes the training set to make.
type Config struct {
	Reader     *relation.Reader
	Log        eventlog.Log // events pushed to the stream sources; nil: none
	Project    string
	Set        *plan.TrainingSet
	Out        string   // directory; made when missing
	WithStatus bool     // also write the status of every value
	Final      bool     // take every event as known when it happened; to measure, not to train
	Ledger     LedgerOf // events arrive when serving could see them, as servers have recorded it; nil: when the definitions say
	Strict     bool     // write nothing if the manifest has warnings
	Memory     int64    // bytes that the process may take, with what the reader takes, see Divide; 0: no bound
	Threads    int      // 0: one for each core
	Served     Served   // values that take the place of computed ones; nil: none
	Engine     plan.Engine
	Version    string   // of this program, for the manifest
	Command    []string // for the manifest, as typed
	Progress   func(Progress)
	// Garbage, if set, is called when the events have been freed, with the percentage (as of
	// debug.SetGCPercent) up to which garbage may grow without exceeding the peak so far.
	Garbage func(percent int)
}

// Served has values that a server answered for rows of the spine.
type Served interface {
	// NewReader returns a reader for one goroutine.
	NewReader() ServedReader
	// Manifest describes where the rows of the spine and the values come from.
	Manifest() *ServedManifest
}

// ServedReader puts served values in the place of computed ones.
type ServedReader interface {
	// Replace replaces the outputs of rows of the spine, numbered from 0 and in ascending order, that were served. It changes no memory
	// that out refers to. The result is valid until the next call.
	Replace(rows []int32, out []kernel.FeatureColumn) ([]kernel.FeatureColumn, error)
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
// WithStatus, Final and Ledger alone: not on Memory, Threads or the order of files.
func Train(ctx context.Context, c Config) (*Manifest, error) {
	ctx, span := tracing.Start(ctx, "build training set")
	m, err := newTrainer(c).train(ctx)
	span.Text("unskew.training_set", c.Set.Name).End(err)
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
	replays   []*replay
	sources   []*source
	inputs    *inputFiles
	partition *partition
	stage     *staging
	scratch   *scratch
	room      *room
	freed     int         // memory that the events took, in percent of what is still in use once they are swept
	derived   *failedRows // of each derived feature
	shape     *report.Shape
	counts    *report.Counts            // of the rows of the files
	known     string                    // folder with the set of known values; "" unless Final or Ledger
	labelled  string                    // folder with the set of the values known with the labels; "" unless Final and the spine says when that is
	early     plan.Micros               // see History
	until     map[string]logpos.Vector  // log positions up to which sources are read; of others, to the end
	writer    func(io.Writer) io.Writer // see staging
}

// source is a source with the replays that read it.
type source struct {
	plan    *plan.Source
	replays []*replay
	history *History
	rows    int64
	counts  HistoryCounts
	seen    timeRange // of the event times
}

func (t *trainer) train(ctx context.Context) (*Manifest, error) {
	if err := t.bindRoles(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t.inputs = t.hashInputs(ctx)
	defer t.inputs.wait()
	defer cancel()
	if err := tracing.In(ctx, "read spine", t.loadSpine); err != nil {
		return nil, err
	}
	var err error
	if t.stage, err = newStaging(t.Out); err != nil {
		return nil, err
	}
	t.stage.writer = t.writer
	defer t.stage.abandon()
	t.scratch = &scratch{dir: t.Out}
	defer t.scratch.close()
	defer func() {
		os.RemoveAll(t.known)
		os.RemoveAll(t.labelled)
	}()
	if err := t.startReplays(); err != nil {
		return nil, err
	}
	if t.Final || t.asOfLedger() {
		if err := t.trainComparisons(ctx); err != nil {
			return nil, err
		}
	}
	for _, s := range t.sources {
		s.history.bound(Divide(t.Memory, false).IDs, t.scratch)
		if err := tracing.In(ctx, "read history", func(ctx context.Context) error { return t.collect(ctx, s) }); err != nil {
			return nil, err
		}
	}
	if err := tracing.In(ctx, "replay", t.sweep); err != nil {
		return nil, err
	}
	if t.Garbage != nil {
		t.Garbage(t.freed)
	}
	var m *Manifest
	err = tracing.In(ctx, "write", func(ctx context.Context) (err error) { m, err = t.write(ctx); return err })
	return m, err
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
		t.partition = divide(s.at, s.held.bitmap(), h, t.Set.Split)
	}
	return nil
}

// bindRoles divides the views among replays.
func (t *trainer) bindRoles(ctx context.Context) error {
	for i := range t.Set.Service.Views {
		ref := &t.Set.Service.Views[i]
		s, err := t.sourceOf(ctx, ref.View.Source)
		if err != nil {
			return err
		}
		s.history.Columns = append(s.history.Columns, viewColumns(ref.View)...)
		tuple := t.spine.tuple(ref.Keys)
		n := slices.IndexFunc(t.replays, func(r *replay) bool { return r.fits(ref.View, tuple) })
		if n < 0 {
			n = len(t.replays)
			t.replays = append(t.replays, &replay{number: n, source: s, tuple: tuple})
			s.replays = append(s.replays, t.replays[n])
		}
		r := t.replays[n]
		t.roles = append(t.roles, &role{ref: ref, of: r, view: len(r.views), failed: newFailedRows(len(ref.View.Features))})
		r.views = append(r.views, ref.View)
	}
	t.derived = newFailedRows(len(t.Set.Service.Derived))
	return nil
}

func (t *trainer) sourceOf(ctx context.Context, p *plan.Source) (*source, error) {
	for _, s := range t.sources {
		if s.plan == p {
			return s, nil
		}
	}
	s := &source{plan: p, history: &History{Reader: t.Reader, Log: t.Log, Source: p, Final: t.Final, Early: t.early, Ledger: t.Ledger[p.Name]}}
	if p.From != "" || p.SQL != "" {
		n, err := t.Reader.Count(ctx, relation.SourceRelation(p))
		if err != nil {
			return nil, err
		}
		s.rows = n
	}
	end, given := t.until[p.Name]
	if !given {
		var err error
		if end, err = s.history.logEnd(ctx); err != nil {
			return nil, err
		}
	}
	s.history.Until = &end // every pass reads the same
	s.rows += int64(end.Sum())
	t.sources = append(t.sources, s)
	return s, nil
}

// write computes the features from the aggregates and writes the files.
func (t *trainer) write(ctx context.Context) (*Manifest, error) {
	if err := t.beginReport(); err != nil {
		return nil, err
	}
	a := &assembly{t: t, work: make(chan *rowGroup, 1), ordered: make(chan *rowGroup, t.Threads+1), room: semaphore.NewWeighted(t.writingBytes())}
	if err := a.run(ctx); err != nil {
		return nil, err
	}
	t.scratch.close() // or the files would wait, when they are made durable, until the disk has what is not needed any more
	metadata, err := t.metadata()
	if err != nil {
		return nil, err
	}
	for _, p := range a.parts {
		if err := p.finish(metadata); err != nil {
			return nil, err
		}
	}
	return t.publish(ctx, a.parts)
}

// see adds the counts and failures of a row group.
func (t *trainer) see(g *rowGroup) {
	t.counts.AddTexts(g.texts)
	for i, r := range t.roles {
		r.failed.merge(g.failed[i])
		r.withEvents += g.withEvents[i]
	}
	t.derived.merge(g.failed[len(t.roles)])
}

// metadata is the key-value metadata of the Parquet files.
func (t *trainer) metadata() (map[string]string, error) {
	fingerprints := map[string]string{}
	for _, o := range t.Set.Service.Outputs() {
		fingerprints[o.Name] = o.Fingerprint.String()
	}
	raw, err := json.Marshal(fingerprints)
	return map[string]string{
		"unskew.service": t.Set.Service.Name, "unskew.service_fingerprint": t.Set.Service.Fingerprint.String(), "unskew.fingerprints": string(raw),
	}, err
}

// StrictError means that Config.Strict is set and the manifest has warnings or alarms, so that
// nothing was written.
type StrictError struct{ Manifest *Manifest }

func (e *StrictError) Error() string {
	all := slices.Clone(e.Manifest.Warnings)
	for _, a := range e.Manifest.Alarms {
		all = append(all, fmt.Sprintf("feature %s: %s", a.Feature, a.Text))
	}
	return strings.Join(all, "; ")
}

// publish writes the manifest and publishes all files.
func (t *trainer) publish(ctx context.Context, parts []*part) (*Manifest, error) {
	if err := t.inputs.wait(); err != nil {
		return nil, err
	}
	m := t.manifest(parts)
	changes, err := t.changes(ctx, m, parts)
	if err != nil {
		return nil, err
	}
	r := t.describe(m, changes)
	m.Alarms, m.Notes = r.Alarms, r.Notes
	if t.Strict && len(m.Warnings)+len(m.Alarms) > 0 {
		return nil, &StrictError{m}
	}
	if m.ReportFiles, err = writeReport(r, t.stage); err != nil {
		return nil, err
	}
	if err := m.write(t.stage); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m, t.stage.publish(staleFiles(t.Out))
}

func (t *trainer) manifest(parts []*part) *Manifest {
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
	switch {
	case t.Final:
		m.AsOf = "final"
	case t.asOfLedger():
		m.AsOf = "ledger"
	}
	m.Spine.SQL, m.Spine.Inputs = t.spine.rel.SQL, inputs(t.inputs.spine)
	if t.Served != nil {
		m.Spine.Served = t.Served.Manifest()
	}
	for _, s := range t.sources {
		m.Sources = append(m.Sources, t.sourceManifest(s))
	}
	slices.SortFunc(m.Sources, func(a, b SourceManifest) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range t.roles {
		m.Views = append(m.Views, ViewManifest{r.ref.As, r.ref.View.Name, r.ref.View.Source.Name, r.ref.View.Fingerprint.String(), r.ref.Keys, int64(r.of.tally.NullKeys),
			r.withEvents, t.rowsAfterEvents(r)})
	}
	for i, o := range svc.Outputs() {
		om := OutputManifest{Name: o.Name, Type: o.Type.String(), Fingerprint: o.Fingerprint.String(), Statuses: map[string]int64{}}
		for s, n := range t.counts.Statuses(i) {
			if n > 0 {
				om.Statuses[kernel.Status(s).String()] = n
			}
		}
		if i < len(svc.Features) {
			f := svc.Features[i]
			r := t.roles[f.Ref]
			n, _ := r.of.kernel.LeftOut(r.of.tally, r.view, f.Feature)
			om.RowErrors = int64(n)
		}
		om.RowErrorSamples, om.ErrorSamples = t.failures(i)
		m.Outputs = append(m.Outputs, om)
	}
	c := takeCensus(t.spine, t.partition)
	m.Label = c.label(t.partition.horizon)
	if t.Set.Split != nil {
		m.Split = c.split(t.partition)
		m.Split.Holdout = t.holdoutManifest()
	}
	for i, w := range parts {
		f := FileManifest{Name: w.file.name, Rows: w.rows, Size: w.file.size, SHA256: w.file.sha256(), LabelsKnownLate: c.late[i]}
		if t.spine.labels != nil {
			counts := c.counts(uint8(i))
			f.Labels = &counts
		}
		m.Files = append(m.Files, f)
	}
	m.Warnings = m.findWarnings()
	return m
}

func (t *trainer) sourceManifest(s *source) SourceManifest {
	first, last := s.seen.text()
	var ends []uint64
	if !s.counts.LogEnd.OnlyFirst() {
		ends = s.counts.LogEnd
	}
	return SourceManifest{
		FirstEvent: first, LastEvent: last,
		Name: s.plan.Name, SQL: s.plan.SQL, Inputs: inputs(t.inputs.sources[s]), LogEnd: s.counts.LogEnd.Sum(), LogEnds: ends, Rows: s.counts.Rows,
		Skipped: s.counts.ByReason(), Filled: s.counts.Filled, Redelivered: s.counts.Redelivered, Conflicts: s.counts.Conflicts,
		TimesIn1970: s.counts.In1970, FirstIn1970: s.counts.First1970, Ledger: t.ledgerManifest(s),
	}
}
