package serving

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/materializer/training"
)

// registerTraining registers the metrics of a queue of training sets.
func registerTraining(reg *prometheus.Registry, q *training.Queue) {
	gauge := func(name, help string, value func(training.Results) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(q.Results())) })
	}
	reg.MustRegister(
		gauge("unskew_training_results_bytes", "Bytes of the results of training sets that are kept.", func(r training.Results) int64 { return r.Bytes }),
		gauge("unskew_training_results_limit_bytes", "Bytes that they may have, by --training-results.", func(r training.Results) int64 { return r.Limit }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_training_results_removed_total",
			Help: "Results that were removed before they expired, to make room for newer ones."}, func() float64 { return float64(q.Results().Removed) }),
	)
}
