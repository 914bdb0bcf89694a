package recompute_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/sdk"
)

// wide is a service with 50 features of users and shops.
func wide() string {
	var b strings.Builder
	b.WriteString(`
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments.csv
stream: true
event_time: ts
event_id: id
columns:
  id: {type: string}
  ts: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  country: {type: string}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
`)
	for i, window := range []string{"1h", "6h", "1d", "7d", "30d"} {
		for k, call := range []string{`count(%s)`, `sum(amount, %s)`, `mean(amount, %s)`, `max(amount, %s)`, `min(amount, %s)`, `latest(amount, %s)`, `stddev_pop(amount, %s)`,
			`count(%s).where(amount > 50.0)`, `sum(amount, %s).where(country == "DE")`, `distinct_count(country, %s)`} {
			fmt.Fprintf(&b, "  f%d: %s\n", i*10+k, fmt.Sprintf(call, strconv.Quote(window)))
		}
	}
	b.WriteString("---\nkind: FeatureService\nname: fraud\nfeatures: [spend]\n")
	return b.String()
}

// Rows of the served log that are computed again in a second: 50 features, of 20,000 users with 20 events each, pushed and applied between the
// reads. UNSKEW_BENCH_ROWS is how many rows there are.
func BenchmarkServedRows(b *testing.B) {
	rows := 100_000
	if n, err := strconv.Atoi(os.Getenv("UNSKEW_BENCH_ROWS")); err == nil {
		rows = n
	}
	const users, events, batch = 20_000, 400_000, 5_000
	random := rand.New(rand.NewPCG(1, 2))
	made := 0
	pay := func(at plan.EventTime) row {
		made++
		return row{"id": fmt.Sprint("p", made), "ts": at, "user_id": random.IntN(users), "amount": float64(random.IntN(10_000)) / 100, "country": []string{"DE", "FR", "US"}[random.IntN(3)]}
	}
	var filed []row
	for i := range events / 2 {
		filed = append(filed, pay(noon-30*24*60*minute+plan.EventTime(i)*2*second))
	}
	s := newSite(b, backend.InMemory, wide(), map[string]string{"payments.csv": csv("id,ts,user_id,amount,country", filed...)})
	defer s.end()
	s.materialize(plan.Never)
	s.served.QueueBytes = 64 << 30
	x := s.serve(s.plan)
	for n := 0; n < rows; n += batch {
		var pushed []row
		for range events / 2 * batch / rows {
			pushed = append(pushed, pay(s.clock()))
		}
		s.push("payments", pushed...)
		s.advance(second)
		s.catchUp()
		ids := make([]int64, batch)
		for i := range ids {
			ids[i] = int64(random.IntN(users))
		}
		if _, err := x.client.GetFeatures(context.Background(), "fraud", []sdk.Column{sdk.Ints("user_id", ids...)}, nil); err != nil {
			b.Fatal(err)
		}
	}
	x.end()
	for b.Loop() {
		began, used := time.Now(), processorTime(b)
		r := s.recompute(func(c *recompute.Config) { c.Memory = 4 << 30 })
		if r.Rows != int64(rows) || r.Compute.Compared != int64(50*rows) || r.Compute.Different+r.Data.Different > 0 {
			b.Fatalf("%+v", r)
		}
		b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
		b.ReportMetric((processorTime(b) - used).Seconds(), "cpu-s")
	}
}

// processorTime is what the process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
