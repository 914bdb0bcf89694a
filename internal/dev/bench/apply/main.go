// Command apply measures how fast pushed events reach states in the online store, compared
// with a floor: reading and compare-and-setting as many bytes of as many entities in the same
// store, which any applier that keeps a state per entity must do.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output.
type report struct {
	Bench       string       `json:"bench"`
	PebbleFloor bench.Figure `json:"pebble_floor_ratio"`
	RedisFloor  bench.Figure `json:"redis_floor_ratio"`
	Pebble      int          `json:"pebble_per_s"`
	Redis       int          `json:"redis_per_s"`
	TenViews    int          `json:"ten_views_per_s"`
	Visible     bench.Figure `json:"visible_p99_ms"`
	Shards8     bench.Figure `json:"shards_8_ratio"`     // one applier, against one shard
	Appliers2   bench.Figure `json:"two_appliers_ratio"` // of 8 shards, against one applier
	BulkPebble  bench.Figure `json:"bulk_pebble_ratio"`
	BulkRedis   bench.Figure `json:"bulk_redis_ratio"`
}

// sizes are what the flags set.
type sizes struct {
	users, orders, events, rounds int
	only                          string
}

func main() {
	var n sizes
	flag.IntVar(&n.users, "users", 100_000, "entities of a view")
	flag.IntVar(&n.orders, "orders", 10, "events that each of them has before")
	flag.IntVar(&n.events, "events", 200_000, "events that are applied")
	flag.IntVar(&n.rounds, "rounds", 4, "how many parts the events are applied in, each before or after a turn of the floor; an even number is fair")
	flag.StringVar(&n.only, "only", "", "run the rows of the table whose names begin with `PREFIX`, such as \"pebble, 10\"")
	profile := flag.String("profile", "", "write a CPU profile to `FILE`")
	flag.Parse()
	if *profile != "" {
		stop, err := bench.Profile(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench/apply:", err)
			os.Exit(1)
		}
		defer stop()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, n); err != nil {
		fmt.Fprintln(os.Stderr, "bench/apply:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, n sizes) error {
	out := report{Bench: "apply"}
	fmt.Printf("%-34s %12s %12s %7s %14s\n", "store, views", "events /s", "floor /s", "ratio", "CPU us/event")
	for _, r := range []struct {
		store  string
		views  int
		ratio  *bench.Figure
		rate   *int
		events int
	}{
		{"pebble", 1, &out.PebbleFloor, &out.Pebble, n.events},
		{"redis", 1, &out.RedisFloor, &out.Redis, n.events},
		{"pebble", 10, new(bench.Figure), &out.TenViews, n.events / 10},
	} {
		name := fmt.Sprintf("%s, %d", r.store, r.views)
		if !strings.HasPrefix(name, n.only) {
			continue
		}
		part := n
		part.events = r.events
		if r.views > 1 {
			part.users = n.users / 10
		}
		f, err := measure(ctx, r.store, r.views, part)
		if err != nil {
			return fmt.Errorf("%s views: %w", name, err)
		}
		*r.ratio, *r.rate = bench.Figure(f.rate/f.floor), int(f.rate)
		fmt.Printf("%-34s %12.0f %12.0f %7.2f %14.1f\n", name, f.rate, f.floor, f.rate/f.floor, f.cpu)
	}
	if strings.HasPrefix("divided", n.only) {
		one, two, err := divided(ctx, n)
		if err != nil {
			return fmt.Errorf("logs of several shards: %w", err)
		}
		out.Shards8, out.Appliers2 = bench.Figure(one), bench.Figure(two)
		fmt.Printf("8 shards against one: %.2f; two appliers of 8 shards against one: %.2f\n", one, two)
	}
	for kind, ratio := range map[string]*bench.Figure{"pebble": &out.BulkPebble, "redis": &out.BulkRedis} {
		name := "bulk, " + kind
		if !strings.HasPrefix(name, n.only) {
			continue
		}
		rate, raw, passes, err := bulk(ctx, kind, n)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*ratio = bench.Figure(rate / raw)
		fmt.Printf("%-34s %12.0f states/s, %.0f of pipelined SETs, ratio %.2f, %d passes over the history\n", name, rate, raw, rate/raw, passes)
	}
	if n.only != "" {
		return nil
	}
	ms, err := visible(ctx, n)
	if err != nil {
		return fmt.Errorf("push to visible: %w", err)
	}
	out.Visible = bench.Figure(ms)
	fmt.Printf("push to visible at 5,000 events/s: p99 %.1f ms\n\n", ms)
	return json.NewEncoder(os.Stdout).Encode(out)
}
