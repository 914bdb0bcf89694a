package online

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/archive"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// Retention archives and trims the logs of the stream sources of a plan.
type Retention struct {
	plan   *plan.Plan
	log    *archive.Log
	store  onlinestore.Store
	clock  eventlog.Clock
	gauges map[string]*prometheus.GaugeVec // set by Register
}

// NewRetention returns the retention of the plan's logs.
func NewRetention(p *plan.Plan, log *archive.Log, store onlinestore.Store, clock eventlog.Clock) *Retention {
	return &Retention{plan: p, log: log, store: store, clock: clock}
}

// LogStatus says where the records of a source's log are.
type LogStatus struct {
	End      eventlog.Position // of the newest record
	Applied  eventlog.Position // by every view
	Slowest  *plan.View        // the view that has applied the least; nil if the source has no view
	Archived eventlog.Position // the last record that is in a file
	Trimmed  eventlog.Position // the last record that is no longer in the log
	Files    []archive.File
}

// Bytes is the size of the archive.
func (s *LogStatus) Bytes() (n int64) {
	for _, f := range s.Files {
		n += f.Size
	}
	return n
}

// Status checks the archive of a source and returns the status of its log.
func (r *Retention) Status(ctx context.Context, src *plan.Source) (s LogStatus, err error) {
	if s.Files, err = r.log.Files(ctx, src.Name); err != nil {
		return s, err
	}
	if n := len(s.Files); n > 0 {
		s.Archived = s.Files[n-1].Last
	}
	trimmed, err := r.log.Trimmed(ctx, src.Name)
	if err != nil {
		return s, err
	}
	s.Trimmed = trimmed.Position
	// The end is read after what views have applied, so it is not less.
	if s.Applied, s.Slowest, err = r.applied(ctx, src); err != nil {
		return s, err
	}
	if s.End, err = r.log.End(ctx, src.Name); err == nil && s.Slowest == nil {
		s.Applied = s.End
	}
	return s, err
}

// applied returns the position up to which every view of a source has applied the log, and the view
// that is behind the others; 0 for a view without live state.
func (r *Retention) applied(ctx context.Context, src *plan.Source) (eventlog.Position, *plan.View, error) {
	var views []*plan.View
	for _, v := range r.plan.Views {
		if v.Source == src {
			views = append(views, v)
		}
	}
	if len(views) == 0 {
		return 0, nil, nil
	}
	consumed, err := registry.ConsumedBy(ctx, r.store, views)
	if err != nil {
		return 0, nil, err
	}
	slowest := 0
	for i := range consumed {
		if consumed[i].Offset < consumed[slowest].Offset {
			slowest = i
		}
	}
	return eventlog.Position(consumed[slowest].Offset), views[slowest], nil
}

// Archive writes the records of a source that were stored before a time, and are in no file yet, to
// files.
func (r *Retention) Archive(ctx context.Context, src *plan.Source, before plan.EventTime) ([]archive.File, error) {
	return r.log.Archive(ctx, src.Name, before)
}

// Trimmable returns the last record that can be removed from the log of a source: it and all before it were stored
// before a time, are archived, and were applied by every view. Records are removed by whole files.
func (s *LogStatus) Trimmable(before plan.EventTime) eventlog.Position {
	to := s.Trimmed
	for _, f := range s.Files {
		if f.Last > to && f.Last <= s.Applied && f.Last < s.End && f.Appended < before {
			to = f.Last
		}
	}
	return to
}

// Trim removes the records of a source that can be removed. It returns the last one that is not in the
// log any more.
func (r *Retention) Trim(ctx context.Context, src *plan.Source, before plan.EventTime) (eventlog.Position, error) {
	s, err := r.Status(ctx, src)
	if err != nil {
		return 0, err
	}
	to := s.Trimmable(before)
	err = r.log.Trim(ctx, src.Name, to)
	var back *eventlog.SetBackError
	if errors.As(err, &back) {
		return s.Trimmed, err
	}
	return to, err
}

// retainEvery is how often a server archives and trims, and refreshEvery how often it looks at
// what there is. Records wait for archivePause, so that a file has those of a while.
const (
	retainEvery  = time.Hour
	refreshEvery = time.Minute
	archivePause = plan.EventTime(plan.Day)
)

// Run archives and trims records that were stored longer ago than retain, until ctx ends, which is not an
// error; with 0 it keeps everything. Errors are reported, and tried again.
func (r *Retention) Run(ctx context.Context, retain plan.Micros, report func(error)) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		for _, src := range r.plan.Sources {
			if !src.Stream {
				continue
			}
			var err error
			if retain > 0 && n%int(retainEvery/refreshEvery) == 0 {
				err = r.retain(ctx, src, r.clock()-plan.EventTime(retain))
			}
			if err == nil {
				err = r.refresh(ctx, src)
			}
			if err != nil && ctx.Err() == nil {
				report(fmt.Errorf("retention of the log of source %s: %w", src.Name, err))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// retain archives records that were stored before a time, unless the oldest of them is younger than a
// day before that, and trims what it can.
func (r *Retention) retain(ctx context.Context, src *plan.Source, before plan.EventTime) error {
	s, err := r.Status(ctx, src)
	if err != nil {
		return err
	}
	oldest, err := eventlog.At(ctx, r.log, src.Name, s.Archived+1)
	if err != nil {
		return err
	}
	if oldest != nil && oldest.Appended < before-archivePause {
		if _, err := r.Archive(ctx, src, before); err != nil {
			return err
		}
	}
	_, err = r.Trim(ctx, src, before)
	return err
}

// Register adds metrics, which Run updates, to reg.
func (r *Retention) Register(reg prometheus.Registerer) {
	r.gauges = map[string]*prometheus.GaugeVec{}
	for name, help := range map[string]string{
		"unskew_log_records":           "Records in the log, without those that were trimmed.",
		"unskew_log_first_position":    "Position of the first record in the log.",
		"unskew_log_archived_position": "Position of the last record in the archive.",
		"unskew_log_archive_bytes":     "Size of the archive.",
	} {
		r.gauges[name] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"source"})
		reg.MustRegister(r.gauges[name])
	}
}

// refresh updates the metrics of a source.
func (r *Retention) refresh(ctx context.Context, src *plan.Source) error {
	s, err := r.Status(ctx, src)
	if err != nil || r.gauges == nil {
		return err
	}
	for name, value := range map[string]float64{
		"unskew_log_records": float64(s.End - s.Trimmed), "unskew_log_first_position": float64(s.Trimmed + 1),
		"unskew_log_archived_position": float64(s.Archived), "unskew_log_archive_bytes": float64(s.Bytes()),
	} {
		r.gauges[name].WithLabelValues(src.Name).Set(value)
	}
	return nil
}
