// Package workload is the data of the serving benchmarks: orders of users, views of 25
// features over them, and the features computed by hand.
//
// Amounts are multiples of a quarter, so that plain float64 sums are exact and equal to the
// kernel's.
package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// Windows are those of every view, by width, with their default hops.
var Windows = [5]struct {
	Literal    string
	Width, Hop plan.Micros
}{
	{"1h", plan.Hour, plan.Minute},
	{"24h", plan.Day, 15 * plan.Minute},
	{"7d", 7 * plan.Day, plan.Hour},
	{"30d", 30 * plan.Day, 6 * plan.Hour},
	{"90d", 90 * plan.Day, plan.Day},
}

// FeaturesOfView is how many features a view has: five aggregates over each window.
const FeaturesOfView = 25

// Now is when everything is read: 2026-01-01T12:34:56Z, after every event.
const Now = plan.EventTime(1767270896000000)

// Definitions are a source, views v0, v1 … with the same features, and a service sN of the
// first N views for each number in services. Each view has another filter, which all events
// pass, so that the views do not share their states.
func Definitions(views int, services ...int) string {
	var b strings.Builder
	b.WriteString(`kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: orders
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  user: {type: int}
  at: {type: timestamp}
  amount: {type: double}
  merchant: {type: string}
`)
	for v := range views {
		fmt.Fprintf(&b, "---\nkind: FeatureView\nname: v%d\nentity: user\nsource: orders\nwhere: amount > -%d.0\nfeatures:\n", v, v+1)
		for _, w := range Windows {
			fmt.Fprintf(&b, "  count_%[1]s: count(%[1]q)\n  sum_%[1]s: sum(amount, %[1]q)\n  mean_%[1]s: mean(amount, %[1]q)\n"+
				"  max_%[1]s: max(amount, %[1]q)\n  merchants_%[1]s: distinct_count(merchant, %[1]q)\n", w.Literal)
		}
	}
	for _, n := range services {
		fmt.Fprintf(&b, "---\nkind: FeatureService\nname: s%d\nfeatures:\n", n)
		for v := range n {
			fmt.Fprintf(&b, "  - v%d\n", v)
		}
	}
	return b.String()
}

// Order is one event.
type Order struct {
	ID       string
	User     int64
	At       plan.EventTime
	Amount   float64
	Merchant string
}

// UserID makes ids that are not a dense range, as is usual.
func UserID(i int) int64 { return int64(uint64(i+1) * 0x9e3779b97f4a7c15 >> 20) }

// History draws n orders of a user before Now, in order of time. Their ages are distributed
// evenly over orders of magnitude, so that every window has some.
func History(r *rand.Rand, user, n int) []Order {
	orders := make([]Order, n)
	for i := range orders {
		least, most := math.Log(float64(plan.Minute)), math.Log(float64(89*plan.Day))
		age := math.Exp(most - (most-least)*(float64(i)+r.Float64())/float64(n))
		orders[i] = draw(r, user, i, Now-plan.EventTime(age))
	}
	return orders
}

func draw(r *rand.Rand, user, i int, at plan.EventTime) Order {
	return Order{
		ID: fmt.Sprintf("%06d-%06d", user, i), User: UserID(user), At: at,
		Amount: math.Round(math.Exp(r.NormFloat64()+3)*4) / 4, Merchant: fmt.Sprintf("merchant-%03d", r.IntN(200)),
	}
}

// Stream draws n orders of random users, one per step, from the given time on.
func Stream(r *rand.Rand, users, n int, from plan.EventTime, step plan.Micros) []Order {
	orders := make([]Order, n)
	for i := range orders {
		orders[i] = draw(r, r.IntN(users), i, from+plan.EventTime(i)*plan.EventTime(step))
	}
	return orders
}

// Values are a user's features in the order of a view.
type Values struct {
	Count    int64
	Sum      float64
	Mean     float64 // NaN without orders
	Max      float64 // NaN without orders
	Distinct int64
}

// ByHand computes the features of each window as of t.
func ByHand(orders []Order, t plan.EventTime) (out [len(Windows)]Values) {
	for w := range Windows {
		from := lower(w, t)
		v := Values{Mean: math.NaN(), Max: math.NaN()}
		merchants := map[string]bool{}
		for _, o := range orders {
			if o.At < from || o.At >= t {
				continue
			}
			v.Count++
			v.Sum += o.Amount
			if !(v.Max > o.Amount) {
				v.Max = o.Amount
			}
			merchants[o.Merchant] = true
		}
		if v.Count > 0 {
			v.Mean = v.Sum / float64(v.Count)
		}
		v.Distinct = int64(len(merchants))
		out[w] = v
	}
	return out
}

// lower is the tail of window w as of t, for times after the epoch.
func lower(w int, t plan.EventTime) plan.EventTime {
	hop := plan.EventTime(Windows[w].Hop)
	return (t - plan.EventTime(Windows[w].Width)) / hop * hop
}

// Batch converts orders to a batch of the source's columns.
func Batch(src *plan.Source, orders []Order) *vector.Batch {
	fields := make([]plan.Field, len(src.Columns))
	for i, c := range src.Columns {
		fields[i] = c.Field
	}
	b := vector.NewBatch(fields, len(orders))
	for i, o := range orders {
		b.Col("id").Str[i], b.Col("merchant").Str[i] = o.ID, o.Merchant
		b.Col("user").Int[i], b.Col("at").Int[i] = o.User, int64(o.At)
		b.Col("amount").Double[i] = o.Amount
	}
	return b
}

// Events converts orders to the kernel's events.
func Events(src *plan.Source, orders []Order) *kernel.Events {
	ev := &kernel.Events{Batch: Batch(src, orders)}
	for _, o := range orders {
		ev.Time, ev.ID = append(ev.Time, o.At), append(ev.ID, o.ID)
	}
	return ev
}
