// Package servedlog records a sample of what a server answered, in Parquet files that are described in
// docs/formats/servedlog.md, and reads them. Requests never wait for it: rows are queued in bounded
// memory, and what does not fit is dropped and counted.
package servedlog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/unskew/unskew/internal/limits"
)

// Config says what is recorded, and where. A zero means the default.
type Config struct {
	Dir    string             // several servers may write to one folder
	Rate   float64            // the part of rows that is recorded, from 0 to 1
	Rates  map[string]float64 // of services that have another one
	Retain time.Duration      // age from which segments are removed; default 30 days
	Secret []byte             // not nil: entity keys are replaced by HMACs with it
	Log    *slog.Logger       // default: nothing is logged

	Visible      time.Duration    // after which a row is in a file at the latest; default 1 minute
	SegmentBytes int64            // size from which a segment is complete; default 64 MiB
	QueueBytes   int64            // of rows that are not written yet; default limits.ServedQueueBytes
	Clock        func() time.Time // default: the machine's
}

// The defaults.
const (
	DefaultRetain       = 30 * 24 * time.Hour
	defaultVisible      = time.Minute
	defaultSegmentBytes = 64 << 20
)

func (c *Config) complete() {
	if c.Retain == 0 {
		c.Retain = DefaultRetain
	}
	if c.Visible == 0 {
		c.Visible = defaultVisible
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = defaultSegmentBytes
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = limits.ServedQueueBytes
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// On reports whether anything is recorded.
func (c *Config) On() bool {
	on := c.Rate > 0
	for _, rate := range c.Rates {
		on = on || rate > 0
	}
	return on
}

// rate is the part of a service's rows that is recorded.
func (c *Config) rate(service string) float64 {
	if rate, ok := c.Rates[service]; ok {
		return rate
	}
	return c.Rate
}

// Log is a served log that is written by this process. Its methods are safe for concurrent use; Run is
// called once.
type Log struct {
	cfg     Config
	metrics *metrics
	process string // in the names of its files
	wake    chan struct{}

	mu      sync.Mutex
	queue   []queued
	waiting int64 // bytes of the queue
	bytes   int64 // of the queue, and of what Run has taken and not written yet
	stopped bool
	oldest  time.Time // when the first row of the queue was queued; zero: it is empty
	writing time.Time // the same of the rows in open segments

	// of Run
	open    map[*Stream]*segment
	number  int  // of the last segment
	failing bool // the last attempt to write failed
}

// queued is an encoded row.
type queued struct {
	stream *Stream
	row    []byte
}

// queuedBytes is what a row takes in the queue besides its encoding.
const queuedBytes = 64

// New returns a log to which nothing is written before Run.
func New(c Config) *Log {
	c.complete()
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return &Log{cfg: c, metrics: newMetrics(), process: hex.EncodeToString(id[:]), wake: make(chan struct{}, 1), open: map[*Stream]*segment{}}
}

// SetRates changes which parts of rows are recorded, for streams that are made from then on.
func (l *Log) SetRates(others float64, of map[string]float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg.Rate, l.cfg.Rates = others, of
}

// Process is the name of this log in those of its segments.
func (l *Log) Process() string { return l.process }

// Dir is the folder of the segments.
func (l *Log) Dir() string { return l.cfg.Dir }

// enqueue adds a row, and wakes Run if there is enough for a row group. It returns why the row was dropped
// instead, "" if it was not.
func (l *Log) enqueue(q queued) string {
	l.mu.Lock()
	why := l.refuses(q.bytes())
	if why == "" {
		if len(l.queue) == 0 {
			l.oldest = l.cfg.Clock()
		}
		l.queue = append(l.queue, q)
		l.waiting += q.bytes()
		l.bytes += q.bytes()
	}
	enough := l.waiting >= min(groupBytes, l.cfg.QueueBytes/2)
	l.mu.Unlock()
	if enough {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return why
}

// refuses returns why a row of so many bytes is dropped, "" if there is room for it.
func (l *Log) refuses(bytes int64) string {
	switch {
	case l.stopped:
		return dropStopped
	case l.bytes+bytes > l.cfg.QueueBytes:
		return dropQueue
	}
	return ""
}

// full returns why any row is dropped now, "" if one may have room.
func (l *Log) full() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refuses(queuedBytes)
}

func (q *queued) bytes() int64 { return int64(len(q.row)) + queuedBytes }

// take empties the queue. Its bytes count until they are released.
func (l *Log) take() []queued {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	l.queue, l.waiting = nil, 0
	if l.writing.IsZero() {
		l.writing = l.oldest
	}
	l.oldest = time.Time{}
	return q
}

// Oldest is about when the first row was served of those that are in no complete segment yet; zero if there are none.
func (l *Log) Oldest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing.IsZero() {
		return l.oldest
	}
	return l.writing
}

func (l *Log) release(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= bytes
}

func (l *Log) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

func (l *Log) queuedBytes() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.bytes)
}

// Run writes the rows until ctx ends, and then those that are left. It returns nil: what goes wrong is
// counted and logged.
func (l *Log) Run(ctx context.Context) error {
	visible, clean := time.NewTicker(l.cfg.Visible), time.NewTicker(cleanEvery)
	defer visible.Stop()
	defer clean.Stop()
	l.clean()
	for {
		select {
		case <-ctx.Done():
			l.stop()
			l.write()
			l.finish()
			return nil
		case <-l.wake:
			l.write()
		case <-visible.C:
			l.write()
			l.finish()
		case <-clean.C:
			l.clean()
		}
	}
}

// groupBytes is the size of encoded rows from which they are written as a row group.
const groupBytes = 4 << 20

// write writes what is queued to open segments.
func (l *Log) write() {
	of := map[*Stream][]queued{}
	for _, q := range l.take() {
		of[q.stream] = append(of[q.stream], q)
	}
	for s, rows := range of {
		for len(rows) > 0 {
			n, bytes := 0, int64(0)
			for ; n < len(rows) && bytes < groupBytes; n++ {
				bytes += rows[n].bytes()
			}
			l.writeGroup(s, rows[:n])
			l.release(bytes)
			rows = rows[n:]
		}
	}
}

// writeGroup writes rows of a stream to its open segment. A segment that cannot be written is given up.
func (l *Log) writeGroup(s *Stream, rows []queued) {
	g, err := l.segment(s)
	if err == nil {
		err = g.write(rows)
	}
	switch {
	case err != nil:
		l.giveUp(g, len(rows), err)
	case g.size >= l.cfg.SegmentBytes:
		l.finishOne(g)
	}
}

// segment returns the open segment of a stream.
func (l *Log) segment(s *Stream) (*segment, error) {
	if g := l.open[s]; g != nil {
		return g, nil
	}
	l.number++
	g := &segment{stream: s}
	l.open[s] = g
	return g, g.begin(l.cfg.Dir, l.process, l.number, l.cfg.Clock())
}

// finish completes all open segments, so that they can be read.
func (l *Log) finish() {
	for _, g := range l.open {
		l.finishOne(g)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = time.Time{}
}

func (l *Log) finishOne(g *segment) {
	if err := g.finish(l.cfg.Dir); err != nil {
		l.giveUp(g, 0, err)
		return
	}
	delete(l.open, g.stream)
	l.metrics.segment(g)
	if l.failing {
		l.failing = false
		l.cfg.Log.Info("the served log is written again", "dropped_rows", l.metrics.droppedRows(dropDisk))
	}
}

// giveUp drops a segment with the rows in it and further ones, and logs the first of several failures.
func (l *Log) giveUp(g *segment, further int, err error) {
	delete(l.open, g.stream)
	l.metrics.drop(dropDisk, g.rows+further)
	err = errors.Join(err, g.remove())
	if !l.failing {
		l.failing = true
		l.cfg.Log.Error("the served log cannot be written; rows are dropped and counted until it can", "reason", err)
	}
}
