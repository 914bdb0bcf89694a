package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// laboratory runs tasks and keeps their figures.
type laboratory struct {
	options
	report report
}

// task is one line of the table, or some.
type task struct {
	name string
	long bool // only on request
	run  func(context.Context, *laboratory) error
}

var tasks = []task{
	{"agg", false, func(ctx context.Context, l *laboratory) error {
		return l.windows(ctx, "3 exact windows × sum, count, max", []span{{1, 0}, {7, 0}, {30, 0}}, &l.report.Agg, &l.report.AggMemory)
	}},
	{"hop", false, func(ctx context.Context, l *laboratory) error {
		return l.windows(ctx, "3 windows with hops × sum, count, max", []span{{1, 1}, {7, 6}, {30, 24}}, &l.report.Hop, new(bench.Figure))
	}},
	{"latest", false, latest},
	{"windows", false, tenthWindow},
	{"views", false, manyViews},
	{"taxi", false, taxi},
	{"spill", true, spill},
}

// sql runs statements in a process of their own.
func (l *laboratory) sql(ctx context.Context, statements string) (usage, error) {
	program, err := self()
	if err != nil {
		return usage{}, err
	}
	return measure(ctx, program, "sql", l.dir, fmt.Sprint(l.threads), statements)
}

// train builds the training set of a project over d.
func (l *laboratory) train(ctx context.Context, d data, definitions string, flags ...string) (usage, error) {
	dir, err := l.write(definitions)
	if err != nil {
		return usage{}, err
	}
	args := append([]string{"train", "-q", "-C", dir, "--service", "s", "--spine", "../" + d.name + "-spine.parquet", "--time", "ts", "--label", "label",
		"--out", filepath.Join(l.dir, "ours"), "--threads", fmt.Sprint(l.threads)}, flags...)
	return l.best(func() (usage, error) { return measure(ctx, l.unskew, args...) })
}

func (l *laboratory) best(run func() (usage, error)) (usage, error) {
	var best usage
	for range max(1, l.rounds) {
		u, err := run()
		if err != nil {
			return usage{}, err
		}
		best = best.less(u)
	}
	return best, nil
}

// race runs a training set and SQL for the same, compares their answers (columns maps ours
// to theirs) and returns the ratios.
func (l *laboratory) race(ctx context.Context, job string, d data, definitions, query string, columns map[string]string) (speed, memory bench.Figure, err error) {
	if err := l.make(ctx, d); err != nil {
		return 0, 0, err
	}
	ours, err := l.train(ctx, d, definitions)
	if err != nil {
		return 0, 0, err
	}
	theirs, err := l.best(func() (usage, error) { return l.sql(ctx, copyTo("theirs.parquet", query)) })
	if err != nil {
		return 0, 0, err
	}
	if _, err := l.sql(ctx, "SELECT 1\n--\n"+differences("ours/data.parquet", "theirs.parquet", columns)); err != nil {
		return 0, 0, err
	}
	speed = bench.Figure(l.clock(theirs).Seconds() / l.clock(ours).Seconds())
	memory = bench.Figure(float64(ours.peak) / float64(theirs.peak))
	line(job, "DuckDB", theirs, "")
	line("", "unskew", ours, fmt.Sprintf("%7.2f %7.2f", float64(speed), float64(memory)))
	return speed, memory, nil
}

// clock is the time that ratios are of.
func (l *laboratory) clock(u usage) time.Duration {
	if l.processor {
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

func (l *laboratory) windows(ctx context.Context, job string, spans []span, speed, memory *bench.Figure) (err error) {
	d := l.usual()
	var features []string
	columns := map[string]string{}
	for i, s := range spans {
		features = append(features, s.features(i)...)
		for _, f := range []string{"sum", "count", "max"} {
			columns[fmt.Sprintf("v0.%s_%d", f, i)] = fmt.Sprintf("%s_%d", f, i)
		}
	}
	*speed, *memory, err = l.race(ctx, job, d, d.definitions(features), windowQuery(d.name+"-spine.parquet", d.name+"-events-*.parquet", spans), columns)
	return err
}

func latest(ctx context.Context, l *laboratory) (err error) {
	d := l.usual()
	l.report.Latest, l.report.LatestMemory, err = l.race(ctx, "latest of three columns", d,
		d.definitions([]string{"amount: latest(amount)", "quantity: latest(quantity)", "kind: latest(kind)"}),
		latestQuery(d.name+"-spine.parquet", d.name+"-events-*.parquet"),
		map[string]string{"v0.amount": "amount", "v0.quantity": "quantity", "v0.kind": "kind"})
	return err
}

// tenthWindow measures what more windows of the same aggregate cost.
func tenthWindow(ctx context.Context, l *laboratory) error {
	d := l.usual()
	if err := l.make(ctx, d); err != nil {
		return err
	}
	var features []string
	var first time.Duration
	for i := range 10 {
		features = append(features, fmt.Sprintf(`sum_%d: sum(amount, "%dd/exact")`, i, 3*(i+1)))
		if i != 0 && i != 9 {
			continue
		}
		u, err := l.train(ctx, d, d.definitions(features))
		if err != nil {
			return err
		}
		if i == 0 {
			first = l.clock(u)
			line("1 exact window", "unskew", u, "")
			continue
		}
		line("10 exact windows", "unskew", u, fmt.Sprintf("each more costs %.1f %% of the first", 100*(l.clock(u)-first).Seconds()/9/first.Seconds()))
	}
	return nil
}

// manyViews measures how time and memory grow with the views over one source.
func manyViews(ctx context.Context, l *laboratory) error {
	d := l.usual()
	if err := l.make(ctx, d); err != nil {
		return err
	}
	for _, n := range []int{1, 10, 50} {
		var views [][]string
		for i := range n {
			views = append(views, []string{fmt.Sprintf(`spend: sum(amount, "%dd/exact")`, i+1)})
		}
		u, err := l.train(ctx, d, d.definitions(views...))
		if err != nil {
			return err
		}
		line(fmt.Sprintf("%d views over one source", n), "unskew", u, "")
	}
	return nil
}

// taxi is a spine with few entities that all have many events, as zones of a city have.
func taxi(ctx context.Context, l *laboratory) error {
	for _, part := range []int64{10, 5, 2, 1} {
		rows := l.taxi / part
		d := data{fmt.Sprintf("taxi-%d", rows), l.taxi, 259, rows, 4}
		if err := l.make(ctx, d); err != nil {
			return err
		}
		var views [][]string
		for _, w := range []string{"15m", "30m"} {
			views = append(views, []string{
				fmt.Sprintf(`trips: count("%s")`, w), fmt.Sprintf(`fares: sum(amount, "%s")`, w), fmt.Sprintf(`mean_fare: mean(amount, "%s")`, w),
			})
		}
		u, err := l.train(ctx, d, d.definitions(views...))
		if err != nil {
			return err
		}
		l.report.Taxi = bench.Figure(float64(rows) / l.clock(u).Seconds())
		line(fmt.Sprintf("259 hot keys, two views, %.1f M rows", float64(rows)/1e6), "unskew", u, fmt.Sprintf("%.2f M rows/s", float64(l.report.Taxi)/1e6))
	}
	return nil
}

// spill is more than the allowed memory holds.
func spill(ctx context.Context, l *laboratory) error {
	d := data{fmt.Sprintf("spill-%d-%d-%d", 5*l.events, 5*l.keys, 5*l.options.spine), 5 * l.events, 5 * l.keys, 5 * l.options.spine, 8}
	if err := l.make(ctx, d); err != nil {
		return err
	}
	var features []string
	for i, s := range []span{{1, 0}, {7, 0}, {30, 0}} {
		features = append(features, s.features(i)...)
	}
	for _, memory := range []string{"8GiB", "1GiB"} {
		u, err := l.train(ctx, d, d.definitions(features), "--memory", memory)
		if err != nil {
			return err
		}
		l.report.Spill = bench.Figure(gib(u.peak))
		line(fmt.Sprintf("%d M events, %d M rows, --memory %s", d.events/1e6, d.spine/1e6, memory), "unskew", u,
			fmt.Sprintf("%.2f µs an event", u.wall.Seconds()*1e6/float64(d.events)))
	}
	return nil
}
