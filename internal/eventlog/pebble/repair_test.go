package pebble

import (
	"errors"
	"testing"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
)

// Records that are gone from the database, the last one included, or cannot be read, are given up, and their ids with them. [p5]
func TestP5_Repair(t *testing.T) {
	for _, how := range []string{"gone", "torn"} {
		t.Run(how, func(t *testing.T) {
			fs := vfs.NewMem()
			open := func() *Log {
				l, err := Open("log", Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			l := open()
			defer func() { l.Close() }()
			logtest.TestRepair(t, l, func(positions ...eventlog.Position) eventlog.Repairing {
				var err error
				for _, p := range positions {
					key := appendEventKey(nil, "s", p)
					if how == "torn" {
						// The length of the id, and nothing behind it.
						value, closer, getErr := l.db.Get(key)
						if getErr != nil {
							t.Fatal(getErr)
						}
						err = errors.Join(err, l.db.Set(key, append(append([]byte{}, value[:8]...), 9), cockroach.Sync), closer.Close())
					} else {
						err = errors.Join(err, l.db.Delete(key, cockroach.Sync))
					}
				}
				if err := errors.Join(err, l.Close()); err != nil {
					t.Fatal(err)
				}
				l = open()
				return l
			})
		})
	}
}

// An id that cannot be read is counted and kept, and one that names a record far behind the last is an error, not a flood of records. [p5]
func TestP5_RepairIsBounded(t *testing.T) {
	l, err := Open("log", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(ctx, "s", entry("a")); err != nil {
		t.Fatal(err)
	}
	if err := l.db.Set(appendIDKey(nil, "s", 0, "torn"), []byte("x"), cockroach.Sync); err != nil {
		t.Fatal(err)
	}
	if d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); err != nil || d.Unreadable != 1 || d.Forgotten != 0 || d.End != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if err := l.db.Set(appendIDKey(nil, "s", 0, "far"), appendSeen(nil, &eventlog.Seen{Position: 1 << 40}), cockroach.Sync); err != nil {
		t.Fatal(err)
	}
	if d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); err == nil {
		t.Errorf("%+v", d)
	}
}
