package freshness

import (
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
)

// Register adds metrics of every view to reg.
func (t *Tracker) Register(reg prometheus.Registerer) error { return reg.Register(collector{t}) }

type collector struct{ *Tracker }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- stalenessDesc
	ch <- lagDesc
	ch <- positionDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	now := c.cfg.Clock()
	marks := c.Marks()
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
		}
	}
}

func (t *Tracker) views() []*plan.View {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.plan == nil {
		return nil
	}
	return t.plan.Views
}
