package online

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/internal/lease"
	"github.com/unskew/unskew/internal/registry"
)

// Register adds the applier's metrics to reg.
func (a *Applier) Register(reg prometheus.Registerer) {
	for _, s := range a.sources {
		labels := prometheus.Labels{"source": s.source.Name}
		for _, c := range []struct {
			name, help string
			value      func() int64
		}{
			{"unskew_applier_records_total", "Records read from the log.", s.stats.records.Load},
			{"unskew_applier_applied_total", "Events added to a state, counted for each view.", s.stats.applied.Load},
			{"unskew_applier_null_keys_total", "Events that have no entity in a view because a key is null.", s.stats.skipped.Load},
			{"unskew_applier_set_aside_total", "Events in no state of a view: over a limit, or of an entity whose state cannot be stored or is lost.", s.stats.aside.Load},
			{"unskew_applier_conflicts_total", "States that another applier wrote first.", s.stats.conflicts.Load},
			{"unskew_applier_leases_taken_total", "Shards that this server began to apply.", func() int64 { return s.leaseStats().Taken }},
			{"unskew_applier_leases_taken_over_total", "Shards that this server took because the lease of another one had ended.", func() int64 { return s.leaseStats().TakenOff }},
			{"unskew_applier_leases_lost_total", "Shards that this server stopped applying because it could not renew its lease in time.", func() int64 { return s.leaseStats().Lost }},
		} {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
				func() float64 { return float64(c.value()) }))
		}
	}
	reg.MustRegister(leasesHeld{a}, openLetters{a})
}

// openLetters collects how many dead letters are open.
type openLetters struct{ *Applier }

var openLettersDesc = prometheus.NewDesc("unskew_dead_letters_open",
	"Dead letters of the view that nobody has dealt with. Absent while unknown.", []string{"view"}, nil)

// Describe implements prometheus.Collector.
func (openLetters) Describe(ch chan<- *prometheus.Desc) { ch <- openLettersDesc }

// Collect implements prometheus.Collector.
func (c openLetters) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.sources {
		for _, v := range s.views {
			if open := v.openLetters.Load(); open != nil {
				ch <- prometheus.MustNewConstMetric(openLettersDesc, prometheus.GaugeValue, float64(open.Open), v.kernel.Plan().Name)
			}
		}
	}
}

// countLetters counts the open dead letters of every view, again when they change, until ctx ends. While that fails, they are unknown.
func (a *Applier) countLetters(ctx context.Context) error {
	again := time.NewTicker(a.cfg.Recheck)
	defer again.Stop()
	for {
		for _, s := range a.sources {
			for _, v := range s.views {
				v.countLetters(ctx)
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (v *viewApplier) countLetters(ctx context.Context) {
	var before registry.OpenLetters
	if open := v.openLetters.Load(); open != nil {
		before = *open
	}
	store := v.applier.cfg.Store
	g, err := registry.Live(ctx, store, v.kernel.Plan())
	if err == nil {
		before, err = registry.CountOpen(ctx, store, g, before)
	}
	if v.openLetters.Store(&before); err != nil {
		v.openLetters.Store(nil)
	}
}

func (s *sourceApplier) leaseStats() (of lease.Stats) {
	if share := s.share.Load(); share != nil {
		of = share.Stats()
	}
	return of
}

// leasesHeld collects which shards an applier applies.
type leasesHeld struct{ *Applier }

var leaseHeldDesc = prometheus.NewDesc("unskew_applier_lease_held",
	"1 if this server applies the shard of the source's log, else 0. An embedded log is applied by its only process.", []string{"source", "shard"}, nil)

// Describe implements prometheus.Collector.
func (leasesHeld) Describe(ch chan<- *prometheus.Desc) { ch <- leaseHeldDesc }

// Collect implements prometheus.Collector.
func (c leasesHeld) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.sources {
		share := s.share.Load()
		for k := range int(s.parts.Load()) {
			held := 0.0
			if c.cfg.Leases == nil || share != nil && share.Has(k) {
				held = 1
			}
			ch <- prometheus.MustNewConstMetric(leaseHeldDesc, prometheus.GaugeValue, held, s.source.Name, strconv.Itoa(k))
		}
	}
}
