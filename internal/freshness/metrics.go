package freshness

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
)

var (
	stalenessDesc = prometheus.NewDesc("unskew_view_staleness_seconds",
		"Time since which events may be missing in the live state of a view, now. Absent while unknown.", []string{"view"}, nil)
	lagDesc = prometheus.NewDesc("unskew_view_lag_records",
		"Records of the log that the view has not consumed, at the last look.", []string{"view"}, nil)
	positionDesc = prometheus.NewDesc("unskew_view_position",
		"Records of the log that the view has consumed, at the last look; in a log with one shard, the position of the last.", []string{"view"}, nil)
	shardLagDesc = prometheus.NewDesc("unskew_log_shard_lag_records",
		"Records of the shard that a view of the source has not consumed, of the view that is farthest behind, at the last look.", []string{"source", "shard"}, nil)
)

// Register adds metrics of every view to reg.
func (t *Tracker) Register(reg prometheus.Registerer) error { return reg.Register(collector{t}) }

type collector struct{ *Tracker }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- stalenessDesc
	ch <- lagDesc
	ch <- positionDesc
	ch <- shardLagDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	now := c.cfg.Clock()
	marks := c.Marks()
	lags := map[string][]uint64{}
	for _, v := range c.views() {
		m, ok := marks[v.Fingerprint]
		if !ok {
			continue
		}
		gauge := func(d *prometheus.Desc, x float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, v.Name)
		}
		if s, known := m.Staleness(now); known {
			gauge(stalenessDesc, float64(s)/1e6)
		}
		if v.Source.Stream {
			gauge(lagDesc, float64(m.Lag))
			gauge(positionDesc, float64(m.Position))
			lags[v.Source.Name] = most(lags[v.Source.Name], m.Lags)
		}
	}
	for source, of := range lags {
		for k, n := range of {
			ch <- prometheus.MustNewConstMetric(shardLagDesc, prometheus.GaugeValue, float64(n), source, strconv.Itoa(k))
		}
	}
}

// most is the greater number of each shard. It may change a.
func most(a, b []uint64) []uint64 {
	for k, n := range b {
		if k == len(a) {
			a = append(a, 0)
		}
		a[k] = max(a[k], n)
	}
	return a
}

func (t *Tracker) views() []*plan.View {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.plan == nil {
		return nil
	}
	return t.plan.Views
}
