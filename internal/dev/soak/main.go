// Command soak runs a real server for a while under reads, rebuilds of its views, and pushes that
// come late, out of order and again, over the embedded store and over Redis. It checks that what the
// server uses does not grow: memory, goroutines, open files, stored state; and that the server, which
// computes its answers again, finds nothing wrong with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output.
type report struct {
	Bench    string   `json:"bench"`
	Seconds  int      `json:"seconds"` // of each store
	Reads    int64    `json:"reads"`
	Pushed   int64    `json:"pushed"`
	Rebuilds int64    `json:"rebuilds"`
	Failures int64    `json:"failures"` // of requests and rebuilds
	Growing  []string `json:"growing"`
	Checked  int64    `json:"checked"` // values that were computed again
	Alarms   int64    `json:"alarms"`  // of these, those that were taken for wrong
}

type options struct {
	command string
	length  time.Duration // of each store
}

func main() {
	var o options
	flag.StringVar(&o.command, "unskew", "bin/unskew", "the `COMMAND` that is run")
	flag.DurationVar(&o.length, "length", 5*time.Minute, "how long each of the two stores is used")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := run(ctx, o, func(line string) { fmt.Println(line) })
	if err == nil {
		err = bench.Report(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if r.Failures > 0 || r.Alarms > 0 || len(r.Growing) > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, print func(string)) (r report, err error) {
	r = report{Bench: "soak", Seconds: int(o.length.Seconds()), Growing: []string{}}
	for _, kind := range []string{"pebble", "redis"} {
		if err := soak(ctx, o, kind, &r, print); err != nil {
			return r, fmt.Errorf("%s: %w", kind, err)
		}
	}
	return r, nil
}

// soak uses one store.
func soak(ctx context.Context, o options, kind string, r *report, print func(string)) (err error) {
	dir, err := os.MkdirTemp("", "unskew-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := writeProject(dir); err != nil {
		return err
	}
	l := &load{command: o.command, dir: dir, kind: kind}
	if kind == "redis" {
		redis, err := bench.StartRedis()
		if err != nil {
			return err
		}
		defer func() { _ = redis.Close() }()
		l.redis, l.env = redis, []string{"UNSKEW_REDIS_ADDRESSES=" + redis.Address}
	}
	if err := l.materialize(ctx); err != nil {
		return err
	}
	if l.server, err = bench.StartServer(o.command, dir, l.env, "--near-cache", "8MiB", "--served-log", served, "--parity"); err != nil {
		return err
	}
	samples, err := l.run(ctx, o.length)
	f, failed := l.parity()
	err = errors.Join(err, failed, l.server.Stop())
	r.Checked, r.Alarms = r.Checked+f.checked, r.Alarms+f.alarms
	print(fmt.Sprintf("%-7s parity: %d values computed again in %d rounds, %d false alarms; %s", kind, f.checked, f.rounds, f.alarms, f.why))
	if wrong := strings.Count(l.server.Log(), "level=ERROR"); wrong > 0 {
		r.Failures += int64(wrong)
		print(fmt.Sprintf("%s: the server's log has %d errors", kind, wrong))
	}
	r.Reads, r.Pushed, r.Rebuilds, r.Failures = r.Reads+l.reads.Load(), r.Pushed+l.pushed.Load(), r.Rebuilds+l.rebuilds.Load(), r.Failures+l.failures.Load()
	if failure := l.failure.Load(); failure != nil {
		print(kind + ": a failure: " + *failure)
	}
	for _, m := range measures {
		verdict := m.judge(samples)
		print(fmt.Sprintf("%-7s %s", kind, verdict))
		if verdict.growing {
			r.Growing = append(r.Growing, kind+" "+m.name)
		}
	}
	return err
}
