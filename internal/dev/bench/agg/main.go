// Command agg compares the speed of the kernel with that of programs written by hand for
// exactly one job: in plain float64, without exact sums, expressions, known times,
// redeliveries, nulls or statuses. It also compares their results; sums may differ in their
// last bits, because the plain ones are rounded at every step.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output.
type report struct {
	Bench  string       `json:"bench"`
	Add    bench.Figure `json:"exact_add_ratio"`
	Replay bench.Figure `json:"replay_ratio"`
	Apply  bench.Figure `json:"apply_ratio"`
	Read   bench.Figure `json:"read_ratio"`      // of a state in memory
	Load   bench.Figure `json:"load_read_ratio"` // of a state as bytes
}

// sizes are what the flags set.
type sizes struct {
	events, users, spine int // of the replay
	rounds               int // of the replay; the other jobs take milliseconds and run more often
}

func main() {
	var n sizes
	flag.IntVar(&n.events, "events", 10_000_000, "events of the replay")
	flag.IntVar(&n.users, "users", 100_000, "entities of the replay")
	flag.IntVar(&n.spine, "spine", 1_000_000, "spine rows of the replay")
	flag.IntVar(&n.rounds, "rounds", 3, "how often each side replays; the fastest run counts")
	flag.Parse()
	if err := run(n); err != nil {
		fmt.Fprintln(os.Stderr, "bench/agg:", err)
		os.Exit(1)
	}
}

func run(n sizes) error {
	fmt.Printf("%-44s %12s %12s %7s\n", "job", "by hand", "kernel", "ratio")
	out := report{Bench: "agg"}
	for _, c := range []struct {
		figure *bench.Figure
		race   func() (float64, error)
	}{
		{&out.Add, raceAdd},
		{&out.Apply, raceApply},
		{&out.Read, func() (float64, error) { return raceRead(&out.Load) }},
		{&out.Replay, func() (float64, error) { return raceReplay(n) }},
	} {
		ratio, err := c.race()
		if err != nil {
			return err
		}
		*c.figure = bench.Figure(ratio)
	}
	fmt.Println()
	return bench.Report(out)
}

// line prints one race and returns its ratio.
func line(job, unit string, plain, kernel float64) float64 {
	fmt.Printf("%-44s %9.2f %-2s %9.2f %-2s %7.2f\n", job, plain, unit, kernel, unit, kernel/plain)
	return kernel / plain
}
