package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel"
)

// ring is the tiles of one window, addressed by their number modulo the length: tile n has
// the event times [n·hop, (n+1)·hop). Each window has its own tiles, as wide as its hop, so
// that none are ever merged.
type ring struct {
	hop   int64
	tiles []plainTile
}

type plainTile struct {
	n        int64 // its number
	count    int64
	sum, max float64
}

// plainState is one user's three windows.
type plainState [3]ring

func newPlainState() *plainState {
	s := &plainState{}
	for w := range s {
		s[w] = ring{int64(windows[w].hop), make([]plainTile, windows[w].width/windows[w].hop+1)}
	}
	return s
}

func (s *plainState) apply(t int64, x float64) {
	for w := range s {
		r := &s[w]
		n := t / r.hop
		tile := &r.tiles[n%int64(len(r.tiles))]
		switch {
		case tile.n < n: // of an earlier round
			*tile = plainTile{n: n, count: 1, sum: x, max: x}
		case tile.n == n:
			tile.sum += x
			tile.count++
			tile.max = max(tile.max, x)
		}
	}
}

// read reads the three windows as of t, which is later than every event.
func (s *plainState) read(t int64) (out [3]plainTile) {
	for w := range s {
		out[w].max = math.Inf(-1)
		from := lower(w, t) / s[w].hop
		for i := range s[w].tiles {
			if x := &s[w].tiles[i]; x.n >= from && x.count > 0 {
				out[w].sum += x.sum
				out[w].count += x.count
				out[w].max = max(out[w].max, x.max)
			}
		}
	}
	return out
}

const (
	applyUsers  = 1000
	applyEvents = 200_000
	applyBatch  = 256  // events that the applier takes from the log at a time
	applyChunk  = 5000 // events that are timed together, so few that some rounds are undisturbed
)

// applying is the states of both sides and the events to apply.
type applying struct {
	events *columns
	of     []int32 // user number of each event
	plain  []*plainState
	view   *kernel.View
	states []*kernel.State
}

// raceApply applies events in order of time to states in memory that have events already. It
// excludes finding, loading and storing the states on both sides, and includes evaluating row
// expressions and moving tiles.
func raceApply() (float64, error) {
	view, err := bench.View(nine(), "orders_of_user")
	if err != nil {
		return 0, err
	}
	a := &applying{events: draw(rand.New(rand.NewPCG(3, 4)), applyEvents, applyUsers)}
	if a.view, err = kernel.NewView(view); err != nil {
		return 0, err
	}
	a.number()
	best := make([][2]time.Duration, applyEvents/2/applyChunk)
	for round := range 10 {
		a.reset()
		a.byHand(0, applyEvents/2)
		a.byKernel(0, applyEvents/2)
		runtime.GC()
		for c := range best {
			from := applyEvents/2 + c*applyChunk
			times := bench.Race(1, func() { a.byHand(from, from+applyChunk) }, func() { a.byKernel(from, from+applyChunk) })
			for i, d := range times {
				if round == 0 || d < best[c][i] {
					best[c][i] = d
				}
			}
		}
		if err := a.compare(); err != nil {
			return 0, fmt.Errorf("apply: %w", err)
		}
	}
	var ns [2]float64
	for _, d := range best {
		ns[0] += float64(d[0].Nanoseconds()) / (applyEvents / 2)
		ns[1] += float64(d[1].Nanoseconds()) / (applyEvents / 2)
	}
	return line("apply an event to the tiles of 3 windows", "ns", ns[0], ns[1]), nil
}

func (a *applying) number() {
	numbers := map[int64]int32{}
	for _, u := range a.events.user {
		if _, ok := numbers[u]; !ok {
			numbers[u] = int32(len(numbers))
		}
		a.of = append(a.of, numbers[u])
	}
}

// reset replaces all states by new ones.
func (a *applying) reset() {
	a.plain, a.states = make([]*plainState, applyUsers), make([]*kernel.State, applyUsers)
	for i := range a.plain {
		a.plain[i], a.states[i] = newPlainState(), a.view.NewState()
	}
}

func (a *applying) byHand(from, to int) {
	for i := from; i < to; i++ {
		a.plain[a.of[i]].apply(a.events.at[i], a.events.amount[i])
	}
}

func (a *applying) byKernel(from, end int) {
	var one [1]int32
	for ; from < end; from += applyBatch {
		to := min(from+applyBatch, end)
		rows := a.view.Eval(a.events.batch(from, to))
		for i := from; i < to; i++ {
			one[0] = int32(i - from)
			a.states[a.of[i]].Apply(rows, one[:], plan.Never)
		}
	}
}

func (a *applying) compare() error {
	t := a.events.at[applyEvents-1] + 1
	at := make([]plan.EventTime, applyUsers)
	for i := range at {
		at[i] = plan.EventTime(t)
	}
	f := a.view.Read(a.states, at)
	for u := range a.states {
		for w, want := range a.plain[u].read(t) {
			sum, count := f.Cols[3*w].Vec.Double[u], f.Cols[3*w+1].Vec.Int[u]
			most := math.Inf(-1)
			if f.Cols[3*w+2].Status[u] == kernel.Present {
				most = f.Cols[3*w+2].Vec.Double[u]
			}
			if count != want.count || most != want.max || !near(sum, want.sum, 1e3) {
				return fmt.Errorf("user %d, window %s: the kernel has %d, %v, %v; by hand it is %+v", u, windows[w].literal, count, sum, most, want)
			}
		}
	}
	return nil
}
