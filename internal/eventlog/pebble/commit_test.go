package pebble

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

var ctx = context.Background()

func entry(id string) []eventlog.Entry { return []eventlog.Entry{{ID: id}} }

// slowDisk makes a log whose disk can be held up while it syncs what is appended.
type slowDisk struct {
	log     *Log
	groups  atomic.Int64  // commits, counted by their looks at the clock
	syncing chan struct{} // receives when a sync begins, while held
	release chan struct{} // closed to let it end
	held    atomic.Bool
}

func newSlowDisk(t *testing.T) *slowDisk {
	t.Helper()
	d := &slowDisk{syncing: make(chan struct{}, 100), release: make(chan struct{})}
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
		if isSync && path.Ext(op.Path) == ".log" && d.held.Load() {
			d.syncing <- struct{}{}
			<-d.release
		}
		return nil
	}))
	log, err := Open("log", Options{FS: fs, Clock: func() plan.EventTime {
		d.groups.Add(1)
		return 0
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	d.log = log
	return d
}

// hold stops the next sync and returns when an Append of the ids waits for it.
func (d *slowDisk) hold(t *testing.T, ids ...string) (appended <-chan error) {
	t.Helper()
	d.held.Store(true)
	done := make(chan error, 1)
	var entries []eventlog.Entry
	for _, id := range ids {
		entries = append(entries, eventlog.Entry{ID: id})
	}
	go func() {
		_, err := d.log.Append(ctx, "s", entries)
		done <- err
	}()
	<-d.syncing
	return done
}

func (d *slowDisk) letGo() {
	d.held.Store(false)
	close(d.release)
}

// awaitQueue returns when n requests wait for the next commit.
func (d *slowDisk) awaitQueue(n int) {
	for {
		d.log.mu.Lock()
		queued := len(d.log.queue)
		d.log.mu.Unlock()
		if queued == n {
			return
		}
		runtime.Gosched()
	}
}

func TestRecordsAreSeenWhenDurable(t *testing.T) {
	d := newSlowDisk(t)
	appended := d.hold(t, "a", "b")
	end, err := d.log.End(ctx, "s")
	if err != nil || end != 0 {
		t.Errorf("End before the sync: %d, %v, want 0", end, err)
	}
	records, err := d.log.Read(ctx, "s", 0, 10)
	if err != nil || len(records) != 0 {
		t.Errorf("Read before the sync: %d records, %v, want none", len(records), err)
	}
	select {
	case err := <-appended:
		t.Errorf("Append returned %v before the sync", err)
	default:
	}
	d.letGo()
	if err := <-appended; err != nil {
		t.Error(err)
	}
	if end, err := d.log.End(ctx, "s"); err != nil || end != 2 {
		t.Errorf("End after the sync: %d, %v, want 2", end, err)
	}
}

func TestAppendersShareASync(t *testing.T) {
	d := newSlowDisk(t)
	first := d.hold(t, "first")
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := d.log.Append(ctx, "s", entry(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	d.awaitQueue(n)
	d.letGo()
	all.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := d.groups.Load(); got != 2 {
		t.Errorf("%d commits for one append and then %d at once, want 2", got, n)
	}
	if end, err := d.log.End(ctx, "s"); err != nil || end != n+1 {
		t.Errorf("End: %d, %v, want %d", end, err, n+1)
	}
}

// A duplicate is not acknowledged before the first with its id is durable.
func TestO7_DuplicateWaitsForTheFirst(t *testing.T) {
	d := newSlowDisk(t)
	first := d.hold(t, "a")
	second := make(chan []eventlog.Result, 1)
	go func() {
		results, err := d.log.Append(ctx, "s", entry("a"))
		if err != nil {
			t.Error(err)
		}
		second <- results
	}()
	d.awaitQueue(1)
	select {
	case results := <-second:
		t.Errorf("the duplicate was answered %v before the first was durable", results)
	default:
	}
	d.letGo()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if results := <-second; results[0] != (eventlog.Result{Outcome: eventlog.Duplicate, Position: 1}) {
		t.Errorf("the duplicate was answered %v", results)
	}
}

func TestCancelledWhileQueuedIsNotStored(t *testing.T) {
	d := newSlowDisk(t)
	first := d.hold(t, "first")
	cancelled, cancel := context.WithCancel(ctx)
	withdrawn := make(chan error, 1)
	go func() {
		_, err := d.log.Append(cancelled, "s", entry("withdrawn"))
		withdrawn <- err
	}()
	d.awaitQueue(1)
	cancel()
	if err := <-withdrawn; !errors.Is(err, context.Canceled) {
		t.Errorf("Append: %v, want context.Canceled", err)
	}
	d.awaitQueue(0)
	d.letGo()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if end, err := d.log.End(ctx, "s"); err != nil || end != 1 {
		t.Errorf("End: %d, %v, want 1", end, err)
	}
}

func TestCloseWaitsForAppends(t *testing.T) {
	d := newSlowDisk(t)
	appended := d.hold(t, "a")
	closed := make(chan error, 1)
	go func() { closed <- d.log.Close() }()
	<-d.log.gate.Closing()
	select {
	case err := <-closed:
		t.Errorf("Close returned %v while an Append was under way", err)
	default:
	}
	d.letGo()
	if err := errors.Join(<-appended, <-closed); err != nil {
		t.Error(err)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	d := newSlowDisk(t)
	first := d.hold(t, "first")
	large := []eventlog.Entry{{Payload: make([]byte, groupBytes/2+1)}}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := d.log.Append(ctx, "s", large); err != nil {
				t.Error(err)
			}
		})
	}
	d.awaitQueue(3)
	d.letGo()
	all.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if got := d.groups.Load(); got != 4 {
		t.Errorf("%d commits, want one for each large append", got)
	}
}
