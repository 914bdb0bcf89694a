package pebbledir

import (
	"fmt"
	"log/slog"
	"os"
	"sync"

	cockroach "github.com/cockroachdb/pebble/v2"
)

// attempts is how many consecutive flushes or compactions may fail. Pebble retries forever and
// without a pause: on a full disk it would spin, and Open would never return.
const attempts = 8

// exitFailed is the exit code of a process whose storage failed.
const exitFailed = 2

// failureHandler ends what would hang after the disk failed: Open, with an error, and later the
// process, since its memory is ahead of its disk.
type failureHandler struct {
	dir    string
	to     *slog.Logger // nil drops errors that Pebble handles itself
	failed chan error   // holds the failure that Open is to return

	mu       sync.Mutex
	failures int  // in a row
	opened   bool // Open has returned
}

func newFailureHandler(dir string, to *slog.Logger) *failureHandler {
	return &failureHandler{dir: dir, to: to, failed: make(chan error, 1)}
}

// events are the callbacks with the outcome of Pebble's background work.
func (g *failureHandler) events() *cockroach.EventListener {
	return &cockroach.EventListener{
		BackgroundError: g.background,
		FlushEnd:        func(info cockroach.FlushInfo) { g.succeeded(info.Err) },
		CompactionEnd:   func(info cockroach.CompactionInfo) { g.succeeded(info.Err) },
	}
}

func (g *failureHandler) succeeded(err error) {
	if err == nil {
		g.mu.Lock()
		g.failures = 0
		g.mu.Unlock()
	}
}

func (g *failureHandler) background(err error) {
	g.mu.Lock()
	g.failures++
	last := g.failures == attempts
	g.mu.Unlock()
	if last {
		g.fail(err)
	}
	g.Errorf("background error: %v", err)
}

// fail does not return. While the database is being opened, it passes the error to Open and blocks
// the calling goroutine of Pebble forever, with the locks that this goroutine holds. Afterwards it
// ends the process.
func (g *failureHandler) fail(err error) {
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
	to.Error("the storage failed and the process ends so that nothing wrong is served; make room or repair the disk and start again: all acknowledged writes are kept",
		"directory", g.dir, "error", err)
	os.Exit(exitFailed)
}

// finishOpen makes later failures end the process, and returns a failure that came before.
func (g *failureHandler) finishOpen() error {
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

// Infof drops routine messages: flushes, compactions, new files.
func (*failureHandler) Infof(string, ...any) {}

// Errorf reports an error that Pebble handled itself.
func (g *failureHandler) Errorf(format string, args ...any) {
	if g.to != nil {
		g.to.Error(fmt.Sprintf(format, args...), "from", "pebble", "directory", g.dir)
	}
}

// Fatalf is what Pebble calls when it cannot go on. It must not return.
func (g *failureHandler) Fatalf(format string, args ...any) { g.fail(fmt.Errorf(format, args...)) }
