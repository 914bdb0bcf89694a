package redis

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redistest"
)

// What is stored of ids is bounded by the window, however long the log runs [p15].
func TestP15_ForgottenIDsAreGone(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	l := openTest(t, redistest.Start(t).Address, "forgets", func() plan.EventTime { return plan.EventTime(now.Load()) })
	const keep = 100
	for at := range int64(10 * keep) {
		now.Store(at)
		e := eventlog.Entry{ID: fmt.Sprint(at), Time: plan.EventTime(at), Keep: keep}
		if _, err := l.Append(t.Context(), "s", []eventlog.Entry{e}); err != nil {
			t.Fatal(err)
		}
		if at%keep > 0 {
			continue
		}
		if n := countIDs(t, l); n > 3*keep/2+keep/32 {
			t.Fatalf("%d ids are stored at %d", n, at)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// countIDs adds up the hashes of ids.
func countIDs(t *testing.T, l *Log) (n int64) {
	t.Helper()
	keys, err := l.conn.Do(t.Context(), l.conn.B().Keys().Pattern("*:ids*").Build()).AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		ids, err := l.conn.Do(t.Context(), l.conn.B().Hlen().Key(key).Build()).AsInt64()
		if err != nil {
			t.Fatal(err)
		}
		n += ids
	}
	return n
}
