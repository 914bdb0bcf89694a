package recompute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/servedlog"
)

// ShadowConfig says what a Shadow computes again, and what it may take for that.
type ShadowConfig struct {
	Plan   *plan.Plan
	Served *servedlog.Log // of this process; what other servers record is theirs
	Log    eventlog.Log
	Store  onlinestore.Store
	Past   Past              // nil: files cannot be read, and what depends on them is not compared
	Clock  func() time.Time  // nil: time.Now
	Warn   func(error)       // hears why a round failed, and when fewer entities are checked from now on
	Found  func(*Report)     // hears what a round has found of a service; nil: nobody
	Read   func(HistoryRead) // hears when a history was read; nil: nobody
	Rows   int64             // of a round, about; of more, those of fewer entities are taken. 0: 20,000
	Memory int64             // bytes for events and results of a round; 0: 64 MiB
	Look   time.Duration     // how often it is looked for new segments; 0: 5 s
	Share  float64           // of the time for which rounds may run; 0: 0.05

	KeepBytes int64   // for the events of the entities that the sample can have; of more, those of fewer are kept. 0: 256 MiB
	ReadShare float64 // of the time for which histories are read, by one core; 0: 0.2
}

// DefaultKeepBytes is KeepBytes if nothing else is said.
const DefaultKeepBytes = 256 << 20

func (c *ShadowConfig) complete() {
	if c.KeepBytes == 0 {
		c.KeepBytes = DefaultKeepBytes
	}
	if c.ReadShare == 0 {
		c.ReadShare = 0.2
	}
	if c.Rows == 0 {
		c.Rows = 20_000
	}
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
	if c.Look == 0 {
		c.Look = 5 * time.Second
	}
	if c.Share == 0 {
		c.Share = 0.05
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
}

// Shadow computes again what a server has recorded, in rounds, while it serves. Its methods are safe for concurrent use.
type Shadow struct {
	cfg     ShadowConfig
	since   time.Time // when it began
	metrics *shadowMetrics
	follow  *follower
	mu      sync.Mutex
	done    map[string]bool // segments, by path
	status  ShadowStatus
	oldest  time.Time          // when about the first row was served of those in complete segments that were not computed yet; zero: there are none
	total   map[string]*Report // by service: the sum of all reports
}

// ShadowStatus is what a Shadow has found so far.
type ShadowStatus struct {
	Rounds      int64   `json:"rounds"`
	LastRound   string  `json:"last_round,omitempty"`
	TookSeconds float64 `json:"took_seconds"`
	Failed      string  `json:"failed,omitempty"` // why the last round failed
	// OldestSeconds is how old the oldest recorded answer is that was not computed again yet, 0 if there is none.
	OldestSeconds float64         `json:"oldest_unchecked_seconds"`
	Share         float64         `json:"share"` // of the sample of entities that is checked
	Sources       []ShadowSource  `json:"sources"`
	Services      []ShadowService `json:"services"`
}

// ShadowService is what was found of a service.
type ShadowService struct {
	Service string `json:"service"`
	Rows    int64  `json:"rows"` // computed since the server was started
	Compute Tally  `json:"compute"`
	Data    Tally  `json:"data"`
	// Different is the newest report with differences.
	Different *Report `json:"different,omitempty"`
}

// NewShadow returns a Shadow that does nothing before Run.
func NewShadow(c ShadowConfig) *Shadow {
	c.complete()
	s := &Shadow{cfg: c, since: c.Clock(), metrics: newShadowMetrics(c.Plan), done: map[string]bool{}, total: map[string]*Report{}, status: ShadowStatus{Services: []ShadowService{}}}
	s.follow = newFollower(&s.cfg, s.metrics)
	for _, svc := range c.Plan.Services {
		s.status.Services = append(s.status.Services, ShadowService{Service: svc.Name})
	}
	return s
}

// Run does rounds until ctx ends, and returns nil. A round takes what has been recorded since the one before. Beside them it reads
// histories.
func (s *Shadow) Run(ctx context.Context) error {
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { s.follow.run(ctx) })
	for pause := s.cfg.Look; ; {
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
		}
		began := s.cfg.Clock()
		err := s.check(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Warn(err)
		}
		pause = max(s.cfg.Look, time.Duration(float64(s.cfg.Clock().Sub(began))*(1/s.cfg.Share-1)))
	}
}

// Round computes what has been recorded since the last one. It reads the histories that are to be read first.
func (s *Shadow) Round(ctx context.Context) error {
	for _, svc := range s.cfg.Plan.Services {
		if _, err := s.follow.ready(ctx, svc); err != nil {
			return err
		}
	}
	s.follow.readAll(ctx)
	return s.check(ctx)
}

// check is a round. Rows of services of whose sources the history is being read wait.
func (s *Shadow) check(ctx context.Context) error {
	began := s.cfg.Clock()
	files, err := s.fresh()
	if err != nil || len(files) == 0 {
		return err
	}
	any := false
	for _, svc := range s.cfg.Plan.Services {
		of := slices.DeleteFunc(slices.Clone(files), func(f servedlog.File) bool { return f.Service != svc.Name })
		if len(of) == 0 {
			continue
		}
		ready := true
		failed := caught(func() (err error) {
			if ready, err = s.follow.ready(ctx, svc); err == nil && ready {
				err = s.service(ctx, svc, of)
			}
			return err
		})
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("service %s: %w", svc.Name, failed))
		}
		if ready || failed != nil {
			any = true
			s.take(of)
		}
	}
	s.mu.Lock()
	s.findOldest(files)
	s.mu.Unlock()
	if !any {
		return nil
	}
	took := s.cfg.Clock().Sub(began)
	s.metrics.round(took, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Rounds++
	s.status.LastRound, s.status.TookSeconds, s.status.Failed = plan.TimeOf(began).String(), took.Seconds(), ""
	if err != nil {
		s.status.Failed = err.Error()
	}
	return err
}

// fresh lists the segments of this process, and of others that serve another version meanwhile, that no round had. A failing round is not
// repeated. Servers of one version leave each other's rows alone.
func (s *Shadow) fresh() ([]servedlog.File, error) {
	files, err := servedlog.List(s.cfg.Served.Dir())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var fresh []servedlog.File
	done := map[string]bool{}
	for _, f := range files {
		own := f.Process == s.cfg.Served.Process()
		switch {
		case !own && !s.deviates(f):
		case s.done[f.Path]:
			done[f.Path] = true
		default:
			fresh = append(fresh, f)
		}
	}
	s.done = done
	s.findOldest(fresh)
	return fresh, nil
}

// findOldest finds out, of segments, how old the oldest one of this process is that no round had. s.mu is locked.
func (s *Shadow) findOldest(files []servedlog.File) {
	s.oldest = time.Time{}
	for _, f := range files {
		if f.Process == s.cfg.Served.Process() && !s.done[f.Path] && (s.oldest.IsZero() || f.Begun.Before(s.oldest)) {
			s.oldest = f.Begun
		}
	}
}

// take notes that a round had some segments.
func (s *Shadow) take(files []servedlog.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		s.done[f.Path] = true
	}
}

// deviates reports whether a segment, which another process has written since this one began, is of a version of a service that
// this one does not have.
func (s *Shadow) deviates(f servedlog.File) bool {
	svc, ok := s.cfg.Plan.Service(f.Service)
	return ok && !f.Begun.Before(s.since) && !strings.HasPrefix(svc.Fingerprint.String(), f.Fingerprint)
}

// service computes the rows of a service in some segments.
func (s *Shadow) service(ctx context.Context, svc *plan.Service, files []servedlog.File) (err error) {
	open := &openFiles{}
	defer func() { err = errors.Join(err, open.close()) }()
	cfg := Config{Service: svc, From: plan.Always, To: plan.Never, Threads: 1, Memory: s.cfg.Memory, Fewer: true}
	rows := int64(0)
	for _, f := range files {
		units, err := open.units(f.Path, cfg.From, cfg.To)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, u := range units {
			rows += int64(u.Rows)
		}
		cfg.Units = append(cfg.Units, units...)
	}
	if rows == 0 {
		return nil
	}
	cfg.OneIn = int((rows + s.cfg.Rows - 1) / s.cfg.Rows)
	inputs := Inputs(nil) // nothing is known of changed files
	if s.cfg.Past != nil {
		inputs = s.cfg.Past.Inputs
	}
	// The builds first: the log is then followed at least as far as what they have of it.
	if cfg.Builds, err = FindBuilds(ctx, s.cfg.Store, svc, inputs); err != nil {
		return err
	}
	from, err := s.follow.follow(ctx, svc)
	if err != nil {
		return err
	}
	cfg.Narrow, cfg.Take = from.narrow, from.take(svc)
	r, err := Run(ctx, cfg)
	if err != nil {
		return err
	}
	s.metrics.skipped.WithLabelValues(svc.Name).Add(float64(max(0, rows-r.Rows)))
	s.found(r)
	if s.cfg.Found != nil {
		s.cfg.Found(r)
	}
	return nil
}

// found adds a report.
func (s *Shadow) found(r *Report) {
	s.metrics.add(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(r)
	for i := range s.status.Services {
		to := &s.status.Services[i]
		if to.Service != r.Service {
			continue
		}
		to.Rows += r.Rows
		to.Compute.Add(&r.Compute)
		to.Data.Add(&r.Data)
		if r.Compute.Different+r.Data.Different > 0 {
			to.Different = r
		}
	}
}

// Status is what was found so far. The reports in it must not be changed.
func (s *Shadow) Status() ShadowStatus {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.status
	out.OldestSeconds, out.Sources, out.Share = now.OldestSeconds, now.Sources, now.Share
	out.Services = slices.Clone(s.status.Services)
	for i := range out.Services {
		of := &out.Services[i]
		of.Compute.Causes, of.Data.Causes = maps.Clone(of.Compute.Causes), maps.Clone(of.Data.Causes)
	}
	return out
}

// now is the part of the status that is of what there is now.
func (s *Shadow) now() (st ShadowStatus) {
	st.Sources, st.Share = s.follow.sourcesNow()
	st.OldestSeconds = s.oldestSeconds()
	return st
}

// oldestSeconds is how old the oldest recorded row is that was not computed again.
func (s *Shadow) oldestSeconds() float64 {
	oldest := s.cfg.Served.Oldest()
	s.mu.Lock()
	defer s.mu.Unlock()
	if oldest.IsZero() || !s.oldest.IsZero() && s.oldest.Before(oldest) {
		oldest = s.oldest
	}
	if oldest.IsZero() {
		return 0
	}
	return max(0, s.cfg.Clock().Sub(oldest).Seconds())
}

// ServeHTTP answers with the status as JSON.
func (s *Shadow) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	text, err := json.MarshalIndent(s.Status(), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the caller may have gone
}
