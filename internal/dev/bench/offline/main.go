// Command offline compares `unskew train` with DuckDB on the same files, and checks that the
// results are the same. Every figure is of a whole process: this program starts bin/unskew
// and, for the SQL, itself, and measures their time, processor time and peak resident memory.
//
// The SQL is the best that we could write for each job (sql.go); faster queries are welcome.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output. Ratios of time are DuckDB's divided by ours, ratios of
// memory ours divided by DuckDB's. The figure of a task that was not run is 0.
type report struct {
	Bench        string       `json:"bench"`
	Agg          bench.Figure `json:"agg_ratio"`
	AggMemory    bench.Figure `json:"agg_memory_ratio"`
	Latest       bench.Figure `json:"latest_ratio"`
	LatestMemory bench.Figure `json:"latest_memory_ratio"`
	Hop          bench.Figure `json:"hop_ratio"`
	Taxi         bench.Figure `json:"taxi_rows_per_s"`
	Spill        bench.Figure `json:"spill_peak_gib"`
}

// options are what the flags set.
type options struct {
	events, keys, spine int64
	taxi                int64 // largest number of spine rows of the taxi task
	spill               bool
	rounds, threads     int
	only                string
	dir, unskew         string
	processor           bool // compare processor time
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sql" {
		exit(runSQL(os.Args[2:]))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		exit(runFloor(os.Args[2:]))
		return
	}
	var o options
	flag.Int64Var(&o.events, "events", 20_000_000, "events")
	flag.Int64Var(&o.keys, "keys", 100_000, "entities")
	flag.Int64Var(&o.spine, "spine", 2_000_000, "rows of the spine")
	flag.Int64Var(&o.taxi, "taxi", 10_000_000, "largest number of spine rows with few hot entities; a tenth, a fifth and a half of it are measured too")
	flag.BoolVar(&o.spill, "spill", false, "also run a task that does not fit into memory: five times the events, keys and rows; takes minutes and 10 GB of disk")
	flag.IntVar(&o.rounds, "rounds", 1, "number of runs of each side; the fastest counts")
	flag.IntVar(&o.threads, "threads", 2, "threads of each side")
	flag.StringVar(&o.only, "only", "", "run only these `TASKS` (floor is how long reading the files and writing the result takes alone): "+strings.Join(names(), ","))
	flag.StringVar(&o.dir, "dir", "", "keep data in `DIR` and use what is there (default: a temporary directory)")
	flag.StringVar(&o.unskew, "unskew", "bin/unskew", "the `PROGRAM` to measure")
	flag.BoolVar(&o.processor, "cpu", false, "compare processor time, which other work on the machine disturbs less")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/offline:", err)
		os.Exit(1)
	}
}

func names() []string {
	var out []string
	for _, t := range tasks {
		out = append(out, t.name)
	}
	return out
}

func run(ctx context.Context, o options) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "unskew-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	r := &runner{options: o, report: report{Bench: "offline"}}
	fmt.Printf("%-42s %-8s %8s %8s %8s %7s %7s\n", "job", "", "time", "cpu", "memory", "time×", "memory×")
	for _, t := range tasks {
		if o.only == "" && t.long && !(o.spill && t.name == "spill") || o.only != "" && !slices.Contains(strings.Split(o.only, ","), t.name) {
			continue
		}
		if err := t.run(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	fmt.Println()
	return bench.Report(r.report)
}
