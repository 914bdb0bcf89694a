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
			{"unskew_applier_records_total", "Records read from the log.", s.stats.records.Load},
			{"unskew_applier_applied_total", "Events added to a state, counted for each view.", s.stats.applied.Load},
			{"unskew_applier_null_keys_total", "Events that have no entity in a view because a key is null.", s.stats.skipped.Load},
			{"unskew_applier_set_aside_total", "Events in no state of a view: over a limit, or of an entity whose state cannot be stored.", s.stats.aside.Load},
			{"unskew_applier_conflicts_total", "States that another applier wrote first.", s.stats.conflicts.Load},
		} {
			reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help, ConstLabels: labels},
				func() float64 { return float64(c.value()) }))
		}
	}
}
