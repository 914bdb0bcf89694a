package redis

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
	"github.com/unskew/unskew/internal/redistest"
)

// Records that something removed from Redis are given up, and their ids with them. [p5]
func TestP5_Repair(t *testing.T) {
	_, l := start(t)
	logtest.TestRepair(t, l, func(positions ...eventlog.Position) eventlog.Repairing {
		for _, p := range positions {
			do(t, l, "XDEL", "unskew:log:{ss}:events", streamID(p))
		}
		if _, err := l.Append(ctx, "s", two()); !errors.Is(err, eventlog.ErrDamaged) {
			t.Errorf("Append: %v, want ErrDamaged", err)
		}
		return l
	})
}

// A whole stream that was evicted is given up; ids that are gone only if that is accepted; a head that is gone is named. [p5]
func TestP5_RepairOfWholeKeys(t *testing.T) {
	_, l := start(t)
	if _, err := l.Append(ctx, "s", two()); err != nil {
		t.Fatal(err)
	}
	do(t, l, "DEL", "unskew:log:{ss}:events")
	if d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); err != nil || d.Lost.Count() != 2 || d.Forgotten != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	if r, err := l.Append(ctx, "s", two()); err != nil || r[0].Position != 3 || r[1].Outcome != eventlog.Appended {
		t.Fatalf("%v, %v", r, err)
	}
	do(t, l, "HDEL", "unskew:log:{ss}:ids", "a")
	for _, accept := range []bool{false, true} {
		if d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true, AcceptLostIDs: accept}); err != nil || d.LostIDs != 1 || len(d.Lost) > 0 {
			t.Fatalf("%+v, %v", d, err)
		}
		if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "b", Payload: []byte("2")}}); (err == nil) != accept {
			t.Errorf("accepted %v: %v", accept, err)
		}
	}
	do(t, l, "DEL", "unskew:log:{ss}:head")
	if _, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); !errors.Is(err, errNoHead) {
		t.Errorf("without a head: %v", err)
	}
}

// Wherever the append-only file of a server was cut, the log is whole up to some call after a repair, takes what is missing again, once, and goes on. [p5]
func TestP5_RepairAfterATornFile(t *testing.T) {
	for cut := int64(1); cut < 4000; cut += 397 {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			server, l := start(t, redistest.Durable...)
			var all []eventlog.Entry
			for i := range 20 {
				call := []eventlog.Entry{{ID: fmt.Sprint("id", i), Payload: []byte(fmt.Sprint("payload ", i))}}
				if i%3 == 0 {
					call = append(call, eventlog.Entry{ID: fmt.Sprint("more", i), Payload: []byte("more")})
				}
				if _, err := l.Append(ctx, "s", call); err != nil {
					t.Fatal(err)
				}
				all = append(all, call...)
			}
			server.Kill()
			files, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			info, err := os.Stat(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(files[0], max(0, info.Size()-cut)); err != nil {
				t.Fatal(err)
			}
			server.Restart(t)
			if _, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, e := range all {
					if _, err := l.Append(ctx, "s", []eventlog.Entry{e}); err != nil {
						t.Fatal(err)
					}
				}
			}
			records, err := l.Read(ctx, "s", 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for _, r := range records {
				seen[r.ID]++
			}
			for _, e := range all {
				if seen[e.ID] != 1 {
					t.Errorf("%s is there %d times", e.ID, seen[e.ID])
				}
			}
		})
	}
}

// A record whose command is gone from the append-only file, with its id left, is given up, and can be pushed again. [p5]
func TestP5_RepairAfterAHoleInTheFile(t *testing.T) {
	server, l := start(t, redistest.Durable...)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: id, Payload: []byte("of " + id)}}); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	files, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	file, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	// Commands begin with * and the number of their words.
	commands := bytes.Split(file, []byte("\n*"))
	kept := slices.DeleteFunc(slices.Clone(commands), func(c []byte) bool { return bytes.Contains(c, []byte("XADD")) && bytes.Contains(c, []byte("of b")) })
	if len(kept) != len(commands)-1 {
		t.Fatalf("%d of %d commands", len(kept), len(commands))
	}
	if err := os.WriteFile(files[0], bytes.Join(kept, []byte("\n*")), 0o644); err != nil {
		t.Fatal(err)
	}
	server.Restart(t)
	if _, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "b", Payload: []byte("of b")}}); !errors.Is(err, eventlog.ErrDamaged) {
		t.Errorf("before the repair: %v", err)
	}
	if d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: true}); err != nil || d.Lost.Count() != 1 || d.Lost[0].First != 2 || d.Forgotten != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	if r, err := l.Append(ctx, "s", []eventlog.Entry{{ID: "b", Payload: []byte("of b")}, {ID: "c", Payload: []byte("of c")}}); err != nil || r[0].Position != 4 || r[1].Outcome != eventlog.Duplicate {
		t.Errorf("after it: %v, %v", r, err)
	}
}
