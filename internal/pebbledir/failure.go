package pebbledir

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	cockroach "github.com/cockroachdb/pebble/v2"
)

// attempts is how often in a row a flush or a compaction may fail. Pebble tries again at once
// and for ever: on a full disk it would spin, and Open would never return.
const attempts = 8

// exitFailed is the exit code of a process whose storage failed.
const exitFailed = 2

// guard ends what a failed disk would leave hanging: Open with an error, and later the
// process, whose memory is ahead of its disk.
type guard struct {
	dir    string
	to     *slog.Logger // nil drops errors that Pebble handles itself
	failed chan error   // holds the failure that Open is to return

	mu       sync.Mutex
	failures int  // in a row
	opened   bool // Open has returned
}

func newGuard(dir string, to *slog.Logger) *guard {
	return &guard{dir: dir, to: to, failed: make(chan error, 1)}
}

// events are the hooks through which Pebble tells what became of its work.
func (g *guard) events() *cockroach.EventListener {
	return &cockroach.EventListener{
		BackgroundError: g.background,
		FlushEnd:        func(info cockroach.FlushInfo) { g.succeeded(info.Err) },
		CompactionEnd:   func(info cockroach.CompactionInfo) { g.succeeded(info.Err) },
	}
}

func (g *guard) succeeded(err error) {
	if err == nil {
		g.mu.Lock()
		g.failures = 0
		g.mu.Unlock()
	}
}

func (g *guard) background(err error) {
	g.mu.Lock()
	g.failures++
	last := g.failures == attempts
	g.mu.Unlock()
	if last {
		g.fail(err)
	}
	g.Errorf("background error: %v", err)
}

// fail does not return. While the database is being opened it leaves the error to Open, and
// holds up the goroutine of Pebble that it is called in, with the locks that this one has.
func (g *guard) fail(err error) {
	g.mu.Lock()
	opened := g.opened
	if !opened && len(g.failed) == 0 {
		g.failed <- err
	}
	g.mu.Unlock()
	if !opened {
		select {}
	}
	to := g.to
	if to == nil {
		to = slog.Default()
	}
	to.Error("the storage failed and the process ends so that nothing wrong is served; make room or repair the disk and start again: what was acknowledged is kept",
		"directory", g.dir, "error", err)
	os.Exit(exitFailed)
}

// open ends the time in which failures are Open's, and returns one that came before.
func (g *guard) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case err := <-g.failed:
		return err
	default:
		g.opened = true
		return nil
	}
}

// Infof drops what happens all the time: flushes, compactions, new files.
func (*guard) Infof(string, ...any) {}

// Errorf reports an error that Pebble handled itself.
func (g *guard) Errorf(format string, args ...any) {
	if g.to != nil {
		g.to.Error(fmt.Sprintf(format, args...), "from", "pebble", "directory", g.dir)
	}
}

// Fatalf is what Pebble calls when it cannot go on. It must not return.
func (g *guard) Fatalf(format string, args ...any) { g.fail(fmt.Errorf(format, args...)) }
