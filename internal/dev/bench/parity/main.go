// Parity measures what it costs a server to record its answers and to compute them again, and how fast the command does so.
//
// The same server is run without a served log, with 1 % of the entities recorded and checked, and with all of them, in turns. It is read
// as fast as it answers, which gives the throughput, and then at a fixed rate, which gives the latency.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

var (
	seconds = flag.Int("seconds", 45, "seconds of each measurement; a round of the server's checks takes up to one minute to begin")
	rounds  = flag.Int("rounds", 3, "how often each server is measured; a multiple of 3 has each of them first as often")
	rate    = flag.Int("rate", 500, "reads per second when latency is measured")
	keep    = flag.String("keep", "", "keep the project in this folder")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench-parity:", err)
		os.Exit(1)
	}
}

// contestant is a way to serve.
type contestant struct {
	name       string
	arguments  []string
	throughput []float64 // reads per second, of each round
	p99        []float64 // milliseconds
}

func run(ctx context.Context) (err error) {
	command, err := bench.BuildCommand()
	if err != nil {
		return err
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "unskew-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := writeProject(dir); err != nil {
		return err
	}
	if out, err := exec.Command(command, "materialize", "-q", "-C", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("materialize: %w: %s", err, out)
	}
	all := []*contestant{
		{name: "off"},
		{name: "1 %", arguments: []string{"--served-log", "1%", "--parity"}},
		{name: "100 %", arguments: []string{"--served-log", "100%", "--parity"}},
	}
	fmt.Printf("%-8s %12s %10s %10s\n", "recorded", "reads/s", "p50 ms", "p99 ms")
	for n := range *rounds {
		for i := range all {
			c := all[(n+i)%len(all)] // states grow with what is pushed
			if err := c.measure(ctx, command, dir); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	rows, took, different, err := report(command, dir)
	if err != nil {
		return err
	}
	fmt.Printf("unskew parity --served: %d rows of %d features in %.1f s, %d values different over what was applied\n", rows, features, took.Seconds(), different)
	cost := func(c *contestant) float64 { return 1 - bench.Median(c.throughput)/bench.Median(all[0].throughput) }
	late := func(c *contestant) float64 { return bench.Median(c.p99) - bench.Median(all[0].p99) }
	return bench.Report(struct {
		Bench      string       `json:"bench"`
		Cost1      figure       `json:"throughput_cost_1pct"`
		P99Cost1   figure       `json:"p99_cost_ms_1pct"`
		Cost100    figure       `json:"throughput_cost_100pct"`
		P99Cost100 figure       `json:"p99_cost_ms_100pct"`
		Rows       bench.Figure `json:"report_rows_per_s"`
		Different  int64        `json:"different"`
	}{"parity", figure(cost(all[1])), figure(late(all[1])), figure(cost(all[2])), figure(late(all[2])), bench.Figure(float64(rows) / took.Seconds()), different})
}

// figure is a small number.
type figure float64

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.4f", float64(f)), nil }

// measure runs the server once.
func (c *contestant) measure(ctx context.Context, command, dir string) (err error) {
	server, err := bench.StartServer(command, dir, nil, c.arguments...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	l, err := newLoad("http://" + server.Address)
	if err != nil {
		return err
	}
	length := time.Duration(*seconds) * time.Second
	if _, err := l.saturate(ctx, length/10); err != nil { // warm
		return err
	}
	reads, err := l.saturate(ctx, length)
	if err != nil {
		return err
	}
	latencies, err := l.paced(ctx, length, *rate)
	if err != nil {
		return err
	}
	slices.Sort(latencies)
	at := func(q float64) float64 { return latencies[int(q*float64(len(latencies)-1))].Seconds() * 1000 }
	c.throughput = append(c.throughput, float64(reads)/length.Seconds())
	c.p99 = append(c.p99, at(0.99))
	fmt.Printf("%-8s %12.0f %10.2f %10.2f\n", c.name, float64(reads)/length.Seconds(), at(0.5), at(0.99))
	return nil
}

// report computes all recorded rows again.
func report(command, dir string) (rows int64, took time.Duration, different int64, err error) {
	began := time.Now()
	c := exec.Command(command, "parity", "--served", "-q", "--json", "-C", dir)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, 0, 0, err
	}
	took = time.Since(began)
	var r struct {
		Rows    int64 `json:"rows"`
		Compute struct {
			Different int64 `json:"different"`
		} `json:"compute"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, 0, 0, fmt.Errorf("parity --served: %w: %s", err, stderr.String())
	}
	return r.Rows, took, r.Compute.Different, nil
}
