package logtest

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

func testDense(t *testing.T, s Storage) {
	l := open(t, s)
	want(t, appendAll(t, l, "s", entry("a", "1"), entry("b", "2")), "appended 1", "appended 2")
	want(t, appendAll(t, l, "s", entry("", "3")), "appended 3")
	want(t, appendAll(t, l, "s"))
	want(t, appendAll(t, l, "s", entry("a", "1"), entry("c", "4")), "duplicate 1", "appended 4")
	wantRecords(t, readAll(t, l, "s"), "a=1", "b=2", "=3", "c=4")
}

// Names that are prefixes of each other, or look like the separators of keys,
// are still different shards.
func testShards(t *testing.T, s Storage) {
	l := open(t, s)
	names := []string{"s", "ss", "s\x00", "\x01s", "}", "{s}", "s:ids", "S", "\xff", strings.Repeat("n", eventlog.MaxShardBytes)}
	for _, name := range names {
		if e := end(t, l, name); e != 0 {
			t.Errorf("shard %q ends at %d before its first record", name, e)
		}
		want(t, appendAll(t, l, name, entry("id", name)), "appended 1")
	}
	for _, name := range names {
		wantRecords(t, readAll(t, l, name), "id="+name)
	}
}

func testRead(t *testing.T, s Storage) {
	l := open(t, s)
	wantRecords(t, read(t, l, "s", 0, 10))
	appendAll(t, l, "s", entry("a", ""), entry("b", ""), entry("c", ""))
	for _, c := range []struct {
		after eventlog.Position
		limit int
		want  string
	}{
		{0, 1, "a"}, {0, 2, "ab"}, {0, 3, "abc"}, {0, 1 << 40, "abc"}, {1, 2, "bc"}, {1, 1, "b"}, {2, 5, "c"}, {3, 5, ""}, {4, 5, ""},
		{1<<64 - 1, 5, ""}, {1<<64 - 2, 1 << 40, ""}, {0, 0, ""}, {0, -1, ""},
	} {
		var got strings.Builder
		for _, r := range read(t, l, "s", c.after, c.limit) {
			got.WriteString(r.ID)
		}
		if got.String() != c.want {
			t.Errorf("Read(%d, %d) = %q, want %q", c.after, c.limit, got.String(), c.want)
		}
	}
}

func testOwnership(t *testing.T, s Storage) {
	l := open(t, s)
	payload := []byte("payload")
	appendAll(t, l, "s", eventlog.Entry{ID: "a", Payload: payload})
	copy(payload, "PAYLOAD")
	first := read(t, l, "s", 0, 1)
	copy(first[0].Payload, "changed")
	wantRecords(t, read(t, l, "s", 0, 1), "a=payload")
}

func testBinary(t *testing.T, s Storage) {
	l := open(t, s)
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	ids := []string{"", "\x00", "\x00\x00", "a\x00", "a\x00b", "a", "\xff", "\xff\xfe\xff", "\r\n", "0", string(all)}
	var entries []eventlog.Entry
	for _, id := range ids {
		entries = append(entries, entry(id, id))
	}
	entries = append(entries, eventlog.Entry{ID: "nil"}, eventlog.Entry{ID: "empty", Payload: []byte{}}, eventlog.Entry{})
	for i, r := range appendAll(t, l, "s", entries...) {
		if r.Outcome != eventlog.Appended {
			t.Errorf("entry %d was taken for a %v of position %d", i, r.Outcome, r.Position)
		}
	}
	for i, r := range readAll(t, l, "s") {
		if r.ID != entries[i].ID || !bytes.Equal(r.Payload, entries[i].Payload) {
			t.Errorf("record %d is %q=%q, want %q=%q", i, r.ID, r.Payload, entries[i].ID, entries[i].Payload)
		}
	}
	want(t, appendAll(t, l, "s", eventlog.Entry{ID: "nil", Payload: []byte{}}, eventlog.Entry{ID: "empty"}), "duplicate 12", "duplicate 13")
}

func testLarge(t *testing.T, s Storage) {
	l := open(t, s)
	large := bytes.Repeat([]byte("\x00\r\n\xff0123456789ab"), 1<<16) // 1 MiB
	longID := strings.Repeat("\x00i", eventlog.MaxIDBytes/2)
	var entries []eventlog.Entry
	for range 8 {
		entries = append(entries, eventlog.Entry{Payload: large})
	}
	appendAll(t, l, "s", append(entries, eventlog.Entry{ID: longID, Payload: large})...)
	records := readAll(t, l, "s")
	for _, r := range records {
		if !bytes.Equal(r.Payload, large) {
			t.Errorf("position %d came back with %d other bytes", r.Position, len(r.Payload))
		}
	}
	if records[8].ID != longID {
		t.Error("the long id came back different")
	}
	want(t, appendAll(t, l, "s", eventlog.Entry{ID: longID, Payload: large}), "duplicate 9")
}

func testLimits(t *testing.T, s Storage) {
	l := open(t, s)
	ctx := context.Background()
	tooLong := entry(strings.Repeat("i", eventlog.MaxIDBytes+1), "")
	if _, err := l.Append(ctx, "s", []eventlog.Entry{entry("a", ""), tooLong}); err == nil {
		t.Error("Append took an id that is too long")
	}
	if err := l.Register(ctx, "s", []eventlog.Entry{entry("a", ""), tooLong}); err == nil {
		t.Error("Register took an id that is too long")
	}
	if _, err := l.Append(ctx, "", []eventlog.Entry{entry("a", "")}); err == nil {
		t.Error("Append took a shard without a name")
	}
	if _, err := l.End(ctx, ""); err == nil {
		t.Error("End took a shard without a name")
	}
	if _, err := l.Read(ctx, strings.Repeat("s", eventlog.MaxShardBytes+1), 0, 1); err == nil {
		t.Error("Read took a shard with a name that is too long")
	}
	want(t, appendAll(t, l, "s", entry("a", "")), "appended 1")
}

func testO5(t *testing.T, s Storage) {
	l := open(t, s)
	want(t, appendAll(t, l, "s", entry("", "x"), entry("", "x")), "appended 1", "appended 2")
	want(t, appendAll(t, l, "s", entry("", "x")), "appended 3")
	want(t, appendAll(t, l, "s", entry("1", "x"), entry("2", "x")), "appended 4", "appended 5")
	want(t, appendAll(t, l, "s", entry("1", "x")), "duplicate 4")
	want(t, appendAll(t, l, "other", entry("1", "x")), "appended 1")
	if n := len(readAll(t, l, "s")); n != 5 {
		t.Errorf("%d records, want 5", n)
	}
}

func testO5InsideCall(t *testing.T, s Storage) {
	l := open(t, s)
	want(t, appendAll(t, l, "s", entry("a", "x"), entry("a", "x"), entry("b", ""), entry("a", "y"), entry("a", "x")),
		"appended 1", "duplicate 1", "appended 2", "conflict 1", "duplicate 1")
	wantRecords(t, readAll(t, l, "s"), "a=x", "b=")
}

func testConflict(t *testing.T, s Storage) {
	l := open(t, s)
	appendAll(t, l, "s", entry("a", "first"))
	want(t, appendAll(t, l, "s", entry("a", "second"), entry("a", "first"), entry("a", "")), "conflict 1", "duplicate 1", "conflict 1")
	wantRecords(t, readAll(t, l, "s"), "a=first")
}

func testRegister(t *testing.T, s Storage) {
	l := open(t, s)
	appendAll(t, l, "s", entry("live", "x"))
	register(t, l, "s", entry("old", "x"), entry("old", "y"), entry("live", "z"), entry("", "x"), entry("\x00", ""))
	register(t, l, "s", entry("old", "y"))
	register(t, l, "s")
	want(t, appendAll(t, l, "s",
		entry("old", "x"), entry("old", "y"), entry("live", "x"), entry("live", "z"), entry("\x00", ""), entry("", "x"), entry("new", "x")),
		"duplicate 0", "conflict 0", "duplicate 1", "conflict 1", "duplicate 0", "appended 2", "appended 3")
	want(t, appendAll(t, l, "elsewhere", entry("old", "x")), "appended 1")
	wantRecords(t, readAll(t, l, "s"), "live=x", "=x", "new=x")
}

func testAppended(t *testing.T, s Storage) {
	l := openAt(t, s, steps(100, 50, -7, 100, 101, 3))
	for i, want := range []plan.EventTime{100, 100, 100, 100, 101, 101, 101} {
		appendAll(t, l, "s", entry("", ""))
		if got := readAll(t, l, "s")[i].Appended; got != want {
			t.Errorf("record %d was appended at %d, want %d", i+1, got, want)
		}
	}
	appendAll(t, l, "later", entry("", ""))
	if got := readAll(t, l, "later")[0].Appended; got != 3 {
		t.Errorf("the first record of a shard was appended at %d, want the clock's 3", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, s, steps(-5))
	appendAll(t, l, "s", entry("", ""))
	if got := readAll(t, l, "s")[7].Appended; got != 101 {
		t.Errorf("after reopening, a record was appended at %d, before the 101 of an earlier one", got)
	}
}

func testB5(t *testing.T, s Storage) {
	times := []plan.EventTime{
		plan.Always, plan.MinTime, plan.MinTime + 1, -1 << 53, -1<<53 + 1, -1 << 32, -1<<32 + 1, -1, 0, 1,
		1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1<<53 + 2, plan.MaxTime - 1, plan.MaxTime, plan.Never - 1, plan.Never,
	}
	l := openAt(t, s, steps(times...))
	for range times {
		appendAll(t, l, "s", entry("", ""))
	}
	for i, r := range readAll(t, l, "s") {
		if r.Appended != times[i] {
			t.Errorf("record %d was appended at %d, want %d", i+1, int64(r.Appended), int64(times[i]))
		}
	}
	for _, after := range []eventlog.Position{1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		if got := read(t, l, "s", after, 3); len(got) != 0 {
			t.Errorf("Read after %d found %d records", after, len(got))
		}
	}
}
