package recompute

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
)

// shadowMetrics are counts of all rounds.
type shadowMetrics struct {
	rows, compared, different, left *prometheus.CounterVec
	rounds, failed                  prometheus.Counter
	seconds, last                   prometheus.Gauge
}

func newShadowMetrics(p *plan.Plan) *shadowMetrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_parity_" + name, Help: help}, labels)
	}
	m := &shadowMetrics{
		rows:      vec("rows_total", "Recorded rows that were computed again; of many, those of some entities.", "service"),
		compared:  vec("compared_values_total", "Served values that were compared with those over the events that had been applied (compute), and with those that training sees (data).", "service", "feature", "comparison"),
		different: vec("different_values_total", "Served values that differed, by cause. The cause compute, of the comparison compute, is a bug or damage.", "service", "feature", "comparison", "cause"),
		left:      vec("not_computed_values_total", "Served values that could not be computed again, by reason.", "service", "reason"),
		rounds:    prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_parity_rounds_total", Help: "Rounds in which recorded rows were computed again."}),
		failed:    prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_parity_failed_rounds_total", Help: "Rounds that failed: the rows recorded meanwhile were not computed again."}),
		seconds:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "unskew_parity_round_seconds", Help: "How long the last round took."}),
		last:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "unskew_parity_last_round_timestamp_seconds", Help: "When the last round that did not fail ended."}),
	}
	// An alert of the first wrong value needs to have seen none.
	for _, svc := range p.Services {
		for _, o := range svc.Outputs() {
			for _, cause := range []Cause{Compute, Default} {
				m.different.WithLabelValues(svc.Name, o.Name, "compute", string(cause))
			}
		}
	}
	return m
}

func (m *shadowMetrics) round(took time.Duration, err error) {
	m.rounds.Inc()
	m.seconds.Set(took.Seconds())
	if err != nil {
		m.failed.Inc()
		return
	}
	m.last.SetToCurrentTime()
}

func (m *shadowMetrics) add(r *Report) {
	m.rows.WithLabelValues(r.Service).Add(float64(r.Rows))
	for why, n := range r.NotComputed {
		m.left.WithLabelValues(r.Service, string(why)).Add(float64(n))
	}
	for i := range r.Features {
		f := &r.Features[i]
		for of, t := range map[string]*Tally{"compute": &f.Compute, "data": &f.Data} {
			m.compared.WithLabelValues(r.Service, f.Name, of).Add(float64(t.Compared))
			for cause, n := range t.Causes {
				m.different.WithLabelValues(r.Service, f.Name, of, string(cause)).Add(float64(n))
			}
		}
	}
}

// Register adds the metrics to reg.
func (s *Shadow) Register(reg prometheus.Registerer) error {
	m := s.metrics
	for _, c := range []prometheus.Collector{m.rows, m.compared, m.different, m.left, m.rounds, m.failed, m.seconds, m.last} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
