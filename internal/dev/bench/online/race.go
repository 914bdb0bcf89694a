package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/unskew/unskew/internal/dev/bench"
)

// row is a line of the table: two contestants that alternate.
type row struct {
	rows, views, connections int
	ours, against            protocol
	ratio                    *bench.Figure // of throughputs
	p99                      *bench.Figure // ours divided by the other's
	least                    bool          // the ratio is the minimum of several rows
	bound                    *bench.Figure // the ratio that gRPC could reach in the previous row
	zipf                     bool          // some users are read much more often than others
}

func table(r *report) []row {
	return []row{
		{rows: 1, views: 2, connections: 16, ours: compactProto, against: toFloor, ratio: &r.R1x50, p99: &r.P99},
		{rows: 10, views: 2, connections: 16, ours: compactProto, against: toFloor, ratio: &r.R10x50},
		{rows: 100, views: 2, connections: 16, ours: compactProto, against: toFloor, ratio: &r.R100x50},
		{rows: 1, views: 10, connections: 16, ours: compactProto, against: toFloor, ratio: &r.R1x250},
		{rows: 100, views: 10, connections: 8, ours: compactProto, against: toFloor, ratio: &r.R100x250},
		{rows: 1, views: 2, connections: 16, ours: connectJSON, against: connectProto, ratio: &r.JSON},
		{rows: 100, views: 2, connections: 16, ours: connectJSON, against: connectProto, ratio: &r.JSON, least: true},
		{rows: 1, views: 2, connections: 16, ours: grpcProto, against: connectProto, ratio: &r.GRPC},
		{rows: 1, views: 2, connections: 16, ours: bareHTTP2, against: bareHTTP1, ratio: &r.Bare, bound: &r.Bound},
		{rows: 1, views: 2, connections: 16, ours: grpcProto, against: connectHTTP2, ratio: &r.GRPCHTTP2},
		{rows: 100, views: 2, connections: 16, ours: grpcProto, against: connectProto, ratio: &r.GRPC, least: true},
		{rows: 100, views: 2, connections: 16, ours: grpcProto, against: connectHTTP2, ratio: &r.GRPCHTTP2, least: true},
		{rows: 1, views: 2, connections: 16, ours: nearProto, against: compactProto, ratio: &r.Near, zipf: true},
		{rows: 1, views: 10, connections: 16, ours: nearProto, against: compactProto, ratio: &r.Near, zipf: true, least: true},
		{rows: 10, views: 2, connections: 16, ours: nearProto, against: compactProto, ratio: &r.Near10x50, zipf: true},
		{rows: 1, views: 2, connections: 16, ours: bareHTTP1, against: compactProto, ratio: &r.NearBound, zipf: true},
		{rows: 1, views: 10, connections: 16, ours: bareHTTP1, against: compactProto, ratio: &r.NearBound, zipf: true, least: true},
	}
}

func (r row) name() string {
	name := fmt.Sprintf("%dx%d, %d", r.rows, r.views*25, r.connections)
	if r.against != toFloor {
		name = fmt.Sprintf("%s to %s, %s", r.ours, r.against, name)
	}
	return name
}

// How many requests a row repeats, and how many with a Zipf distribution.
const (
	pooled     = 64
	pooledZipf = 4096
)

// race measures a row and prints it.
func (t *tested) race(ctx context.Context, r row) error {
	users := t.draw(r.rows)
	if r.zipf {
		users = t.drawZipf(r.rows)
	}
	answered := make([]int, len(users))
	if r.ours.ofFloor() { // its responses are to be as long as those of the server
		of := r.against
		if of.ofFloor() {
			of = connectProto
		}
		c, err := t.prepare(of, r, users, answered)
		if err != nil {
			return err
		}
		c.close()
	}
	ours, err := t.prepare(r.ours, r, users, answered)
	if err != nil {
		return err
	}
	defer ours.close()
	against, err := t.prepare(r.against, r, users, answered)
	if err != nil {
		return err
	}
	defer against.close()
	for turn := range t.turns + 1 {
		for _, c := range []*contestant{ours, against} {
			if err := c.run(ctx, t.turn); err != nil {
				return err
			}
			if turn == 0 { // discard the warm-up
				c.forget()
			}
		}
	}
	a, b := ours.figures(), against.figures()
	ratio := bench.Figure(a.rate / b.rate)
	if r.least && *r.ratio != 0 {
		ratio = min(ratio, *r.ratio)
	}
	*r.ratio = ratio
	if r.p99 != nil {
		*r.p99 = bench.Figure(a.p99.Seconds() / b.p99.Seconds())
	}
	if r.bound != nil {
		*r.bound = bench.Figure(t.bound(a.rate, b.rate))
	}
	t.before = b.rate
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	fmt.Printf("%-30s %9.0f %9.2f %9.0f %9.2f %7.2f  %-18s %-18s\n", r.name(), a.rate, ms(a.p99), b.rate, ms(b.p99), a.rate/b.rate, a.cpu, b.cpu)
	return nil
}

// bound returns the ratio to Connect over HTTP/1 of a server for which a gRPC call costs as much
// as a Connect call, except for the cost of the transport.
func (t *tested) bound(http2, http1 float64) float64 {
	return 1 / (1 + t.before*(1/http2-1/http1))
}

// draw draws the users of each request, different ones in one request.
func (t *tested) draw(rows int) [][]int {
	r := rand.New(rand.NewPCG(17, uint64(rows)))
	users := make([][]int, pooled)
	for i := range users {
		users[i] = r.Perm(len(t.orders))[:rows]
	}
	return users
}

// drawZipf draws the users of each request from a Zipf distribution, different ones in one request.
func (t *tested) drawZipf(rows int) [][]int {
	r := rand.New(rand.NewPCG(19, uint64(rows)))
	z := rand.NewZipf(r, 1.1, 1, uint64(len(t.orders)-1))
	users := make([][]int, pooledZipf)
	for i := range users {
		for len(users[i]) < rows {
			if u := int(z.Uint64()); !slices.Contains(users[i], u) {
				users[i] = append(users[i], u)
			}
		}
	}
	return users
}

// contestant is one side of a row: callers that send its requests during its turns.
type contestant struct {
	callers  []caller
	requests [][]byte
	answers  [][]byte
	pids     pids
	calls    int
	took     []time.Duration // of each call
	elapsed  time.Duration
	cpu      spent
}

// pids are the processes that take part in a call: its server, redis-server and this one.
type pids [3]int

// spent is the processor time of each.
type spent [3]time.Duration

func (p pids) spent() (out spent) {
	for i, pid := range p {
		out[i] = bench.Spent(pid)
	}
	return out
}

// add adds the processor time used since then.
func (s *spent) add(p pids, since spent) {
	for i, now := range p.spent() {
		s[i] += now - since[i]
	}
}

// prepare makes a contestant and checks the first response to each request. answered are the
// lengths of the responses, which requests to the floor include.
func (t *tested) prepare(p protocol, r row, users [][]int, answered []int) (*contestant, error) {
	to := t.ours
	switch {
	case p.ofFloor():
		to = t.floor
	case p == nearProto:
		to = t.near
	}
	c := &contestant{pids: pids{to.cmd.Process.Pid, t.redis.Pid(), os.Getpid()}}
	for range r.connections {
		conn, err := p.dial(to.address)
		if err != nil {
			return nil, err
		}
		c.callers = append(c.callers, conn)
	}
	for i, list := range users {
		request, err := t.request(p, r.views, list, answered[i])
		if err != nil {
			return nil, err
		}
		answer, err := c.callers[0].call(request)
		if err != nil {
			return nil, fmt.Errorf("first response over %s: %w", p, err)
		}
		answer = slices.Clone(answer)
		if err := t.check(p, answer, r.views, list, answered[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		answered[i] = len(answer)
		c.requests, c.answers = append(c.requests, request), append(c.answers, answer)
	}
	return c, nil
}

func (c *contestant) close() {
	for _, conn := range c.callers {
		_ = conn.close()
	}
}

func (c *contestant) forget() { c.calls, c.took, c.elapsed, c.cpu = 0, nil, 0, spent{} }

// run sends requests for the given time.
func (c *contestant) run(ctx context.Context, d time.Duration) error {
	var wg sync.WaitGroup
	errs := make([]error, len(c.callers))
	took := make([][]time.Duration, len(c.callers))
	begin, cpu := time.Now(), c.pids.spent()
	for i := range c.callers {
		wg.Go(func() { took[i], errs[i] = c.send(ctx, i, begin.Add(d)) })
	}
	wg.Wait()
	c.elapsed += time.Since(begin)
	c.cpu.add(c.pids, cpu)
	for i, err := range errs {
		if err != nil {
			return err
		}
		c.calls += len(took[i])
		c.took = append(c.took, took[i]...)
	}
	return nil
}

func (c *contestant) send(ctx context.Context, worker int, until time.Time) (took []time.Duration, err error) {
	for n := worker * 5; ctx.Err() == nil; n++ {
		i := n % len(c.requests)
		begin := time.Now()
		if begin.After(until) {
			return took, nil
		}
		answer, err := c.callers[worker].call(c.requests[i])
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		if !bytes.Equal(answer, c.answers[i]) {
			return nil, fmt.Errorf("request %d: the response differs from the first one", i)
		}
	}
	return nil, ctx.Err()
}

// figures are the results of a contestant.
type figures struct {
	rate float64 // calls per second
	p99  time.Duration
	cpu  string // µs of processor time per call, of each process
}

func (c *contestant) figures() figures {
	slices.Sort(c.took)
	var each [3]float64
	for i, d := range c.cpu {
		each[i] = float64(d.Microseconds()) / float64(c.calls)
	}
	return figures{
		rate: float64(c.calls) / c.elapsed.Seconds(),
		p99:  c.took[len(c.took)*99/100],
		cpu:  fmt.Sprintf("%.1f %.1f %.1f", each[0], each[1], each[2]),
	}
}
