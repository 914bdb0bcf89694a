package main

import (
	"math"
	"math/rand/v2"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

const source = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: orders
stream: true
event_time: at
columns:
  user: {type: int}
  at: {type: timestamp}
  amount: {type: double}
  fee: {type: double}
  weight: {type: double}
  score: {type: double}
---
kind: FeatureView
name: orders_of_user
entity: user
source: orders
features:
`

// windows are those of every job, by width, with their default hops.
var windows = [3]struct {
	literal    string
	width, hop plan.Micros
}{
	{"1d", plan.Day, 15 * plan.Minute},
	{"7d", 7 * plan.Day, plan.Hour},
	{"30d", 30 * plan.Day, 6 * plan.Hour},
}

// lower is the tail of window w as of t, for times after the epoch.
func lower(w int, t int64) int64 {
	hop := int64(windows[w].hop)
	return (t - int64(windows[w].width)) / hop * hop
}

// epoch is when the events begin.
const epoch = int64(1735689600000000)

// amount is a positive amount of money in cents, most of them small.
func amount(r *rand.Rand) float64 { return math.Round(math.Exp(r.NormFloat64()+3)*100) / 100 }

// columns are events or spine rows, in the order of time.
type columns struct {
	user, at []int64
	amount   []float64 // of events
}

// draw draws n rows over a quarter of a year. Some users are much more active than others.
func draw(r *rand.Rand, n, users int) *columns {
	const span = 90 * int64(plan.Day)
	c := &columns{user: make([]int64, n), at: make([]int64, n), amount: make([]float64, n)}
	for i := range n {
		u := r.Float64()
		c.user[i] = userID(int(u * u * float64(users)))
		c.at[i] = epoch + int64(float64(i)/float64(n)*float64(span)) + r.Int64N(1000)
		c.amount[i] = amount(r)
	}
	for i := 1; i < n; i++ {
		c.at[i] = max(c.at[i], c.at[i-1])
	}
	return c
}

// userID makes ids that are not a dense range, as is usual.
func userID(i int) int64 { return int64(uint64(i+1) * 0x9e3779b97f4a7c15 >> 20) }

// batch returns rows [from, to) for the kernel, without copying them.
func (c *columns) batch(from, to int) *kernel.Events {
	n := to - from
	b := &vector.Batch{N: n}
	add := func(name string, v vector.Vector) {
		v.N = n
		b.Fields = append(b.Fields, plan.Field{Name: name, Type: v.Type})
		b.Cols = append(b.Cols, &v)
	}
	add("user", vector.Vector{Type: plan.T(plan.Int), Int: c.user[from:to]})
	add("at", vector.Vector{Type: plan.T(plan.Timestamp), Int: c.at[from:to]})
	if c.amount != nil {
		add("amount", vector.Vector{Type: plan.T(plan.Double), Double: c.amount[from:to]})
	}
	return &kernel.Events{Batch: b, Time: eventTimes(c.at[from:to])}
}

// eventTimes copies microseconds to the kernel's type.
func eventTimes(at []int64) []plan.EventTime {
	out := make([]plan.EventTime, len(at))
	for i, t := range at {
		out[i] = plan.EventTime(t)
	}
	return out
}
