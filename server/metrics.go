package server

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/registry"
)

// metrics are the server's metrics. Label values are only names from the plan or the contract, so
// their number is bounded.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  prometheus.Counter
	denied   *prometheus.CounterVec
	panics   prometheus.Counter
	rows     *prometheus.CounterVec
	statuses *prometheus.CounterVec
	pushed   *prometheus.CounterVec
	noRoom   *prometheus.CounterVec

	mu sync.RWMutex
	of map[string]*callMetrics // by procedure
}

// callMetrics are the metrics of a procedure's successful calls, which are looked up once.
type callMetrics struct {
	ok      prometheus.Counter
	seconds prometheus.Observer
}

// readMetrics are the metrics of a feature service, which are looked up once.
type readMetrics struct {
	rows     prometheus.Counter
	statuses [statusCount]atomic.Value // of prometheus.Counter, from the first value on
}

// latencyBuckets range from a tenth of a millisecond to the default timeout.
var latencyBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

func newMetrics(reg *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		of: map[string]*callMetrics{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_requests_total",
			Help: "Calls by procedure and result code (ok or a Connect error code)."}, []string{"procedure", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "unskew_request_seconds",
			Help: "Duration of calls, from the decoded request to the computed response.", Buckets: latencyBuckets}, []string{"procedure"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "unskew_requests_in_flight",
			Help: "Calls being answered."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_requests_refused_total",
			Help: "Requests refused before any procedure ran: malformed, too large, unknown method or protocol."}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_requests_denied_total",
			Help: "Requests refused because of who sent them, by code: unauthenticated or permission_denied."}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "unskew_panics_total",
			Help: "Calls that ended in a panic; each answered an internal error."}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_read_rows_total",
			Help: "Rows read, by feature service."}, []string{"service"}),
		statuses: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_read_values_total",
			Help: "Values read, by feature service and status."}, []string{"service", "status"}),
		pushed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_pushed_rows_total",
			Help: "Rows pushed, by source and outcome."}, []string{"source", "outcome"}),
		noRoom: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unskew_no_room_total",
			Help: "Requests and connections refused because of others, by the resource that all of them share."}, []string{"resource"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight, m.refused, m.denied, m.panics, m.rows, m.statuses, m.pushed, m.noRoom} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, registerProcess(reg)
}

// registerKept adds the metrics of a reader that keeps what was made of states.
func registerKept(reg *prometheus.Registry, stats func() (registry.KeptStats, bool)) error {
	add := func(c prometheus.Collector) error { return reg.Register(c) }
	now := func(get func(registry.KeptStats) float64) func() float64 {
		return func() float64 { s, _ := stats(); return get(s) }
	}
	const reads = "Entities of views that reads asked for, by whether their values were in the near cache."
	return errors.Join(
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_near_cache_reads_total", Help: reads, ConstLabels: prometheus.Labels{"result": "hit"}},
			now(func(s registry.KeptStats) float64 { return float64(s.Hits) }))),
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_near_cache_reads_total", Help: reads, ConstLabels: prometheus.Labels{"result": "miss"}},
			now(func(s registry.KeptStats) float64 { return float64(s.Misses) }))),
		add(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unskew_near_cache_evicted_total", Help: "Values that the near cache dropped to make room."},
			now(func(s registry.KeptStats) float64 { return float64(s.Evicted) }))),
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_near_cache_values", Help: "Values in the near cache, of one entity in one view each."},
			now(func(s registry.KeptStats) float64 { return float64(s.Values) }))),
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_near_cache_bytes", Help: "Memory that the near cache takes."},
			now(func(s registry.KeptStats) float64 { return float64(s.Bytes) }))),
	)
}

// registerShared adds how much of each shared resource is in use, and how much there is.
func registerShared(reg *prometheus.Registry, resources []*shared) error {
	for _, x := range resources {
		labels := prometheus.Labels{"resource": x.flag}
		for _, c := range []prometheus.Collector{
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_shared_in_use", Help: "How much of a shared resource is in use.", ConstLabels: labels}, x.inUse),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_shared_limit", Help: "How much of a shared resource there is.", ConstLabels: labels},
				func() float64 { return float64(x.total) }),
		} {
			if err := reg.Register(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// registerProcess adds the metrics of the Go runtime and of the process, unless the registry
// already has them.
func registerProcess(reg *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := reg.Register(c); err != nil {
			if _, known := err.(prometheus.AlreadyRegisteredError); !known {
				return err
			}
		}
	}
	return nil
}

func (m *metrics) request(procedure string, err error, took time.Duration) {
	if err != nil {
		m.requests.WithLabelValues(procedure, connect.CodeOf(err).String()).Inc()
		m.seconds.WithLabelValues(procedure).Observe(took.Seconds())
		return
	}
	x := m.call(procedure)
	x.ok.Inc()
	x.seconds.Observe(took.Seconds())
}

// call returns the metrics of a procedure.
func (m *metrics) call(procedure string) *callMetrics {
	m.mu.RLock()
	x := m.of[procedure]
	m.mu.RUnlock()
	if x == nil {
		x = &callMetrics{m.requests.WithLabelValues(procedure, "ok"), m.seconds.WithLabelValues(procedure)}
		m.mu.Lock()
		m.of[procedure] = x
		m.mu.Unlock()
	}
	return x
}

// read counts the rows and statuses of an answer.
func (m *metrics) read(s *service, q *query, a *answer) {
	var count [statusCount]int
	n := q.n
	for o := range a.cols {
		col, places := a.cols[o], a.places[o]
		if q.stale != nil && q.stale[o] {
			count[statusStale] += n
			continue
		}
		if col.Absent == 0 {
			count[kernel.Present] += n
			continue
		}
		for i := range n {
			count[col.Status[places.Of(i)]]++
		}
	}
	m.values(s, n, &count)
}

// values counts rows and their values by status.
func (m *metrics) values(s *service, rows int, count *[statusCount]int) {
	x := s.metrics.Load()
	if x == nil {
		x = &readMetrics{rows: m.rows.WithLabelValues(s.plan.Name)}
		s.metrics.Store(x)
	}
	x.rows.Add(float64(rows))
	for status, n := range count {
		if n == 0 {
			continue
		}
		counter, ok := x.statuses[status].Load().(prometheus.Counter)
		if !ok {
			counter = m.statuses.WithLabelValues(s.plan.Name, statusName(kernel.Status(status)))
			x.statuses[status].Store(counter)
		}
		counter.Add(float64(n))
	}
}
