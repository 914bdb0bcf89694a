package online

import "github.com/prometheus/client_golang/prometheus"

// Register adds the applier's counters to reg.
func (a *Applier) Register(reg prometheus.Registerer) {
	for _, s := range a.sources {
		labels := prometheus.Labels{"source": s.source.Name}
		for _, c := range []struct {
			name, help string
			value      func() int64
		}{
			{"unskew_applier_records_total", "Events read from the log.", s.stats.records.Load},
			{"unskew_applier_applied_total", "Additions of an event to a state.", s.stats.applied.Load},
			{"unskew_applier_null_keys_total", "Events without an entity in a view, for a null key.", s.stats.skipped.Load},
			{"unskew_applier_set_aside_total", "Events that are in no state of a view: beyond a limit, or of an entity whose state cannot be stored.", s.stats.aside.Load},
			{"unskew_applier_conflicts_total", "States that another applier wrote first.", s.stats.conflicts.Load},
		} {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
				func() float64 { return float64(c.value()) }))
		}
	}
}
