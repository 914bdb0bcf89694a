// Command online compares reads of a server with a floor: a net/http server of a few lines that
// makes one MGET of as many bytes and responds with as many bytes.
//
// Server, floor, redis-server and the load run on one machine over the loopback interface,
// alternating every half second, so that a disturbance affects both. The first response to
// each request is compared with values computed by hand, the others byte by byte with the first.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// report is the last line of the output. r… are ratios to the floor, json and grpc are ratios to
// Connect over HTTP/1, and grpc_http2 is the ratio to Connect over HTTP/2. bare_http2 compares
// net/http handlers that do nothing, over HTTP/2 and HTTP/1. grpc_bound follows from it: the
// largest grpc ratio that is possible in the row 1x50 with net/http's HTTP/2. near_cache is the ratio of
// a server with a near cache to the same server without, for entities drawn from a Zipf distribution:
// the lower one of 1x50 and 1x250. near_bound is what it would be if the near cache took no time: the ratio of
// a net/http handler that only writes as many bytes.
type report struct {
	Bench     string       `json:"bench"`
	R1x50     bench.Figure `json:"r1x50"`
	R10x50    bench.Figure `json:"r10x50"`
	R100x50   bench.Figure `json:"r100x50"`
	R1x250    bench.Figure `json:"r1x250"`
	R100x250  bench.Figure `json:"r100x250"`
	JSON      bench.Figure `json:"json"`
	GRPC      bench.Figure `json:"grpc"`
	GRPCHTTP2 bench.Figure `json:"grpc_http2"`
	Bare      bench.Figure `json:"bare_http2"`
	Bound     bench.Figure `json:"grpc_bound"`
	P99       bench.Figure `json:"p99_ratio_1x50"`
	Near      bench.Figure `json:"near_cache"`
	Near10x50 bench.Figure `json:"near_cache_10x50"`
	NearBound bench.Figure `json:"near_bound"`
}

// options are what the flags set.
type options struct {
	users, orders int
	turns         int
	turn          time.Duration
	only          string
	profile       string
	profiled      string
	role          string
	redis         string
}

func main() {
	var o options
	flag.IntVar(&o.users, "users", 4000, "entities of each view")
	flag.IntVar(&o.orders, "orders", 38, "events of each entity")
	flag.IntVar(&o.turns, "turns", 8, "how often the contestants of a row take turns")
	flag.DurationVar(&o.turn, "turn", 500*time.Millisecond, "how long a turn is")
	flag.StringVar(&o.only, "only", "", "run the rows of the table whose names begin with `PREFIX`, such as 1x50")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the server to `FILE`")
	flag.StringVar(&o.profiled, "profiled", roleServer, "the role whose profile is written: "+roleServer+" or "+roleNear)
	flag.StringVar(&o.role, "role", "", "what this process is; the program starts itself for every role")
	flag.StringVar(&o.redis, "redis", "", "address of redis-server, of a role")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/online:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	switch o.role {
	case roleServer, roleNear:
		return runServer(ctx, o)
	case roleFloor:
		return runFloor(ctx, o)
	}
	return measure(ctx, o)
}

// measure starts everything and prints the table.
func measure(ctx context.Context, o options) (err error) {
	t, err := setUp(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = closeAll(err, t) }()
	fmt.Printf("%d users, %d orders each: a state of one view has %.0f bytes on average\n\n", o.users, o.orders, t.stateBytes)
	fmt.Printf("%-30s %9s %9s %9s %9s %7s  %-18s %-18s\n", "rows x features, connections", "ours /s", "p99 ms", "floor /s", "p99 ms", "ratio", "our CPU", "floor CPU")
	out := report{Bench: "online"}
	for _, row := range table(&out) {
		if !strings.HasPrefix(row.name(), o.only) {
			continue
		}
		if err := t.race(ctx, row); err != nil {
			return fmt.Errorf("%s: %w", row.name(), err)
		}
	}
	fmt.Printf("\nnear cache: entities are drawn from a Zipf distribution (s = 1.1); no state is written meanwhile.\nCPU is microseconds of processor time per request: of the server, of Redis, of the load.\n\n")
	return json.NewEncoder(os.Stdout).Encode(out)
}
