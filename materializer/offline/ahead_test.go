package offline

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend/backendtest"
)

// lateGroups are the late columns of orders, each with the one that says when it is known.
var lateGroups = [][]string{{"returned", "returned_at"}, {"fee"}, {"grade", "graded_at"}}

// drawAhead draws rows of files that hold outcomes known in the future, and deliveries that are
// pushed before that: with the same outcomes, with others, or with none.
func drawAhead(t *rapid.T) (files, pushed []orderRow) {
	at := func(from, to int64, what string) plan.Value {
		return plan.TimestampValue(midnight + plan.EventTime(rapid.Int64Range(from, to).Draw(t, what))*second)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "orders") {
		full := orderRow{
			"id": plan.StringValue(fmt.Sprint("o", i)), "user": plan.IntValue(rapid.Int64Range(1, 2).Draw(t, "user")), "ts": at(-90, -10, "ts"),
			"amount": plan.DoubleValue(float64(i) + 0.5), "returned": plan.BoolValue(rapid.IntRange(0, 3).Draw(t, "returned") > 0), "returned_at": at(-10, 30, "returned at"),
			"fee": plan.DoubleValue(float64(i)), "grade": plan.IntValue(int64(i + 2)), "graded_at": at(-10, 30, "graded at"),
		}
		some := func(seen plan.Value) orderRow {
			row := maps.Clone(full)
			for _, names := range lateGroups {
				if rapid.Bool().Draw(t, "missing "+names[0]) {
					for _, c := range names {
						row[c] = plan.NullValue()
					}
				}
			}
			row["seen"] = seen
			return row
		}
		if rapid.Bool().Draw(t, "event in files") {
			files = append(files, some(at(-10, 5, "seen")))
		}
		for range rapid.IntRange(1, 2).Draw(t, "rows of files") {
			files = append(files, some(at(5, 90, "seen later")))
		}
		for range rapid.IntRange(1, 4).Draw(t, "deliveries") {
			row := some(at(-10, 20, "pushed"))
			if !row["grade"].IsNull() && rapid.IntRange(0, 7).Draw(t, "other grade") == 0 {
				row["grade"] = plan.IntValue(9)
			}
			pushed = append(pushed, row)
		}
	}
	return files, rapid.Permutation(pushed).Draw(t, "order")
}

// Outcomes that files hold for the future and that are pushed before: training has the oracle's
// values, and live state equals a new build at every later time, on both logs, for any batches and
// any servers, some with clocks that are behind [w7].
func TestW7_FilesAheadOfPushes(t *testing.T) {
	anyKind := backendtest.Any(t)
	p := newProject(t)
	defined := p.define(t, fmt.Sprintf(orders, "known_at: seen"))
	rapid.Check(t, func(rt *rapid.T) {
		s, closeBook := openBook(rt, p, defined, anyKind(rt))
		defer closeBook()
		files, pushed := drawAhead(rt)
		s.writeFile(p, "orders-0.parquet", files)
		s.materialize()
		for len(pushed) > 0 {
			s.now.Add(int64(second) * rapid.Int64Range(0, 15).Draw(rt, "later"))
			n := rapid.IntRange(1, min(3, len(pushed))).Draw(rt, "at once")
			s.push(pushed[:n]...)
			pushed = pushed[n:]
			switch rapid.IntRange(0, 5).Draw(rt, "then") {
			case 0, 1, 2:
				s.catchUpAs(rapid.IntRange(1, 4).Draw(rt, "batch"), second*plan.EventTime(rapid.Int64Range(-20, 0).Draw(rt, "ahead")))
			case 3:
				s.materialize()
			}
		}
		s.now.Add(int64(second) * rapid.Int64Range(0, 40).Draw(rt, "last"))
		s.catchUpAs(rapid.IntRange(1, 4).Draw(rt, "batch"), 0)
		s.expect(s.history(), s.kept, moments(s.kept))
		s.compareWithRebuilt()
	})
}

// compareWithRebuilt compares the live states with those of a new build, as of now and as of every
// later time at which something becomes known.
func (s *orderBook) compareWithRebuilt() {
	s.t.Helper()
	times := append(slices.DeleteFunc(moments(s.kept), func(at plan.EventTime) bool { return at <= s.clock() }), s.clock()+1)
	live := map[plan.EventTime]map[string]string{}
	for _, at := range times {
		live[at] = s.states(at)
	}
	s.materialize()
	for _, at := range times {
		if rebuilt := s.states(at); !maps.Equal(live[at], rebuilt) {
			s.t.Fatalf("live state and a new build differ as of %v:\n%x\n%x", at, live[at], rebuilt)
		}
	}
}
