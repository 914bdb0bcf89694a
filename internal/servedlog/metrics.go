package servedlog

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Why a row was dropped.
const (
	dropQueue   = "queue"   // it did not fit into the queue
	dropDisk    = "disk"    // its segment could not be written
	dropStopped = "stopped" // the server was ending
)

var dropReasons = []string{dropQueue, dropDisk, dropStopped}

// metrics counts what a log does.
type metrics struct {
	rows, segments, bytes, left atomic.Int64
	drops                       map[string]*atomic.Int64
}

func newMetrics() *metrics {
	m := &metrics{drops: map[string]*atomic.Int64{}}
	for _, why := range dropReasons {
		m.drops[why] = new(atomic.Int64)
	}
	return m
}

func (m *metrics) drop(why string, rows int) { m.drops[why].Add(int64(rows)) }

func (m *metrics) droppedRows(why string) int64 { return m.drops[why].Load() }

// segment counts a segment that is complete.
func (m *metrics) segment(g *segment) {
	m.rows.Add(int64(g.rows))
	m.segments.Add(1)
	m.bytes.Add(g.size)
}

// Register adds the metrics of the log to reg.
func (l *Log) Register(reg prometheus.Registerer) error {
	list := []prometheus.Collector{
		counter("unskew_served_log_rows_total", "Rows of answers in complete segments of the served log.", nil, &l.metrics.rows),
		counter("unskew_served_log_segments_total", "Segments of the served log that were completed.", nil, &l.metrics.segments),
		counter("unskew_served_log_bytes_total", "Bytes of segments of the served log that were completed.", nil, &l.metrics.bytes),
		counter("unskew_served_log_left_segments_total", "Segments of the served log that servers left incomplete when they crashed, and this one has removed.", nil, &l.metrics.left),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unskew_served_log_queued_bytes", Help: "Memory of sampled rows that are not written yet."}, l.queuedBytes),
	}
	for why, n := range l.metrics.drops {
		list = append(list, counter("unskew_served_log_dropped_rows_total",
			"Sampled rows that are not in the served log: they did not fit into the queue, their segment could not be written, or the server was ending.", prometheus.Labels{"reason": why}, n))
	}
	for _, c := range list {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func counter(name, help string, labels prometheus.Labels, n *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(n.Load()) })
}
