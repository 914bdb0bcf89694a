package logtest

import (
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// testSetBack: the times of records from a clock that ran ahead are corrected permanently, for
// every reader. Later records get the clock's time.
func testSetBack(t *testing.T, s Storage) {
	l := openAt(t, s, steps(100, 200, 9000, 9000, 250, 300, 310, 8000, 320))
	for range 5 { // 100, 200, 9000, 9000, and 9000 again, for time does not go back
		appendAll(t, l, "s", entry("", ""))
	}
	expectTimes(t, l, 100, 200, 9000, 9000, 9000)
	for _, step := range []struct {
		to   plan.EventTime
		want bool
	}{{9000, false}, {9001, false}, {260, true}, {260, false}} {
		if did, err := l.SetBack(t.Context(), "s", step.to); err != nil || did != step.want {
			t.Fatalf("SetBack to %d: %v, %v", step.to, did, err)
		}
	}
	expectTimes(t, l, 100, 200, 260, 260, 260)
	appendAll(t, l, "s", entry("a", "")) // 300
	appendAll(t, l, "s", entry("b", "")) // 310
	appendAll(t, l, "s", entry("c", "")) // 8000
	if did, err := l.SetBack(t.Context(), "s", 315); err != nil || !did {
		t.Fatal(did, err)
	}
	want := []plan.EventTime{100, 200, 260, 260, 260, 300, 310, 315, 320}
	appendAll(t, l, "s", entry("d", "")) // 320
	expectTimes(t, l, want...)
	if did, err := l.SetBack(t.Context(), "empty", 1); err != nil || did {
		t.Errorf("SetBack of an empty shard: %v, %v", did, err)
	}
	if _, err := l.SetBack(t.Context(), "", 1); err == nil {
		t.Error("SetBack of a shard without a name")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openAt(t, s, steps(7))
	expectTimes(t, l, want...)
	appendAll(t, l, "s", entry("", ""))
	expectTimes(t, l, append(want, 320)...)
	appendAll(t, l, "other", entry("", ""))
	if newest, err := eventlog.Newest(t.Context(), l, "s"); err != nil || newest != 320 {
		t.Errorf("the newest record is of %d, %v", newest, err)
	}
	if newest, err := eventlog.Newest(t.Context(), l, "empty"); err != nil || newest != plan.Always {
		t.Errorf("the newest record of an empty shard is of %d, %v", newest, err)
	}
}

// expectTimes reads in pages of different sizes.
func expectTimes(t *testing.T, l eventlog.Log, want ...plan.EventTime) {
	t.Helper()
	for _, size := range []int{1, 2, 100} {
		var got []plan.EventTime
		for after := eventlog.Position(0); ; {
			page, err := l.Read(t.Context(), "s", after, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				got = append(got, r.Appended)
			}
			if after += eventlog.Position(len(page)); len(page) < size {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in pages of %d: appended at %v, want %v", size, got, want)
		}
	}
}

// testSetBackVersions: known times of versions that came from the wrong clock are corrected too;
// declared known times stay.
func testSetBackVersions(t *testing.T, s Storage) {
	l := openAt(t, s, steps(9000, 9000, 250))
	late := func(known plan.EventTime, fields ...string) *eventlog.Late {
		x := &eventlog.Late{Known: known}
		for _, f := range fields {
			x.Fields = append(x.Fields, eventlog.Field{Name: f, Value: []byte(f)})
		}
		return x
	}
	appendAll(t, l, "s", eventlog.Entry{ID: "a", Payload: []byte("1"), Body: []byte("b"), Late: late(100, "x")})
	appendAll(t, l, "s", eventlog.Entry{ID: "a", Payload: []byte("2"), Body: []byte("b"), Late: late(20_000, "x", "y")})
	if did, err := l.SetBack(t.Context(), "s", 200); err != nil || !did {
		t.Fatal(did, err)
	}
	appendAll(t, l, "s", eventlog.Entry{ID: "a", Payload: []byte("3"), Body: []byte("b"), Late: late(100, "x", "y", "z")})
	versions := readAll(t, l, "s")[2].Versions
	if len(versions) != 3 || versions[0].Known != 200 || versions[1].Known != 20_000 {
		t.Errorf("known %+v; want 200, the corrected time, and 20000, which was declared", versions)
	}
}
