package logtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// TestRepair loses records of a log whose ids are kept and repairs it. lose removes the records of shard s at positions from the storage, and returns the
// log as it is opened afterwards.
func TestRepair(t *testing.T, l eventlog.Repairing, lose func(positions ...eventlog.Position) eventlog.Repairing) {
	ctx := t.Context()
	field := func(name, value string) []eventlog.Field {
		return []eventlog.Field{{Name: name, Value: []byte(value)}}
	}
	entry := func(id string, fields []eventlog.Field) eventlog.Entry {
		return eventlog.Entry{ID: id, Payload: []byte("payload of " + id + fmt.Sprint(fields)), Body: []byte(id), Late: &eventlog.Late{Known: plan.Always, Fields: fields}}
	}
	// Of e and f, the first delivery, and the second, is lost.
	entries := []eventlog.Entry{{ID: "a", Payload: []byte("1")}, {ID: "b", Payload: []byte("2")}, {Payload: []byte("3")}, {ID: "d", Payload: []byte("4")},
		entry("e", nil), entry("e", field("x", "1")), entry("f", nil), entry("f", field("y", "1")), {ID: "g", Payload: []byte("9")}, {ID: "h", Payload: []byte("10")}}
	for _, e := range entries {
		if r, err := l.Append(ctx, "s", []eventlog.Entry{e}); err != nil || r[0].Position == 0 {
			t.Fatal(r, err)
		}
	}
	before, err := l.Read(ctx, "s", 0, 100)
	if err != nil || len(before) != 10 {
		t.Fatal(before, err)
	}
	repair := func(change bool) eventlog.Damage {
		t.Helper()
		d, err := l.Repair(ctx, "s", eventlog.RepairOptions{Change: change})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, change := range []bool{false, true} {
		if d := repair(change); d.Any() || d.End != 10 {
			t.Errorf("a whole shard: %+v", d)
		}
	}
	if d, err := l.Repair(ctx, "empty", eventlog.RepairOptions{Change: true}); err != nil || d.Any() {
		t.Errorf("an empty shard: %+v, %v", d, err)
	}
	l = lose(2, 3, 5, 8, 10)
	for _, change := range []bool{false, true} {
		d := repair(change)
		var lost []eventlog.Position
		for _, g := range d.Lost {
			lost = append(lost, g.First, g.Last)
		}
		if fmt.Sprint(lost) != "[2 3 5 5 8 8 10 10]" || d.Forgotten != 2 || d.Refillable != 1 || d.Incomplete != 1 || d.LostIDs != 0 || d.End != 10 {
			t.Errorf("change %v: %+v", change, d)
		}
		if _, err := l.Read(ctx, "s", 0, 9); !change && !errors.Is(err, eventlog.ErrDamaged) {
			t.Errorf("only looking repaired it: %v", err)
		}
	}
	after, err := l.Read(ctx, "s", 0, 100)
	if err != nil || len(after) != 10 {
		t.Fatalf("%d records, %v", len(after), err)
	}
	gone := map[eventlog.Position]bool{2: true, 3: true, 5: true, 8: true, 10: true}
	for i, r := range after {
		if i > 0 && r.Appended < after[i-1].Appended {
			t.Errorf("position %d was stored at %v, after %v", r.Position, r.Appended, after[i-1].Appended)
		}
		if gone[r.Position] != eventlog.IsLost(r.Payload) || gone[r.Position] && (r.ID != "" || r.Versions != nil) {
			t.Errorf("position %d: %+v", r.Position, r)
		}
		if !gone[r.Position] && (r.ID != before[i].ID || !bytes.Equal(r.Payload, before[i].Payload) || r.Mark() != before[i].Mark() || len(r.Versions) != len(before[i].Versions)) {
			t.Errorf("position %d is %+v, was %+v", r.Position, r, before[i])
		}
	}
	if d := repair(true); d.Any() || d.Marked != 5 {
		t.Errorf("again: %+v", d)
	}
	// What is lost can be pushed again, once; what is whole is known.
	for n, want := range []string{"1@1 0@11 0@12 1@4 1@5 1@5 1@7 3@13 1@9 0@14", "1@1 1@11 0@15 1@4 1@5 1@5 1@7 1@7 1@9 1@14"} {
		got := ""
		for _, e := range entries {
			r, err := l.Append(ctx, "s", []eventlog.Entry{e})
			if err != nil {
				t.Fatal(err)
			}
			got += fmt.Sprintf(" %d@%d", r[0].Outcome, r[0].Position)
		}
		if got[1:] != want {
			t.Errorf("push %d: %s, want %s", n, got[1:], want)
		}
	}
	if d := repair(true); d.Any() {
		t.Errorf("at the end: %+v", d)
	}
}
