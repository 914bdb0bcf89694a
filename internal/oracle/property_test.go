package oracle_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/oracle/gen"
)

// scenario is the input of one property check.
type scenario struct {
	t      *rapid.T
	view   *kernel.View
	plan   *plan.View
	events []oracle.Event // with redeliveries
	unique []oracle.Event // without
	reads  []gen.Read
	oracle *oracle.Oracle
}

func check(t *testing.T, property func(s *scenario)) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		property(newScenario(rt, dir, gen.Definitions(rt, 6)))
	})
}

// newScenario draws events and reads for a view.
func newScenario(t *rapid.T, dir, text string) *scenario {
	defstest.Write(t, dir, text)
	s := &scenario{t: t, plan: load(t, dir, text), oracle: oracle.New()}
	s.events = gen.Events(t, s.plan, 24)
	s.unique = oracle.Deduplicate(s.plan.Source, s.events)
	s.reads = gen.Reads(t, s.plan, s.events, 8)
	var err error
	if s.view, err = kernel.NewView(s.plan); err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	t.Logf("%s", text)
	return s
}

// expect computes a read over the given events with the oracle.
func (s *scenario) expect(events []oracle.Event, r gen.Read) []oracle.Result {
	want, err := s.oracle.View(s.plan, events, r.Key, r.At)
	if err != nil {
		s.t.Fatal(err)
	}
	return want
}

// compare is agree and near.
func (s *scenario) compare(want []oracle.Result, got []cell) error {
	return errors.Join(agree(want, got), near(s.plan, want, got))
}

// batches divides the events at random into batches in random order.
func (s *scenario) batches() [][]oracle.Event {
	rest := rapid.Permutation(s.unique).Draw(s.t, "arrival")
	var out [][]oracle.Event
	for len(rest) > 0 {
		n := rapid.IntRange(1, len(rest)).Draw(s.t, "batch")
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return out
}

// The replay agrees with the oracle for any order and batching of the events and any number of
// parts.
func TestReplayAgreesWithTheOracle(t *testing.T) { check(t, replayAgrees) }

func replayAgrees(s *scenario) {
	var batches []*kernel.Events
	var before [][32]byte
	for _, b := range s.batches() {
		batches = append(batches, batchOf(s.plan, b))
		before = append(before, hashOf(batches[len(batches)-1]))
	}
	got, err := replay(s.view.Plan(), batches, s.reads, 1<<rapid.IntRange(0, 2).Draw(s.t, "parts"))
	if err != nil {
		s.t.Fatal(err)
	}
	for i, r := range s.reads {
		if err := s.compare(s.expect(s.events, r), got[i]); err != nil {
			s.t.Fatalf("%v at %v: %v", r.Key, r.At, err)
		}
	}
	for i, b := range batches {
		if hashOf(b) != before[i] {
			s.t.Fatal("the replay changed its input")
		}
	}
}

// Online state agrees with the oracle on the events applied so far, for any order and batching,
// with reads in between and states encoded and decoded between batches.
func TestOnlineAgreesWithTheOracle(t *testing.T) { check(t, onlineAgrees) }

func onlineAgrees(s *scenario) {
	o := newOnline(s.t, s.view)
	batches, reads := s.batches(), s.reads
	var applied []oracle.Event
	for len(batches)+len(reads) > 0 {
		switch step := rapid.IntRange(0, 3).Draw(s.t, "step"); {
		case step == 0 && len(o.states) > 0:
			o.restore()
		case len(reads) > 0 && (step == 1 || len(batches) == 0):
			if err := s.compare(s.expect(applied, reads[0]), o.read(reads[0])); err != nil {
				s.t.Fatalf("%v at %v after %d events: %v", reads[0].Key, reads[0].At, len(applied), err)
			}
			o.horizon, reads = reads[0].At, reads[1:]
		case len(batches) > 0:
			if len(reads) > 0 && step == 2 {
				o.horizon = reads[0].At
			}
			o.apply(batches[0])
			applied, batches = append(applied, batches[0]...), batches[1:]
		}
	}
}

// The bytes of a state depend only on the events: not on their order and batching, nor on when
// they were applied as long as nothing was read before.
func TestStateBytesDependOnTheEventsAlone(t *testing.T) {
	check(t, func(s *scenario) {
		at := s.reads[len(s.reads)-1].At
		one, many := newOnline(s.t, s.view), newOnline(s.t, s.view)
		one.horizon = at
		one.apply(s.unique)
		for _, b := range s.batches() {
			if many.horizon < at && rapid.Bool().Draw(s.t, "advance") {
				many.horizon = at
			}
			many.apply(b)
			many.restore()
		}
		for k, state := range one.states {
			other := many.states[k]
			state.Fold(at)
			other.Fold(at)
			if a, b := state.Append(nil), other.Append(nil); !slices.Equal(a, b) {
				s.t.Fatalf("two orders of the same events give different states:\n%x\n%x", a, b)
			}
		}
	})
}

// A state whose events are applied under clocks that jump both ways, and that is stored and
// loaded each time, can be read, has the right values at every later time, and has the bytes
// of a state to which the events were applied at once [b10].
func TestB10_StatesUnderClocksThatJump(t *testing.T) {
	check(t, func(s *scenario) {
		one, many := newOnline(s.t, s.view), newOnline(s.t, s.view)
		times := []plan.EventTime{plan.Always, plan.MinTime, plan.MaxTime}
		for _, e := range s.unique {
			times = append(times, e.Known-1, e.Known, e.Known+1, e.Time+1)
		}
		for _, b := range s.batches() {
			many.horizon = rapid.SampledFrom(times).Draw(s.t, "clock")
			many.apply(b)
			many.restore()
		}
		one.horizon = plan.Always
		one.apply(s.unique)
		for k, state := range many.states {
			at := max(state.Newest(), s.reads[0].At) + 1
			state.Fold(at)
			one.states[k].Fold(at)
			if a, b := state.Append(nil), one.states[k].Append(nil); !slices.Equal(a, b) {
				s.t.Fatalf("clocks that jump change the bytes:\n%x\n%x", a, b)
			}
		}
		for _, r := range s.reads {
			if k, ok := entitykey.AppendRow(nil, keyVectors(s.plan, []gen.Read{r}), 0); ok && many.states[string(k)] != nil {
				r.At = max(r.At, many.states[string(k)].Newest()+1)
			}
			if err := s.compare(s.expect(s.unique, r), many.read(r)); err != nil {
				s.t.Fatalf("%v at %v: %v", r.Key, r.At, err)
			}
		}
	})
}
