package online

import (
	"context"
	"fmt"
	"strconv"
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
	plan    *plan.Plan
	log     *archive.Log
	layouts *eventlog.Layouts
	store   onlinestore.Store
	clock   eventlog.Clock
	gauges  map[string]*prometheus.GaugeVec // set by Register
	shards  *prometheus.GaugeVec            // records of each shard; set by Register
}

// NewRetention returns the retention of the plan's logs.
func NewRetention(p *plan.Plan, log *archive.Log, store onlinestore.Store, clock eventlog.Clock) *Retention {
	return &Retention{plan: p, log: log, layouts: eventlog.NewLayouts(log), store: store, clock: clock}
}

// LogStatus says where the records of a source's log are.
type LogStatus struct {
	Shards []ShardStatus // by number
	First  int           // of the shards that take events
}

// ShardStatus says where the records of a shard are.
type ShardStatus struct {
	Name     string
	End      eventlog.Position // of the newest record
	Applied  eventlog.Position // by every view
	Slowest  *plan.View        // the view that has applied the least; nil if the source has no view
	Archived eventlog.Position // the last record that is in a file
	Trimmed  eventlog.Position // the last record that is no longer in the log
	Files    []archive.File
}

// Bytes is the size of the archive.
func (s *ShardStatus) Bytes() (n int64) {
	for _, f := range s.Files {
		n += f.Size
	}
	return n
}

// Status checks the archive of a source and returns the status of its log.
func (r *Retention) Status(ctx context.Context, src *plan.Source) (LogStatus, error) {
	shards, err := r.layouts.Find(ctx, src.Name)
	if err != nil {
		return LogStatus{}, err
	}
	s := LogStatus{Shards: make([]ShardStatus, shards.N), First: shards.First}
	for k := range s.Shards {
		of := &s.Shards[k]
		of.Name = shards.Name(k)
		if of.Files, err = r.log.Files(ctx, of.Name); err != nil {
			return s, err
		}
		if n := len(of.Files); n > 0 {
			of.Archived = of.Files[n-1].Last
		}
		trimmed, err := r.log.Trimmed(ctx, of.Name)
		if err != nil {
			return s, err
		}
		of.Trimmed = trimmed.Position
	}
	// The ends are read after what views have applied, so they are not less.
	if err := r.setApplied(ctx, src, s.Shards); err != nil {
		return s, err
	}
	ends, err := shards.Ends(ctx, r.log)
	for k := range s.Shards {
		of := &s.Shards[k]
		if of.End = eventlog.Position(ends.At(k)); of.Slowest == nil {
			of.Applied = of.End
		}
	}
	return s, err
}

// setApplied sets the position up to which every view of the source has applied each shard, and the view
// that is behind the others; 0 for a view without live state.
func (r *Retention) setApplied(ctx context.Context, src *plan.Source, shards []ShardStatus) error {
	var views []*plan.View
	for _, v := range r.plan.Views {
		if v.Source == src {
			views = append(views, v)
		}
	}
	if len(views) == 0 {
		return nil
	}
	consumed, err := registry.ConsumedBy(ctx, r.store, views)
	if err != nil {
		return err
	}
	for k := range shards {
		slowest := 0
		for i := range consumed {
			if consumed[i].Offset.At(k) < consumed[slowest].Offset.At(k) {
				slowest = i
			}
		}
		shards[k].Applied, shards[k].Slowest = eventlog.Position(consumed[slowest].Offset.At(k)), views[slowest]
	}
	return nil
}

// Archive writes the records of a source that were stored before a time, and are in no file yet, to
// files.
func (r *Retention) Archive(ctx context.Context, src *plan.Source, before plan.EventTime) ([]archive.File, error) {
	shards, err := r.layouts.Find(ctx, src.Name)
	if err != nil {
		return nil, err
	}
	var all []archive.File
	for k := range shards.N {
		files, err := r.log.Archive(ctx, shards.Name(k), before)
		if all = append(all, files...); err != nil {
			return all, err
		}
	}
	return all, nil
}

// Trimmable returns the last record that can be removed from a shard: it and all before it were stored
// before a time, are archived, and were applied by every view. Records are removed by whole files.
func (s *ShardStatus) Trimmable(before plan.EventTime) eventlog.Position {
	to := s.Trimmed
	for _, f := range s.Files {
		if f.Last > to && f.Last <= s.Applied && f.Last < s.End && f.Appended < before {
			to = f.Last
		}
	}
	return to
}

// Trimmable is how many records of the log can be removed.
func (s *LogStatus) Trimmable(before plan.EventTime) (n int64) {
	for k := range s.Shards {
		n += int64(s.Shards[k].Trimmable(before) - s.Shards[k].Trimmed)
	}
	return n
}

// Trim removes the records of a source that can be removed. It returns how many it has removed.
func (r *Retention) Trim(ctx context.Context, src *plan.Source, before plan.EventTime) (removed int64, err error) {
	s, err := r.Status(ctx, src)
	if err != nil {
		return 0, err
	}
	for k := range s.Shards {
		of := &s.Shards[k]
		to := of.Trimmable(before)
		if err := r.log.Trim(ctx, of.Name, to); err != nil {
			return removed, err
		}
		removed += int64(to - of.Trimmed)
	}
	return removed, nil
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
	for k := range s.Shards {
		of := &s.Shards[k]
		oldest, err := eventlog.At(ctx, r.log, of.Name, of.Archived+1)
		if err != nil {
			return err
		}
		if oldest != nil && oldest.Appended < before-archivePause {
			if _, err := r.log.Archive(ctx, of.Name, before); err != nil {
				return err
			}
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
		"unskew_log_first_position":    "Position of the first record in the log, the sum of those of its shards.",
		"unskew_log_archived_position": "Position of the last record in the archive, the sum of those of its shards.",
		"unskew_log_archive_bytes":     "Size of the archive.",
		"unskew_log_remembered_ids":    "Ids of events that the log remembers. Absent with an embedded log, which would have to count them.",
	} {
		r.gauges[name] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"source"})
		reg.MustRegister(r.gauges[name])
	}
	r.shards = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "unskew_log_shard_records", Help: "Records in the shard of the log, without those that were trimmed."}, []string{"source", "shard"})
	reg.MustRegister(r.shards)
}

// refresh updates the metrics of a source.
func (r *Retention) refresh(ctx context.Context, src *plan.Source) error {
	s, err := r.Status(ctx, src)
	if err != nil || r.gauges == nil {
		return err
	}
	gauges := map[string]float64{}
	for k := range s.Shards {
		of := &s.Shards[k]
		gauges["unskew_log_records"] += float64(of.End - of.Trimmed)
		gauges["unskew_log_first_position"] += float64(of.Trimmed + 1)
		gauges["unskew_log_archived_position"] += float64(of.Archived)
		gauges["unskew_log_archive_bytes"] += float64(of.Bytes())
		r.shards.WithLabelValues(src.Name, strconv.Itoa(k)).Set(float64(of.End - of.Trimmed))
		n, known, err := r.log.Remembered(ctx, of.Name)
		if err != nil {
			return err
		}
		if known {
			gauges["unskew_log_remembered_ids"] += float64(n)
		}
	}
	for name, value := range gauges {
		r.gauges[name].WithLabelValues(src.Name).Set(value)
	}
	return nil
}
