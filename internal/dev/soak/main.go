// Command soak runs a real server for a while under reads, pushes and rebuilds of its views, over
// the embedded store and over Redis, and checks that what it uses does not grow: memory,
// goroutines, open files, stored state.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	if r.Failures > 0 || len(r.Growing) > 0 {
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
	if l.server, err = bench.StartServer(o.command, dir, l.env, "--near-cache", "8MiB"); err != nil {
		return err
	}
	samples, err := l.run(ctx, o.length)
	err = errors.Join(err, l.server.Stop())
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
