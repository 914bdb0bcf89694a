package recompute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/recompute/kept"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
)

// Past reads the files that states were built from.
type Past interface {
	kept.Files
	// Stamp is a text that is another one when the files of a source have changed, found without reading them. known is false if nothing is known
	// of changes.
	Stamp(ctx context.Context, src *plan.Source) (stamp string, known bool, err error)
	// Inputs identifies the files as builds do; see Inputs. It reads them only if they may have changed since the last call.
	Inputs(ctx context.Context, src *plan.Source, to plan.EventTime) ([32]byte, error)
	// History is the history of sources with some rows in place of files.
	History(log eventlog.Log, src *plan.Source, rows Rows) History
}

// Rows are rows of files in memory.
type Rows interface {
	// Each calls f with some columns of all rows, in batches that are valid during the call.
	Each(ctx context.Context, columns []plan.Field, f func(*vector.Batch) error) error
}

// follower keeps the deliveries of the entities that can be in the sample, and follows the log of their sources. The lock guards what readings and
// rounds share: which deliveries there are. Only rounds change those that are there.
type follower struct {
	cfg     *ShadowConfig
	metrics *shadowMetrics
	sources []*followed
	wake    chan struct{} // a source is to be read
	turn    sync.Mutex    // of readings

	mu     sync.Mutex
	halved int // how often the sample was halved
}

// followed is a source.
type followed struct {
	src  *plan.Source
	keys []kept.Keys

	kept   *kept.Deliveries // nil: history is to be read, for a reason
	reason string
	stamp  string
	next   time.Time // when it may be read, or, if nothing is known of changes of its files, is read again
	failed error     // why the last reading failed
	known  bool      // changes of its files are known
	status ShadowSource
}

// Why histories are read.
const (
	firstReading = "start"
	filesChanged = "files"
	filesUnknown = "unknown" // nothing is known of changes
	logChanged   = "log"
)

// ShadowSource is what is kept of a source.
type ShadowSource struct {
	Source      string  `json:"source"`
	State       string  `json:"state"` // "reading", "following" or "failed"
	Reason      string  `json:"reason,omitempty"`
	Readings    int64   `json:"readings"` // of its history
	ReadSeconds float64 `json:"read_seconds"`
	Bytes       int64   `json:"bytes"`
	Entities    int     `json:"entities"`
	Unwatched   bool    `json:"unwatched,omitempty"` // files have more ids that the log does not know than are watched
	Failed      string  `json:"failed,omitempty"`
}

func newFollower(c *ShadowConfig, m *shadowMetrics) *follower {
	f := &follower{cfg: c, metrics: m, wake: make(chan struct{}, 1)}
	for _, svc := range c.Plan.Services {
		for i := range svc.Views {
			f.add(svc, &svc.Views[i])
		}
	}
	return f
}

// add adds the entities of a view that the sample of a service can have. The hash of all keys of the service decides what is in the sample: if the view has these keys,
// it decides what is kept; otherwise any entity may be in a row of the sample.
func (f *follower) add(svc *plan.Service, ref *plan.ViewRef) {
	sample := f.cfg.Served.Sample(svc.Name)
	if sample == 0 || f.cfg.Served.HidesKeys() {
		return
	}
	if !slices.EqualFunc(ref.Keys, svc.Keys, func(name string, key plan.Field) bool { return key.Name == name }) {
		sample = servedlog.All
	}
	s := f.find(ref.View.Source)
	if s == nil {
		s = &followed{src: ref.View.Source, reason: firstReading}
		f.sources = append(f.sources, s)
	}
	i := s.keysOf(ref.View)
	if i < 0 {
		i = len(s.keys)
		s.keys = append(s.keys, kept.Keys{Columns: ref.View.KeyColumns})
	}
	s.keys[i].Sample = max(s.keys[i].Sample, sample)
}

func (f *follower) find(src *plan.Source) *followed {
	if i := slices.IndexFunc(f.sources, func(s *followed) bool { return s.src == src }); i >= 0 {
		return f.sources[i]
	}
	return nil
}

// keysOf is which keys of the source are those of a view, -1 if none are.
func (s *followed) keysOf(v *plan.View) int {
	return slices.IndexFunc(s.keys, func(k kept.Keys) bool { return slices.Equal(k.Columns, v.KeyColumns) })
}

// of are the sources of a service.
func (f *follower) of(svc *plan.Service) (out []*followed) {
	for i := range svc.Views {
		if s := f.find(svc.Views[i].View.Source); s != nil && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// hasFiles reports whether a source has files that can be read.
func (f *follower) hasFiles(src *plan.Source) bool {
	return f.cfg.Past != nil && (src.From != "" || src.SQL != "")
}

// ready reports whether the rows of a service can be computed now: of all of its sources, history has been read, or cannot be. Those
// with files that have changed are to be read again.
func (f *follower) ready(ctx context.Context, svc *plan.Service) (bool, error) {
	ready := true
	for _, s := range f.of(svc) {
		if err := f.outdated(ctx, s); err != nil {
			return false, err
		}
		f.mu.Lock()
		ready = ready && (s.kept != nil || s.failed != nil)
		f.mu.Unlock()
	}
	if !ready {
		select {
		case f.wake <- struct{}{}:
		default: // readings are awake
		}
	}
	return ready, nil
}

// outdated finds out whether a source has to be read again.
func (f *follower) outdated(ctx context.Context, s *followed) error {
	f.mu.Lock()
	of, stamp, known, next := s.kept, s.stamp, s.known, s.next
	f.mu.Unlock()
	if of == nil {
		return nil
	}
	changed, reason := false, logChanged
	if f.hasFiles(s.src) {
		now, is, err := f.cfg.Past.Stamp(ctx, s.src)
		if err != nil {
			return err
		}
		switch {
		case is && now != stamp:
			changed, reason = true, filesChanged
		case !is && (known || !f.cfg.Clock().Before(next)):
			changed, reason = true, filesUnknown
		}
	}
	if !changed {
		var err error
		if changed, err = of.Changed(ctx, f.cfg.Log); err != nil {
			return err
		}
	}
	if changed {
		f.mu.Lock()
		s.kept, s.reason, s.failed, s.next = nil, reason, nil, time.Time{}
		f.mu.Unlock()
	}
	return nil
}

// run reads histories until ctx ends.
func (f *follower) run(ctx context.Context) {
	look := time.NewTicker(f.cfg.Look)
	defer look.Stop()
	for {
		f.readAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-look.C: // a failed reading is repeated after a while
		}
	}
}

// readAll reads the history of the sources of which it is to be read.
func (f *follower) readAll(ctx context.Context) {
	f.turn.Lock()
	defer f.turn.Unlock()
	for _, s := range f.sources {
		f.mu.Lock()
		due := s.kept == nil && !f.cfg.Clock().Before(s.next)
		f.mu.Unlock()
		if due && ctx.Err() == nil {
			f.read(ctx, s)
		}
	}
}

// failedPause is when a failed reading is repeated at the earliest.
const failedPause = time.Minute

// read reads the history of a source.
func (f *follower) read(ctx context.Context, s *followed) {
	began := f.cfg.Clock()
	var of *kept.Deliveries
	var stamp string
	var known bool
	err := caught(func() (err error) {
		of, stamp, known, err = f.readOne(ctx, s)
		return err
	})
	if ctx.Err() != nil {
		return
	}
	took := f.cfg.Clock().Sub(began)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.failed, s.status.ReadSeconds = err, took.Seconds()
	s.status.Readings++
	s.next = f.cfg.Clock().Add(max(failedPause, time.Duration(float64(took)*(1/f.cfg.Share-1))))
	f.metrics.reading(s.src.Name, s.reason, took)
	if err != nil {
		s.failed = fmt.Errorf("source %s: read its history: %w", s.src.Name, err)
		return
	}
	s.kept, s.stamp, s.known = of, stamp, known
	s.status.Bytes, s.status.Entities, s.status.Unwatched = of.Bytes(), of.Entities(), !of.Watched()
	if f.cfg.Read != nil {
		f.cfg.Read(HistoryRead{Source: s.src.Name, Reason: s.reason, Took: took, Bytes: of.Bytes(), Entities: of.Entities(), Share: share(of.Halved())})
	}
}

// HistoryRead is a reading of the history of a source.
type HistoryRead struct {
	Source, Reason string
	Took           time.Duration
	Bytes          int64
	Entities       int
	Share          float64 // of the sample that is kept
}

func share(halved int) float64 { return 1 / float64(uint64(1)<<halved) }

func (f *follower) readOne(ctx context.Context, s *followed) (of *kept.Deliveries, stamp string, known bool, err error) {
	r := kept.Reading{Source: s.src, Keys: s.keys, Log: f.cfg.Log, Registered: plan.Always}
	if f.hasFiles(s.src) {
		r.Files = f.cfg.Past
		if stamp, known, err = f.cfg.Past.Stamp(ctx, s.src); err != nil {
			return nil, "", false, err
		}
		// This hashes the files, too, so that no round has to.
		if r.Registered, err = f.registered(ctx, s.src); err != nil {
			return nil, "", false, err
		}
	}
	f.mu.Lock()
	r.Halved = f.halved
	f.mu.Unlock()
	pace := pacer{share: f.cfg.ReadShare}
	r.Rest = func() error { return pace.rest(ctx) }
	r.Room = func(d *kept.Deliveries) error { return f.makeRoom(s, d) }
	of, err = kept.Read(ctx, r)
	return of, stamp, known, err
}

// registered is the time up to which the log knows the ids of files: that up to which a view was materialized from the files as they are.
func (f *follower) registered(ctx context.Context, src *plan.Source) (plan.EventTime, error) {
	to := plan.Always
	for _, v := range f.cfg.Plan.Views {
		if v.Source != src {
			continue
		}
		b, err := findLive(ctx, f.cfg.Store, v)
		if err != nil {
			return to, err
		}
		if b == nil {
			continue
		}
		now, err := f.cfg.Past.Inputs(ctx, src, b.Materialized)
		if err != nil {
			return to, err
		}
		if now == b.Inputs {
			to = max(to, b.Materialized)
		}
	}
	return to, nil
}

// mostHalvings is how often a sample is halved before it is given up.
const mostHalvings = 40

// makeRoom halves the deliveries of a source while those of all sources do not fit. What is kept of the others is halved by the next round.
func (f *follower) makeRoom(s *followed, d *kept.Deliveries) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for d.Halved() < f.halved {
			d.Halve()
		}
		bytes := d.Bytes()
		for _, o := range f.sources {
			if o != s && o.kept != nil {
				bytes += o.status.Bytes >> (f.halved - o.kept.Halved())
			}
		}
		switch {
		case bytes <= f.cfg.KeepBytes:
			return nil
		case f.halved == mostHalvings:
			return fmt.Errorf("source %s: the events of next to no entity fit into %d MiB; allow more memory (--parity-memory)", s.src.Name, f.cfg.KeepBytes>>20)
		}
		f.halved++
		f.cfg.Warn(fmt.Errorf("the events of the entities that are checked take more than %d MiB (--parity-memory): from now on one in %d of those in the sample is checked", f.cfg.KeepBytes>>20, uint64(1)<<f.halved))
	}
}

// follow brings the sources of a service up to date. It returns what to compute from.
func (f *follower) follow(ctx context.Context, svc *plan.Service) (*roundOf, error) {
	r := &roundOf{f: f, of: map[*plan.Source]*followed{}}
	for _, s := range f.of(svc) {
		f.mu.Lock()
		of, failed := s.kept, s.failed
		f.mu.Unlock()
		if failed != nil {
			return nil, failed
		}
		if err := of.Follow(ctx, f.cfg.Log, func() error { return errors.Join(ctx.Err(), f.makeRoom(s, of)) }); err != nil {
			return nil, err
		}
		r.of[s.src] = s
	}
	f.mu.Lock()
	r.halved = f.halved
	f.mu.Unlock()
	for _, s := range r.of {
		if err := f.makeRoom(s, s.kept); err != nil {
			return nil, err
		}
		f.note(s)
	}
	return r, nil
}

// note notes what is kept of a source, for the status.
func (f *follower) note(s *followed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.kept != nil {
		s.status.Bytes, s.status.Entities, s.status.Unwatched = s.kept.Bytes(), s.kept.Entities(), !s.kept.Watched()
	}
}

// sourcesNow is the state of all sources, and which share of the sample is kept.
func (f *follower) sourcesNow() (out []ShadowSource, kept float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out = []ShadowSource{}
	for _, s := range f.sources {
		now := s.status
		now.Source, now.State, now.Reason = s.src.Name, "following", ""
		switch {
		case s.failed != nil:
			now.State, now.Failed = "failed", s.failed.Error()
		case s.kept == nil:
			now.State, now.Reason, now.Bytes, now.Entities = "reading", s.reason, 0, 0
		}
		out = append(out, now)
	}
	return out, share(f.halved)
}

// roundOf is what a round computes the rows of a service from.
type roundOf struct {
	f      *follower
	of     map[*plan.Source]*followed
	halved int
}

// take returns which rows are computed: those whose entities are all kept.
func (r *roundOf) take(svc *plan.Service) func(keys []*vector.Vector, row int) bool {
	type part struct {
		columns []int
		sample  servedlog.Sample
	}
	var parts []part
	for i := range svc.Views {
		ref := &svc.Views[i]
		sample := servedlog.Sample(0) // nothing of the service is recorded here
		if s := r.of[ref.View.Source]; s != nil {
			sample = s.keys[s.keysOf(ref.View)].Sample
		}
		for range r.halved {
			sample = sample.Half()
		}
		if sample != servedlog.All {
			parts = append(parts, part{columnsOf(svc, ref), sample})
		}
	}
	if parts == nil {
		return nil
	}
	return func(keys []*vector.Vector, row int) bool {
		return !slices.ContainsFunc(parts, func(p part) bool {
			hash, named := hashOf(keys, p.columns, row)
			return named && !p.sample.Has(hash)
		})
	}
}

// narrow is the Narrow of a service.
func (r *roundOf) narrow(_ context.Context, of []Entities) (*Narrowed, error) {
	log, out := kept.NewLog(r.f.cfg.Log), &Narrowed{Ends: map[string]logpos.Vector{}}
	selected := map[*plan.Source]*kept.Selection{}
	for src, s := range r.of {
		hashes := make([][]uint64, len(s.keys))
		for i := range of {
			if of[i].View.Source == src {
				k := s.keysOf(of[i].View)
				hashes[k] = append(hashes[k], of[i].Hashes...)
			}
		}
		for k := range hashes {
			slices.Sort(hashes[k])
			hashes[k] = slices.Compact(hashes[k])
		}
		x := s.kept.Select(hashes)
		selected[src] = x
		out.Bytes += x.Bytes()
		if src.Stream && r.f.cfg.Log != nil {
			log.Add(x, s.kept.Positions())
			out.Ends[src.Name] = x.Ends(s.kept.Positions())
		}
	}
	out.Log = log
	out.History = func(ctx context.Context, views []*plan.View, to Range, workers int, each func(worker int, ev *kernel.Events) error) error {
		src := views[0].Source
		x := selected[src]
		if x == nil {
			return nil // of whose entities no row is taken
		}
		until := kept.NewLog(r.f.cfg.Log)
		until.Add(x, to.Until)
		history := LogHistory(until)
		if r.f.cfg.Past != nil {
			history = r.f.cfg.Past.History(until, src, x)
		}
		return history(ctx, views, Range{to.To, x.Ends(to.Until)}, workers, each)
	}
	return out, nil
}

// pacer lets something run for a share of the time.
type pacer struct {
	share float64
	since time.Time // when it went on
}

// leastRest is the shortest pause: shorter ones are added up.
const leastRest = 2 * time.Millisecond

// rest pauses for as long as the share says.
func (p *pacer) rest(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := time.Now()
	if p.since.IsZero() {
		p.since = now
	}
	pause := time.Duration(float64(now.Sub(p.since)) * (1/p.share - 1))
	if pause < leastRest {
		return nil
	}
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
	}
	p.since = time.Now()
	return nil
}
