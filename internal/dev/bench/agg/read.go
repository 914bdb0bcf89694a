package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// fiftyFeatures are the features to read, in the order that compare expects.
func fiftyFeatures() string {
	var b strings.Builder
	b.WriteString(source)
	for _, w := range windows {
		for _, c := range inputs {
			for _, f := range []string{"sum", "mean", "min", "max"} {
				fmt.Fprintf(&b, "  %s_%s_%s: %s(%s, %q)\n", f, c, w.literal, f, c, w.literal)
			}
		}
	}
	for _, w := range windows[1:] {
		fmt.Fprintf(&b, "  count_%s: count(%q)\n", w.literal, w.literal)
	}
	return b.String()
}

const (
	readUsers  = 20  // so few that their states are in the cache, like states that were just loaded
	readEvents = 300 // of each user, over a little more than the longest window
)

// reading is the states of some users, in memory and as bytes.
type reading struct {
	at      int64
	plain   []*wideState
	encoded [][]byte
	results []fifty
	view    *kernel.View
	states  []*kernel.State
	one     []*kernel.State // into which loadEach decodes each state, as the server does
	stored  [][]byte
	times   []plan.EventTime
}

// raceRead reads the features of one user at a time, like a request, from a state in memory.
// With decoding a stored state first, the ratio goes to loading; the plain state can be read
// without decoding.
func raceRead(loading *bench.Figure) (float64, error) {
	r, err := newReading()
	if err != nil {
		return 0, err
	}
	for name, by := range map[string]func(){"one by one": r.loadEach, "all at once": r.loadAll} {
		clear(r.results)
		r.encodedByHand()
		if err := r.check(by); err != nil {
			return 0, fmt.Errorf("read %s: %w", name, err)
		}
	}
	var contestants []func()
	jobs := []func(){r.encodedByHand, r.loadEach, r.loadAll, r.memoryByHand, r.readEach, r.readAll}
	repeats := []int{50, 2, 2, 50, 10, 10} // short runs, so that some are undisturbed
	for i, f := range jobs {
		contestants = append(contestants, bench.Repeat(repeats[i], f))
	}
	best := bench.Race(100, contestants...)
	us := func(i int) float64 { return float64(best[i].Nanoseconds()) / 1e3 / float64(repeats[i]*readUsers) }
	ratio := line("read 50 features of a user", "us", us(3), us(4))
	line(fmt.Sprintf("  of %d users in one call", readUsers), "us", us(3), us(5))
	*loading = bench.Figure(line("  of a user, from bytes", "us", us(0), us(1)))
	line(fmt.Sprintf("  of %d users in one call, from bytes", readUsers), "us", us(0), us(2))
	line("  size of a user's state", "kB", r.size(r.encoded), r.size(r.stored))
	return ratio, nil
}

func newReading() (*reading, error) {
	view, err := bench.View(fiftyFeatures(), "orders_of_user")
	if err != nil {
		return nil, err
	}
	r := &reading{results: make([]fifty, readUsers)}
	if r.view, err = kernel.NewView(view); err != nil {
		return nil, err
	}
	r.one = []*kernel.State{r.view.NewState()}
	rnd := rand.New(rand.NewPCG(7, 8))
	span := int64(windows[2].width)
	r.at = epoch + span + int64(plan.Day)
	for range readUsers {
		c := &columns{user: make([]int64, readEvents)}
		for i := range readEvents {
			c.at = append(c.at, epoch+int64(float64(i)/readEvents*float64(r.at-epoch))+rnd.Int64N(1000))
		}
		r.add(rnd, c)
	}
	return r, nil
}

// add creates both states of one user.
func (r *reading) add(rnd *rand.Rand, c *columns) {
	plain, state := &wideState{}, r.view.NewState()
	ev := c.batch(0, len(c.at))
	for _, name := range inputs {
		v := vector.New(plan.T(plan.Double), len(c.at))
		for i := range v.Double {
			v.Double[i] = amount(rnd)
		}
		ev.Batch.Fields = append(ev.Batch.Fields, plan.Field{Name: name, Type: v.Type})
		ev.Batch.Cols = append(ev.Batch.Cols, v)
	}
	sel := make([]int32, len(c.at))
	for i, t := range c.at {
		sel[i] = int32(i)
		var xs [len(inputs)]float64
		for k, name := range inputs {
			xs[k] = ev.Batch.Col(name).Double[i]
		}
		plain.add(t, &xs)
	}
	plain.expire(r.at)
	state.Apply(r.view.Eval(ev), sel, plan.Never)
	r.plain, r.encoded = append(r.plain, plain), append(r.encoded, plain.append(nil))
	r.stored, r.states = append(r.stored, state.Append(nil)), append(r.states, state)
	r.times = append(r.times, plan.EventTime(r.at))
}

func (r *reading) encodedByHand() {
	for u := range r.encoded {
		readEncoded(r.encoded[u], r.at, &r.results[u])
	}
}

func (r *reading) memoryByHand() {
	for u := range r.plain {
		r.plain[u].read(r.at, &r.results[u])
	}
}

func (r *reading) readEach() {
	for u := range r.states {
		r.view.Read(r.states[u:u+1], r.times[:1])
	}
}

func (r *reading) readAll() { r.view.Read(r.states, r.times) }

func (r *reading) loadEach() {
	for _, stored := range r.stored {
		load(r.one[0], stored)
		r.view.Read(r.one, r.times[:1])
	}
}

func (r *reading) loadAll() {
	for u, stored := range r.stored {
		load(r.states[u], stored)
	}
	r.view.Read(r.states, r.times)
}

func load(s *kernel.State, stored []byte) {
	if err := s.Decode(stored); err != nil {
		panic(err) // State.Append wrote it
	}
}

func (r *reading) size(list [][]byte) float64 {
	total := 0
	for _, b := range list {
		total += len(b)
	}
	return float64(total) / 1e3 / float64(len(list))
}

// check compares the results by hand with the kernel's.
func (r *reading) check(load func()) error {
	load()
	for u := range r.states {
		f := r.view.Read(r.states[u:u+1], r.times[:1])
		if err := r.results[u].compare(f); err != nil {
			return fmt.Errorf("user %d: %w", u, err)
		}
	}
	return nil
}

func (f *fifty) compare(got *kernel.Features) error {
	next := 0
	column := func() *kernel.FeatureColumn { next++; return &got.Cols[next-1] }
	for w := range windows {
		for c := range inputs {
			sum, mean, least, most := column(), column(), column(), column()
			if x := sum.Vec.Double[0]; !near(x, f.sum[w][c], 1) {
				return fmt.Errorf("window %s: the kernel's sum is %v, by hand it is %v", windows[w].literal, x, f.sum[w][c])
			}
			if x := mean.Vec.Double[0]; !near(x, f.mean[w][c], 1) {
				return fmt.Errorf("window %s: the kernel's mean is %v, by hand it is %v", windows[w].literal, x, f.mean[w][c])
			}
			if x, y := least.Vec.Double[0], most.Vec.Double[0]; x != f.min[w][c] || y != f.most[w][c] {
				return fmt.Errorf("window %s: the kernel has %v to %v, by hand it is %v to %v", windows[w].literal, x, y, f.min[w][c], f.most[w][c])
			}
		}
	}
	for w := range windows[1:] {
		if n := column().Vec.Int[0]; n != f.count[w+1] {
			return fmt.Errorf("window %s: the kernel counts %d, by hand it is %d", windows[w+1].literal, n, f.count[w+1])
		}
	}
	return nil
}
