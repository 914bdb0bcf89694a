package ledger

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

// naive is Visible, time by time.
func naive(kind Kind, runs []Run, v, last plan.EventTime) plan.EventTime {
	first := slices.MinFunc(runs, func(a, b Run) int {
		if a.From != b.From {
			return int(a.From - b.From)
		}
		if a.To != b.To {
			return int(a.To - b.To)
		}
		return int(a.Lag - b.Lag)
	})
	if v < first.From-plan.EventTime(first.Lag) {
		return v
	}
	for at := plan.EventTime(0); at <= last; at++ {
		for _, r := range runs {
			if r.From <= at && at <= r.To && at-plan.EventTime(r.Lag) > v {
				return max(v, at)
			}
		}
	}
	if kind == Files {
		return plan.Never
	}
	end := plan.EventTime(0)
	for _, r := range runs {
		end = max(end, r.To)
	}
	return max(v, end)
}

func drawRuns(t *rapid.T) []Run {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Run {
		from := rapid.Int64Range(0, 60).Draw(t, "from")
		return Run{plan.EventTime(from), plan.EventTime(from + rapid.Int64Range(0, 20).Draw(t, "length")), plan.Micros(rapid.Int64Range(0, 30).Draw(t, "lag"))}
	}), 1, 8).Draw(t, "runs")
}

func TestVisibleIsTheFirstRecordedTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		runs := drawRuns(t)
		kind := rapid.SampledFrom([]Kind{Log, Files}).Draw(t, "kind")
		times := NewTimes(kind, runs)
		before := plan.Always
		for v := plan.EventTime(-40); v < 100; v++ {
			got, want := times.Visible(v), naive(kind, runs, v, 90)
			if got != want {
				t.Fatalf("%v: %d is visible at %d, want %d", runs, v, got, want)
			}
			if got < v || got < before {
				t.Fatalf("%v: %d is visible at %d, after %d", runs, v, got, before)
			}
			before = got
		}
		if times.Visible(plan.Never) != plan.Never {
			t.Fatal("what is never known is visible")
		}
	})
}

// observed is what a view had at a time.
type observed struct{ at, complete plan.EventTime }

// drawObservations makes looks at a view that mostly follows its log, and sometimes stops for a while.
func drawObservations(t *rapid.T, after plan.EventTime, setBack bool) []observed {
	var out []observed
	at, complete := after, after
	for range rapid.IntRange(1, 200).Draw(t, "looks") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0: // no looks for a while
			at += plan.EventTime(rapid.Int64Range(0, 100).Draw(t, "gap")) * plan.EventTime(plan.Second)
		case 1: // the clock is set back
			if !setBack {
				break
			}
			at -= plan.EventTime(rapid.Int64Range(0, 15).Draw(t, "back")) * plan.EventTime(plan.Second)
		case 2: // the store is replaced
			complete -= plan.EventTime(rapid.Int64Range(0, 100).Draw(t, "lost")) * plan.EventTime(plan.Second)
		}
		at += plan.EventTime(rapid.Int64Range(1, 2*int64(plan.Second)).Draw(t, "step"))
		if rapid.IntRange(0, 3).Draw(t, "follows") > 0 {
			complete = max(complete, at-plan.EventTime(rapid.Int64Range(0, 30*int64(plan.Second)).Draw(t, "lag")))
		}
		complete = min(complete, at)
		out = append(out, observed{at, complete})
	}
	return out
}

// Whatever is observed and joined, no run says that state had more than an observation before it found.
func TestRunsNeverSayMoreThanWasObserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := drawObservations(t, plan.EventTime(1000*plan.Second), true)
		of := &track{at: plan.Always}
		for i, o := range seen {
			of.observe(o.at, o.complete)
			if len(of.runs) > maxPending+2 {
				t.Fatalf("%d runs after %d looks", len(of.runs), i+1)
			}
			for _, r := range of.runs {
				if r.From > r.To || r.Lag < 0 {
					t.Fatalf("run %+v", r)
				}
			}
		}
		for _, r := range of.runs {
			// At the ends of a run, and at each observation in it, something that was found by then is as new.
			for _, at := range append(times(seen, r), r.From, r.To) {
				claim := at - plan.EventTime(r.Lag)
				if !slices.ContainsFunc(seen, func(o observed) bool { return o.at <= at && o.complete >= claim }) {
					t.Fatalf("run %+v says that at %d state had everything before %d; observed: %+v", r, at, claim, seen)
				}
			}
		}
	})
}

// times are the times just before observations in a run, when state had what the one before found.
func times(seen []observed, r Run) (out []plan.EventTime) {
	for _, o := range seen {
		if o.at-1 > r.From && o.at-1 < r.To {
			out = append(out, o.at-1)
		}
	}
	return out
}

// A view that follows its log has one run, and after an outage what it missed is visible when it is back.
func TestAnOutageIsExact(t *testing.T) {
	of := &track{at: plan.Always}
	second := plan.EventTime(plan.Second)
	quarter := second / 4
	const lag = 5000
	for at := 1000 * second; at <= 1100*second; at += quarter {
		of.observe(at, at-lag)
	}
	if len(of.runs) != 1 || of.runs[0] != (Run{1000 * second, 1100 * second, plan.Micros(quarter + lag)}) {
		t.Fatalf("without an outage: %+v", of.runs)
	}
	for at := 1100*second + quarter; at < 1130*second; at += quarter {
		of.observe(at, 1100*second-lag)
	}
	for at := 1130 * second; at <= 1200*second; at += quarter {
		of.observe(at, at-lag)
	}
	times := NewTimes(Log, of.runs)
	for _, c := range []struct{ stored, visible plan.EventTime }{
		{1050 * second, 1050*second + quarter + lag + 1},
		{1099 * second, 1099*second + quarter + lag + 1},
		{1101 * second, 1130 * second},
		{1129 * second, 1130 * second},
		{1131 * second, 1131*second + quarter + lag + 1},
		{999 * second, 999 * second},
		{1300 * second, 1300 * second},
	} {
		if got := times.Visible(c.stored); got != c.visible {
			t.Errorf("stored at %d: visible at %d, want %d", c.stored, got, c.visible)
		}
	}
}
