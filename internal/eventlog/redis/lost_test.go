package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/eventlog"
)

// A replica that lagged took over: whoever knows of the records that are gone says so from then on, also if the log has grown past
// them meanwhile; who does not know of them takes the log as it is.
func TestAnOlderCopyIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(l *Log) error // before the end is asked for
	}{
		{"at once", func(*Log) error { return nil }},
		{"after it has grown past that", func(l *Log) error {
			_, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "d"}, {ID: "e"}, {ID: "f"}})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, l := start(t)
			if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "a"}}); err != nil {
				t.Fatal(err)
			}
			saved := server.Dump(t)
			other := openTest(t, server.Address, "", nil)
			defer other.Close()
			if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "b"}, {ID: "c"}}); err != nil {
				t.Fatal(err)
			}
			if end, err := other.End(ctx, "s"); end != 3 || err != nil {
				t.Fatal(end, err)
			}
			server.Restore(t, saved)
			again(t, l)
			if err := c.then(l); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := l.End(ctx, "s")
				var lost *eventlog.LostError
				if !errors.As(err, &lost) || *lost != (eventlog.LostError{Shard: "s", Had: 3, Found: 1}) || !strings.Contains(err.Error(), "unskew materialize --full") {
					t.Errorf("the end, for who has appended: %v", err)
				}
			}
			fresh := openTest(t, server.Address, "", nil)
			defer fresh.Close()
			if _, err := fresh.End(ctx, "s"); err != nil {
				t.Errorf("for who does not know: %v", err)
			}
			if records, err := l.Read(ctx, "s", 0, 10); err != nil || len(records) == 0 {
				t.Errorf("reading what there is: %d, %v", len(records), err)
			}
		})
	}
}

// again asks until broken connections are replaced.
func again(t *testing.T, l *Log) {
	t.Helper()
	for {
		if _, err := l.Begun(ctx, "s"); err == nil {
			return
		} else if !errors.Is(err, eventlog.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}
