package pebble

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	cockroach "github.com/cockroachdb/pebble/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// What is stored of ids is bounded by the window, however long the log runs [p15].
func TestP15_ForgottenIDsAreGone(t *testing.T) {
	var now atomic.Int64
	l, err := Open("log", Options{FS: vfs.NewMem(), Clock: func() plan.EventTime { return plan.EventTime(now.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	const keep = 100
	for at := range int64(40 * keep) {
		now.Store(at)
		e := eventlog.Entry{ID: fmt.Sprint(at), Time: plan.EventTime(at), Keep: keep}
		if _, err := l.Append(ctx, "s", []eventlog.Entry{e}); err != nil {
			t.Fatal(err)
		}
		if at%keep > 0 {
			continue
		}
		if n := count(t, l, appendShard(nil, kindSegment, "s")); n > 3*keep/2+keep/32 {
			t.Fatalf("%d ids are stored at %d", n, at)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// count returns the number of keys with a prefix.
func count(t *testing.T, l *Log, prefix []byte) (n int) {
	t.Helper()
	it, err := l.db.NewIter(&cockroach.IterOptions{LowerBound: prefix, UpperBound: pebbledir.Successor(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
