package recompute

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
)

// shadowMetrics are counts of all rounds.
type shadowMetrics struct {
	rows, skipped, compared, different, left, readings *prometheus.CounterVec
	rounds, failed                                     prometheus.Counter
	seconds, last                                      prometheus.Gauge
	readSeconds                                        *prometheus.GaugeVec
}

func newShadowMetrics(p *plan.Plan) *shadowMetrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_parity_" + name, Help: help}, labels)
	}
	m := &shadowMetrics{
		rows:        vec("rows_total", "Recorded rows that were computed again; of many, those of some entities.", "service"),
		skipped:     vec("skipped_rows_total", "Recorded rows that were not computed again: of too many, or because their events are not kept, the rows of some entities are left out.", "service"),
		readings:    vec("history_readings_total", "Readings of the whole history of a source, by reason: start, files (they have changed), unknown (nothing is known of changes), log (it was set back or replaced).", "source", "reason"),
		compared:    vec("compared_values_total", "Served values that were compared with those over the events that had been applied (compute), and with those that training sees (data).", "service", "feature", "comparison"),
		different:   vec("different_values_total", "Served values that differed, by cause. The cause compute, of the comparison compute, is a bug or damage.", "service", "feature", "comparison", "cause"),
		left:        vec("not_computed_values_total", "Served values that could not be computed again, by reason.", "service", "reason"),
		rounds:      prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_parity_rounds_total", Help: "Rounds in which recorded rows were computed again."}),
		failed:      prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_parity_failed_rounds_total", Help: "Rounds that failed: the rows recorded meanwhile were not computed again."}),
		seconds:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "unskew_parity_round_seconds", Help: "How long the last round took."}),
		readSeconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "unskew_parity_history_reading_seconds", Help: "How long the last reading of the history of a source took, with pauses."}, []string{"source"}),
		last:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "unskew_parity_last_round_timestamp_seconds", Help: "When the last round that did not fail ended."}),
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

// reading counts a reading of a history.
func (m *shadowMetrics) reading(source, reason string, took time.Duration) {
	m.readings.WithLabelValues(source, reason).Inc()
	m.readSeconds.WithLabelValues(source).Set(took.Seconds())
}

// gauges are of what there is now.
func (s *Shadow) gauges() (out []prometheus.Collector) {
	for _, g := range []struct {
		name, help string
		value      func(*ShadowStatus) float64
	}{
		{"oldest_unchecked_seconds", "How old the oldest recorded answer is that was not computed again yet; 0 if there is none.", func(st *ShadowStatus) float64 { return st.OldestSeconds }},
		{"kept_share", "The part of the sampled entities whose events are kept and whose answers are computed again: 1, or less if memory is short.", func(st *ShadowStatus) float64 { return st.Share }},
		{"kept_bytes", "Memory of the events that are kept of sampled entities.", func(st *ShadowStatus) (n float64) {
			for _, of := range st.Sources {
				n += float64(of.Bytes)
			}
			return n
		}},
		{"kept_entities", "Entities whose events are kept, of all sources.", func(st *ShadowStatus) (n float64) {
			for _, of := range st.Sources {
				n += float64(of.Entities)
			}
			return n
		}},
	} {
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_parity_" + g.name, Help: g.help}, func() float64 {
			now := s.now()
			return g.value(&now)
		}))
	}
	return out
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
	for _, c := range append(s.gauges(), m.rows, m.skipped, m.compared, m.different, m.left, m.readings, m.readSeconds, m.rounds, m.failed, m.seconds, m.last) {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
