// Command cel compares the speed of the kernels of internal/kernel/expr with that of cel-go,
// for expressions that are typical of features.
//
// Both read the same columns. The kernels evaluate a batch; cel-go evaluates row by row,
// planned with OptOptimize, through an activation that reads the columns in place. The
// results of every row are compared before anything is timed.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output.
type report struct {
	Bench   string       `json:"bench"`
	Bulk    bench.Figure `json:"bulk_median_ratio"`
	Numeric bench.Figure `json:"bulk_numeric_ratio"`
	Strings bench.Figure `json:"bulk_string_ratio"`
	Single  bench.Figure `json:"single_ratio"`
	Allocs  bench.Figure `json:"allocs_per_row"`
	// Repeated is the ratio for columns with few distinct strings.
	Repeated bench.Figure `json:"bulk_repeated_ratio"`
}

func main() {
	rows := flag.Int("rows", 1024, "rows of a batch")
	rounds := flag.Int("rounds", 15, "how often each side runs; the fastest run counts")
	budget := flag.Duration("time", 3*time.Millisecond, "about how long one run takes")
	flag.Parse()
	if err := run(*rows, *rounds, *budget); err != nil {
		fmt.Fprintln(os.Stderr, "bench/cel:", err)
		os.Exit(1)
	}
}

func run(rows, rounds int, budget time.Duration) error {
	contests, err := newContests(rows)
	if err != nil {
		return err
	}
	fmt.Printf("ns per row; bulk is a batch of %d rows, single a batch of one; x is how many times faster than cel-go\n\n", rows)
	fmt.Printf("%-58s %-8s %8s %8s %7s %8s %7s %9s\n", "expression", "kind", "cel-go", "bulk", "x", "single", "x", "allocs")
	var all, numeric, text, single []float64
	var allocs float64
	for _, c := range contests {
		if err := c.compare(); err != nil {
			return fmt.Errorf("%s: %w", c.text, err)
		}
		r := c.race(rounds, budget)
		fmt.Printf("%-58s %-8s %8.1f %8.2f %7.1f %8.1f %7.1f %9.4f\n", c.text, c.kind, r.cel, r.bulk, r.cel/r.bulk, r.single, r.cel/r.single, r.allocs)
		all, single = append(all, r.cel/r.bulk), append(single, r.cel/r.single)
		switch c.kind {
		case number:
			numeric = append(numeric, r.cel/r.bulk)
		case str:
			text = append(text, r.cel/r.bulk)
		}
		allocs = max(allocs, r.allocs)
	}
	repeated, err := raceStrings(rows, rounds, budget)
	if err != nil {
		return err
	}
	out := report{
		"cel", bench.Figure(bench.Median(all)), bench.Figure(bench.Median(numeric)), bench.Figure(bench.Median(text)),
		bench.Figure(bench.Median(single)), bench.Figure(allocs), bench.Figure(repeated),
	}
	fmt.Printf("\nmedians: bulk %.1fx (numbers %.1fx, strings %.1fx), single row %.1fx, repeated strings %.1fx; allocations per row are those of the worst expression\n",
		out.Bulk, out.Numeric, out.Strings, out.Single, out.Repeated)
	return bench.Report(out)
}
