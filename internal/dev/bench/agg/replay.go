package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// nine are the features of replay and apply: sum, count and maximum over each window.
func nine() string {
	var b strings.Builder
	b.WriteString(source)
	for _, w := range windows {
		fmt.Fprintf(&b, "  sum_%[1]s: sum(amount, %[1]q)\n  count_%[1]s: count(%[1]q)\n  max_%[1]s: max(amount, %[1]q)\n", w.literal)
	}
	return b.String()
}

// readBatch is the number of rows that a columnar reader returns at a time.
const readBatch = 2048

func raceReplay(n sizes) (float64, error) {
	view, err := bench.View(nine(), "orders_of_user")
	if err != nil {
		return 0, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	events, spine := draw(r, n.events, n.users), draw(r, n.spine, n.users)
	plain := plainReplay(events, spine)
	exact, err := kernelReplay(view, events, spine)
	if err != nil {
		return 0, err
	}
	if err := compare(exact, plain); err != nil {
		return 0, fmt.Errorf("replay: %w", err)
	}
	plain, exact = nil, nil
	runPlain := func() { plainReplay(events, spine) }
	runKernel := func() {
		if _, err := kernelReplay(view, events, spine); err != nil {
			panic(err) // the same call succeeded before
		}
	}
	best := bench.RaceLong(n.rounds, runPlain, runKernel)
	ratio := line(fmt.Sprintf("replay %s events, %s spine rows, 9 features", short(n.events), short(n.spine)), "s", best[0].Seconds(), best[1].Seconds())
	line("  its peak memory beyond the columns read", "MB", bench.Peak(runPlain)/1e6, bench.Peak(runKernel)/1e6)
	perEvent := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n.events) }
	line("  time by event", "ns", perEvent(best[0]), perEvent(best[1]))
	return ratio, nil
}

func short(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// kernelReplay does the same job with the kernel, also on one core.
func kernelReplay(view *plan.View, events, spine *columns) (*answers, error) {
	keys := []*vector.Vector{{Type: plan.T(plan.Int), N: len(spine.user), Int: spine.user}}
	replay, err := kernel.NewWhole(view, keys, eventTimes(spine.at), 16)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(events.user); i += readBatch {
		if err := replay.Add(events.batch(i, min(i+readBatch, len(events.user)))); err != nil {
			return nil, err
		}
	}
	out := newAnswers(len(spine.user))
	return out, replay.Results(func(from int, f *kernel.Features) error {
		for w := range windows {
			copy(out.sum[w][from:], f.Cols[3*w].Vec.Double[:f.N])
			copy(out.count[w][from:], f.Cols[3*w+1].Vec.Int[:f.N])
			copyPresent(out.max[w][from:], &f.Cols[3*w+2])
		}
		return nil
	})
}

// copyPresent copies the values of rows that have one.
func copyPresent(dst []float64, c *kernel.FeatureColumn) {
	for i, x := range c.Vec.Double[:c.Vec.N] {
		if c.Status[i] == kernel.Present {
			dst[i] = x
		}
	}
}

// compare compares counts and maxima exactly and sums approximately: the rounding error of a
// plain sum depends on all events that passed through the window.
func compare(exact, plain *answers) error {
	for w := range windows {
		for i, n := range plain.count[w] {
			switch {
			case exact.count[w][i] != n:
				return fmt.Errorf("row %d, window %s: the kernel counts %d, by hand it is %d", i, windows[w].literal, exact.count[w][i], n)
			case exact.max[w][i] != plain.max[w][i]:
				return fmt.Errorf("row %d, window %s: the kernel's maximum is %v, by hand it is %v", i, windows[w].literal, exact.max[w][i], plain.max[w][i])
			case !near(exact.sum[w][i], plain.sum[w][i], 1e4):
				return fmt.Errorf("row %d, window %s: the kernel's sum is %v, by hand it is %v", i, windows[w].literal, exact.sum[w][i], plain.sum[w][i])
			}
		}
	}
	return nil
}
