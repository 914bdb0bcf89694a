package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// runner runs tasks and records their figures.
type runner struct {
	options
	report report
}

// task is one or several lines of the table.
type task struct {
	name string
	long bool // runs only on request
	run  func(context.Context, *runner) error
}

var tasks = []task{
	{"agg", false, func(ctx context.Context, r *runner) error {
		return r.windows(ctx, "3 exact windows × sum, count, max", exact, &r.report.Agg, &r.report.AggMemory)
	}},
	{"hop", false, func(ctx context.Context, r *runner) error {
		return r.windows(ctx, "3 windows with hops × sum, count, max", hops, &r.report.Hop, new(bench.Figure))
	}},
	{"latest", false, latest},
	{"windows", false, tenthWindow},
	{"views", false, manyViews},
	{"taxi", false, taxi},
	{"spill", true, spill},
	{"floor", true, floors},
}

// The windows of most tasks, exact or with hops.
var (
	exact = []span{{1, 0}, {7, 0}, {30, 0}}
	hops  = []span{{1, 1}, {7, 6}, {30, 24}}
)

// sql runs statements in a separate process.
func (r *runner) sql(ctx context.Context, statements string) (usage, error) {
	program, err := self()
	if err != nil {
		return usage{}, err
	}
	return measure(ctx, program, "sql", r.dir, fmt.Sprint(r.threads), statements)
}

// train builds the training set of a project over d.
func (r *runner) train(ctx context.Context, d data, definitions string, flags ...string) (usage, error) {
	dir, err := r.write(definitions)
	if err != nil {
		return usage{}, err
	}
	args := append([]string{"train", "-q", "-C", dir, "--service", "s", "--spine", "../" + d.name + "-spine.parquet", "--time", "ts", "--label", "label",
		"--out", filepath.Join(r.dir, "ours"), "--threads", fmt.Sprint(r.threads)}, flags...)
	return r.best(func() (usage, error) { return measure(ctx, r.unskew, args...) })
}

func (r *runner) best(run func() (usage, error)) (usage, error) {
	var best usage
	for range max(1, r.rounds) {
		u, err := run()
		if err != nil {
			return usage{}, err
		}
		best = best.faster(u)
	}
	return best, nil
}

// race builds a training set and runs the equivalent SQL, compares their results (columns maps
// our columns to theirs) and returns the ratios.
func (r *runner) race(ctx context.Context, job string, d data, definitions, query string, columns map[string]string) (speed, memory bench.Figure, err error) {
	if err := r.make(ctx, d); err != nil {
		return 0, 0, err
	}
	ours, err := r.train(ctx, d, definitions)
	if err != nil {
		return 0, 0, err
	}
	theirs, err := r.best(func() (usage, error) { return r.sql(ctx, copyTo("theirs.parquet", query)) })
	if err != nil {
		return 0, 0, err
	}
	if _, err := r.sql(ctx, "SELECT 1\n--\n"+differences("ours/data.parquet", "theirs.parquet", columns)); err != nil {
		return 0, 0, err
	}
	speed = bench.Figure(r.clock(theirs).Seconds() / r.clock(ours).Seconds())
	memory = bench.Figure(float64(ours.peak) / float64(theirs.peak))
	line(job, "DuckDB", theirs, "")
	line("", "unskew", ours, fmt.Sprintf("%7.2f %7.2f", float64(speed), float64(memory)))
	return speed, memory, nil
}

// clock is the time that is compared.
func (r *runner) clock(u usage) time.Duration {
	if r.processor {
		return u.cpu
	}
	return u.wall
}

func line(job, side string, u usage, rest string) {
	fmt.Printf("%-42s %-8s %6.2f s %6.2f s %4.2f GiB %s\n", job, side, u.wall.Seconds(), u.cpu.Seconds(), gib(u.peak), rest)
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// features are sum, count and max of the amount over a window.
func (s span) features(i int) []string {
	w := fmt.Sprintf("%dd/exact", s.days)
	if s.hop > 0 {
		w = fmt.Sprintf("%dd/%dh", s.days, s.hop)
	}
	return []string{
		fmt.Sprintf(`sum_%d: sum(amount, "%s")`, i, w),
		fmt.Sprintf(`count_%d: count("%s")`, i, w),
		fmt.Sprintf(`max_%d: max(amount, "%s")`, i, w),
	}
}

// windowFeatures are those of all windows.
func windowFeatures(spans []span) (features []string) {
	for i, s := range spans {
		features = append(features, s.features(i)...)
	}
	return features
}

func (r *runner) windows(ctx context.Context, job string, spans []span, speed, memory *bench.Figure) (err error) {
	d := r.usual()
	columns := map[string]string{}
	for i := range spans {
		for _, f := range []string{"sum", "count", "max"} {
			columns[fmt.Sprintf("v0.%s_%d", f, i)] = fmt.Sprintf("%s_%d", f, i)
		}
	}
	*speed, *memory, err = r.race(ctx, job, d, d.definitions(windowFeatures(spans)), windowQuery(d.name+"-spine.parquet", d.name+"-events-*.parquet", spans), columns)
	return err
}

var latestFeatures = []string{"amount: latest(amount)", "quantity: latest(quantity)", "kind: latest(kind)"}

func latest(ctx context.Context, r *runner) (err error) {
	d := r.usual()
	r.report.Latest, r.report.LatestMemory, err = r.race(ctx, "latest of three columns", d,
		d.definitions(latestFeatures),
		latestQuery(d.name+"-spine.parquet", d.name+"-events-*.parquet"),
		map[string]string{"v0.amount": "amount", "v0.quantity": "quantity", "v0.kind": "kind"})
	return err
}

// tenthWindow measures the cost of further windows of the same aggregate.
func tenthWindow(ctx context.Context, r *runner) error {
	d := r.usual()
	if err := r.make(ctx, d); err != nil {
		return err
	}
	var features []string
	var first time.Duration
	for i := range 10 {
		features = append(features, fmt.Sprintf(`sum_%d: sum(amount, "%dd/exact")`, i, 3*(i+1)))
		if i != 0 && i != 9 {
			continue
		}
		u, err := r.train(ctx, d, d.definitions(features))
		if err != nil {
			return err
		}
		if i == 0 {
			first = r.clock(u)
			line("1 exact window", "unskew", u, "")
			continue
		}
		line("10 exact windows", "unskew", u, fmt.Sprintf("each further one costs %.1f %% of the first", 100*(r.clock(u)-first).Seconds()/9/first.Seconds()))
	}
	return nil
}

// manyViews measures how time and memory grow with the number of views over one source, and what a limit on memory does to that.
func manyViews(ctx context.Context, r *runner) error {
	d := r.usual()
	if err := r.make(ctx, d); err != nil {
		return err
	}
	for _, job := range []struct {
		name  string
		views int
		flags []string
	}{
		{"1 view over one source", 1, nil},
		{"10 views over one source", 10, nil},
		{"50 views over one source", 50, nil},
		{"50 views, --memory 1GiB", 50, []string{"--memory", "1GiB"}},
	} {
		var views [][]string
		for i := range job.views {
			views = append(views, []string{fmt.Sprintf(`spend: sum(amount, "%dd/exact")`, i+1)})
		}
		u, err := r.train(ctx, d, d.definitions(views...), job.flags...)
		if err != nil {
			return err
		}
		line(job.name, "unskew", u, "")
	}
	return nil
}

// taxi has few entities with many events each, like the zones of a city.
func taxi(ctx context.Context, r *runner) error {
	for _, part := range []int64{10, 5, 2, 1} {
		rows := r.taxi / part
		d := data{fmt.Sprintf("taxi-%d", rows), r.taxi, 259, rows, 4}
		if err := r.make(ctx, d); err != nil {
			return err
		}
		var views [][]string
		for _, w := range []string{"15m", "30m"} {
			views = append(views, []string{
				fmt.Sprintf(`trips: count("%s")`, w), fmt.Sprintf(`fares: sum(amount, "%s")`, w), fmt.Sprintf(`mean_fare: mean(amount, "%s")`, w),
			})
		}
		u, err := r.train(ctx, d, d.definitions(views...))
		if err != nil {
			return err
		}
		r.report.Taxi = bench.Figure(float64(rows) / r.clock(u).Seconds())
		line(fmt.Sprintf("259 hot keys, two views, %.1f M rows", float64(rows)/1e6), "unskew", u, fmt.Sprintf("%.2f M rows/s", float64(r.report.Taxi)/1e6))
	}
	return nil
}

// spill needs more memory than is allowed.
func spill(ctx context.Context, r *runner) error {
	d := data{fmt.Sprintf("spill-%d-%d-%d", 5*r.events, 5*r.keys, 5*r.options.spine), 5 * r.events, 5 * r.keys, 5 * r.options.spine, 8}
	if err := r.make(ctx, d); err != nil {
		return err
	}
	features := windowFeatures(exact)
	for _, memory := range []string{"8GiB", "1GiB"} {
		u, err := r.train(ctx, d, d.definitions(features), "--memory", memory)
		if err != nil {
			return err
		}
		r.report.Spill = bench.Figure(gib(u.peak))
		line(fmt.Sprintf("%d M events, %d M rows, --memory %s", d.events/1e6, d.spine/1e6, memory), "unskew", u,
			fmt.Sprintf("%.2f µs per event", u.wall.Seconds()*1e6/float64(d.events)))
	}
	return nil
}
