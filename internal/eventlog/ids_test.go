package eventlog

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Segments remember each id for its time, not much longer, in few places, and refuse every
// delivery that may have been forgotten. What is stored of them rarely changes [p15].
func TestP15_SegmentsCoverWhatTheyForget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type placed struct {
			e       Entry
			at      plan.EventTime
			segment uint32
		}
		s := NoSegments()
		keep := plan.Micros(rapid.SampledFrom([]int64{1, 3, 1000, int64(14 * plan.Day)}).Draw(t, "keep"))
		now := plan.EventTime(0)
		var all []placed
		for i := range rapid.IntRange(1, 100).Draw(t, "entries") {
			now += plan.EventTime(rapid.Int64Range(0, int64(keep)).Draw(t, "passed"))
			ahead := rapid.SampledFrom([]plan.EventTime{0, 0, -plan.EventTime(keep), -50 * plan.EventTime(keep), plan.EventTime(keep)}).Draw(t, "ahead")
			e := Entry{ID: fmt.Sprint(i), Time: now + ahead, Keep: keep}
			s.Forget(now)
			if !s.Refuses(&e) {
				all = append(all, placed{e, now, s.Place(&e, now)})
			}
			if len(s.List) > mostSegments {
				t.Fatalf("%d segments", len(s.List))
			}
			listed := map[uint32]bool{}
			for _, g := range s.List {
				listed[g.Number] = true
			}
			for _, p := range all {
				due := max(p.at, p.e.Time) + plan.EventTime(keep)
				switch {
				case !listed[p.segment] && now < due:
					t.Fatalf("%+v is forgotten at %d", p, now)
				case !listed[p.segment] && !s.Refuses(&p.e):
					t.Fatalf("%+v may count again at %d", p, now)
				}
			}
			decoded, err := DecodeSegments(s.Encode())
			if err != nil || !reflect.DeepEqual(decoded, s) && len(s.List) > 0 {
				t.Fatalf("%+v is decoded as %+v, %v", s, decoded, err)
			}
		}
	})
}

// A steady stream needs few segments, forgets within one and a half times its window, and seldom
// changes what is stored.
func TestSegmentsOfASteadyStream(t *testing.T) {
	s, keep, changes := NoSegments(), 14*plan.Day, 0
	last := ""
	minute := plan.EventTime(plan.Minute)
	for now := plan.EventTime(0); now < 10*plan.EventTime(keep); now += minute {
		e := Entry{ID: "i", Time: now - minute, Keep: keep}
		s.Forget(now)
		s.Place(&e, now)
		if text := string(s.Encode()); text != last {
			last, changes = text, changes+1
		}
		if oldest := s.List[0].Began; now-oldest > plan.EventTime(keep)*3/2 || len(s.List) > 6 {
			t.Fatalf("at %v, %d segments since %v", now, len(s.List), oldest)
		}
	}
	if changes > 10*(2*64+4) {
		t.Errorf("what is stored changed %d times in 10 windows", changes)
	}
}

func TestDamagedSegments(t *testing.T) {
	for _, n := range []int{1, 7, 9, 8 + segmentLen - 1} {
		if _, err := DecodeSegments(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were decoded", n)
		}
	}
}
