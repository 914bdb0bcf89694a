package logtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// late makes a delivery with an id, a body, and fields such as "a=1 b=2".
func late(id, body, fields string) eventlog.Entry {
	return known(0, id, body, fields)
}

// known is late for a delivery with a known time, which is also its field "seen".
func known(at plan.EventTime, id, body, fields string) eventlog.Entry {
	l := &eventlog.Late{Known: at, First: []eventlog.Field{{Name: "seen", Value: fmt.Append(nil, int64(at))}}}
	for _, f := range strings.Fields(fields) {
		name, value, _ := strings.Cut(f, "=")
		l.Fields = append(l.Fields, eventlog.Field{Name: name, Value: []byte(value)})
	}
	return eventlog.Entry{ID: id, Payload: []byte(body + " " + fields), Body: []byte(body), Late: l}
}

// wantVersions compares the versions of a record with strings such as "1@5 seen=0 a=1": position,
// known time and fields.
func wantVersions(t fataler, r eventlog.Record, versions ...string) {
	t.Helper()
	var got []string
	for _, v := range r.Versions {
		text := fmt.Sprintf("%d@%d", v.Position, int64(v.Known))
		if v.Known == plan.Always {
			text = fmt.Sprintf("%d@-", v.Position)
		}
		for _, f := range v.Fields {
			text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		got = append(got, text)
	}
	if strings.Join(got, "; ") != strings.Join(versions, "; ") {
		t.Fatalf("versions of position %d: %s, want %s", r.Position, strings.Join(got, "; "), strings.Join(versions, "; "))
	}
}

func testFillings(t *testing.T, s Storage) {
	l := openAt(t, s, steps(10, 20, 30, 40, 50))
	want(t, appendAll(t, l, "s", late("e", "x", "")), "appended 1")
	want(t, appendAll(t, l, "s", late("e", "x", "a=1")), "filled 2")
	want(t, appendAll(t, l, "s", known(45, "e", "x", "b=2 c=3")), "filled 3")
	want(t, appendAll(t, l, "s", late("e", "x", "b=2 d=4"), late("f", "x", "b=2")), "filled 4", "appended 5")
	records := readAll(t, l, "s")
	wantVersions(t, records[0])
	wantVersions(t, records[1], "1@10 seen=0", "2@20 a=1")
	wantVersions(t, records[2], "1@10 seen=0", "2@20 a=1", "3@45 b=2 c=3") // known later than it was appended
	wantVersions(t, records[3], "1@10 seen=0", "2@20 a=1", "3@45 b=2 c=3", "4@40 d=4")
	wantVersions(t, records[4])
	want(t, appendAll(t, l, "s", late("e", "x", ""), late("e", "x", "a=1 d=4"), late("e", "x", "a=2"), late("e", "y", "z=1"), late("e", "x", "a=2 z=1")),
		"duplicate 1", "duplicate 1", "conflict 1", "conflict 1", "conflict 1")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, s, steps(60))
	want(t, appendAll(t, l, "s", late("e", "x", "a=2"), late("e", "x", "z=1")), "conflict 1", "filled 6")
	wantVersions(t, readAll(t, l, "s")[5], "1@10 seen=0", "2@20 a=1", "3@45 b=2 c=3", "4@40 d=4", "6@60 z=1")
}

func testFillingFirst(t *testing.T, s Storage) {
	l := openAt(t, s, steps(10, 20))
	want(t, appendAll(t, l, "s", known(3, "e", "x", "a=1")), "appended 1")
	want(t, appendAll(t, l, "s", late("e", "x", ""), late("e", "x", "b=2")), "duplicate 1", "filled 2")
	wantVersions(t, readAll(t, l, "s")[1], "1@10 seen=3 a=1", "2@20 b=2")
}

func testFillingsInsideCall(t *testing.T, s Storage) {
	l := openAt(t, s, steps(10, 20))
	want(t, appendAll(t, l, "s", late("e", "x", ""), late("e", "x", "a=1"), late("e", "x", "a=1"), late("e", "x", "a=2"), late("e", "x", "b=2"), late("f", "x", "")),
		"appended 1", "filled 2", "duplicate 1", "conflict 1", "filled 3", "appended 4")
	want(t, appendAll(t, l, "s", late("e", "x", "b=2"), late("e", "x", "c=3"), late("e", "x", "c=3 d=4"), late("g", "x", "a=1"), late("g", "x", "")),
		"duplicate 1", "filled 5", "filled 6", "appended 7", "duplicate 7")
	records := readAll(t, l, "s")
	wantVersions(t, records[2], "1@10 seen=0", "2@10 a=1", "3@10 b=2")
	wantVersions(t, records[5], "1@10 seen=0", "2@10 a=1", "3@10 b=2", "5@20 c=3", "6@20 d=4")
}

func testRegisterFills(t *testing.T, s Storage) {
	l := openAt(t, s, steps(100))
	register(t, l, "s", known(5, "e", "x", ""), known(5, "f", "x", "a=1"), known(7, "f", "x", "b=2"))
	want(t, appendAll(t, l, "s", late("e", "x", "a=1"), late("f", "x", "a=1 b=2"), late("f", "x", "b=3"), late("f", "x", "c=3")),
		"filled 1", "duplicate 0", "conflict 0", "filled 2")
	wantVersions(t, readAll(t, l, "s")[0], "0@5 seen=5", "1@100 a=1")
	wantVersions(t, readAll(t, l, "s")[1], "0@5 seen=5 a=1", "0@7 b=2", "2@100 c=3")

	// History has more outcomes now: a push of them is a duplicate.
	register(t, l, "s", known(5, "e", "x", "a=1 b=2"), known(5, "f", "x", "a=1"))
	want(t, appendAll(t, l, "s", late("e", "x", "b=2"), late("e", "x", "b=3"), late("e", "x", "d=4")), "duplicate 0", "conflict 0", "filled 3")
	wantVersions(t, readAll(t, l, "s")[2], "0@5 seen=5", "1@100 a=1", "0@5 b=2", "3@100 d=4")
	// History has another event with the id, known earlier for e and later for f.
	register(t, l, "s", known(4, "e", "y", "b=3"), known(6, "f", "y", ""))
	want(t, appendAll(t, l, "s", late("e", "x", "z=1"), late("e", "y", "b=3"), late("e", "y", "c=3"), late("f", "y", ""), late("f", "x", "")),
		"conflict 0", "duplicate 0", "filled 4", "conflict 0", "duplicate 0")
	wantVersions(t, readAll(t, l, "s")[3], "0@4 seen=4 b=3", "4@100 c=3")
}

// Events that were stored in format 1, without versions, can still be filled.
func testFillingsOfOldEvents(t *testing.T, s Storage) {
	l := openAt(t, s, steps(10))
	whole := late("b", "x", "a=1")
	appendAll(t, l, "s", entry("a", "x"), entry("b", string(whole.Payload)), entry("c", "x"))
	register(t, l, "s", entry("r", "x"))
	want(t, appendAll(t, l, "s", late("a", "x", ""), late("a", "x", "a=1"), late("a", "x", "a=2"), whole, late("b", "x", "b=1"), late("r", "x", "a=1"), late("c", "y", "a=1")),
		"duplicate 1", "filled 4", "conflict 1", "duplicate 2", "conflict 2", "filled 5", "conflict 3")
	wantVersions(t, readAll(t, l, "s")[3], "1@-", "4@10 a=1")
	wantVersions(t, readAll(t, l, "s")[4], "0@-", "5@10 a=1")
	register(t, l, "s", whole)
	want(t, appendAll(t, l, "s", late("b", "x", "a=1 b=1")), "filled 6")
	wantVersions(t, readAll(t, l, "s")[5], "2@0 seen=0 a=1", "6@10 b=1")
}

// testConcurrentFillings delivers each outcome of the same events from all appenders at once, with
// the other outcomes missing. Every field is filled once.
func testConcurrentFillings(t *testing.T, s Storage) {
	logs := []eventlog.Log{open(t, s)}
	if s.Shared {
		logs = append(logs, open(t, s))
	}
	inParallel(func(i int) {
		for n := range appendsEach {
			id := fmt.Sprint(n % 5)
			es := []eventlog.Entry{late(id, "x", fmt.Sprintf("f%d=1", (n+i)%7)), late(id, "x", "")}
			if _, err := logs[i%len(logs)].Append(context.Background(), "s", es); err != nil {
				t.Errorf("Append: %v", err)
				return
			}
		}
	})
	filled := map[string]int{}
	records := readAll(t, logs[0], "s")
	for _, r := range records {
		versions := len(r.Versions)
		for _, v := range r.Versions {
			if v.Position == 0 || v.Position > r.Position || records[v.Position-1].ID != r.ID {
				t.Errorf("position %d is said to follow %d", r.Position, v.Position)
			}
		}
		filled[fmt.Sprintf("%s %d", r.ID, versions)]++
	}
	for what, n := range filled {
		if n != 1 {
			t.Errorf("%d records of event and versions %s", n, what)
		}
	}
}
