package arrival_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/validate/arrival"
)

const (
	second = plan.EventTime(plan.Second)
	minute = plan.EventTime(plan.Minute)
	hour   = plan.EventTime(plan.Hour)
	day    = plan.EventTime(plan.Day)
	begin  = plan.EventTime(1735689600000000) // 2025-01-01T00:00:00Z
)

// source declares known times as given; the files need not be there.
func source(known, chargeback string) string {
	return `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments.csv
stream: true
event_time: at
event_id: id
` + known + `
dedup_window: 90d
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  chargeback: {type: double, outcome: true` + chargeback + `}
`
}

// pushed is an event, or an outcome of one, and when it arrives.
type pushed struct {
	id          int
	at, arrives plan.EventTime
	chargeback  bool
}

// measure pushes events, in the order in which they arrive, and measures.
func measure(t *testing.T, definitions string, events []pushed) *arrival.Report {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, definitions)
	p := defstest.Load(t, dir, featuredefs.Options{}).Plan
	now := begin
	clock := func() plan.EventTime { return now }
	on, err := backend.InMemory(context.Background(), clock)
	if err != nil {
		t.Fatal(err)
	}
	defer on.Close()
	in, err := online.NewIngester(p, on.Log, clock)
	if err != nil {
		t.Fatal(err)
	}
	src := p.Sources[0]
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	for _, e := range events {
		now = max(now, e.arrives)
		b := vector.NewBatch(fields, 1)
		for c, v := range []plan.Value{plan.StringValue(fmt.Sprint("e", e.id)), plan.TimestampValue(e.at), plan.IntValue(1), plan.DoubleValue(1), plan.NullValue()} {
			b.Cols[c].Set(0, v)
		}
		if e.chargeback {
			b = vector.NewBatch(fields, 1)
			for c, v := range []plan.Value{plan.StringValue(fmt.Sprint("e", e.id)), plan.TimestampValue(e.at), plan.IntValue(1), plan.DoubleValue(1), plan.DoubleValue(2)} {
				b.Cols[c].Set(0, v)
			}
		}
		out, err := in.Push(context.Background(), "payments", b)
		if err != nil || out[0].Message != "" {
			t.Fatal(out, err)
		}
	}
	r, err := arrival.Measure(context.Background(), on.Log, src)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// steady is events that arrive after up to a length of time, each with an outcome three days later.
func steady(n int, within plan.EventTime) (out []pushed) {
	random := rand.New(rand.NewPCG(1, 1))
	at := begin
	for i := range n {
		at += 5 * minute
		out = append(out, pushed{i, at, at + plan.EventTime(random.Int64N(int64(within))), false})
	}
	for i := range n {
		out = append(out, pushed{i, out[i].at, begin + 30*day + plan.EventTime(i), true})
	}
	return out
}

func TestDelaysAreMeasuredAndSuggested(t *testing.T) {
	r := measure(t, source("", ""), steady(1000, 40*second))
	e, c := r.Events, r.Columns[0]
	if e.Count != 1000 || e.Later < 990 || e.Suggested != "{delay: 1m}" || e.Declared != "at once" || c.Column != "chargeback" || c.Count != 1000 || c.Suggested != "{delay: 30d}" || c.Declared != "not declared" || !r.Files {
		t.Errorf("%+v", r)
	}
	r = measure(t, source("known_at: {delay: 1m}", ", known_at: {delay: 30d}"), steady(1000, 40*second))
	if e, c := r.Events, r.Columns[0]; e.Later != 0 || e.Suggested != "" || c.Suggested != "" {
		t.Errorf("declared right: %+v", r)
	}
	r = measure(t, source("known_at: {delay: 1h}", ""), steady(1000, 40*second))
	if e := r.Events; e.Later != 0 || e.Suggested != "{delay: 1m}" {
		t.Errorf("declared much longer: %+v", e)
	}
	r = measure(t, source("", ""), steady(20, 40*second))
	if e := r.Events; e.Count != 20 || e.Suggested != "" {
		t.Errorf("too few: %+v", e)
	}
}

// A job that sends the events of a day, or of an hour, is recognized.
func TestSchedulesAreRecognized(t *testing.T) {
	batch := func(every, at, lasts plan.EventTime) (out []pushed) {
		random := rand.New(rand.NewPCG(2, 2))
		for run := range plan.EventTime(5 * day / every) {
			start := begin + run*every + at
			for i := range 60 {
				out = append(out, pushed{int(run)*60 + i, start - plan.EventTime(random.Int64N(int64(every))), start + lasts*plan.EventTime(i)/60, false})
			}
		}
		return out
	}
	for _, x := range []struct {
		events []pushed
		want   string
	}{
		{batch(day, 2*hour+30*minute, 8*minute), `{schedule: "30 2 * * *", delay: 10m}`},
		{batch(hour, 17*minute, 90*second), `{schedule: "17 * * * *", delay: 2m}`},
	} {
		if r := measure(t, source("", ""), x.events); r.Events.Suggested != x.want {
			t.Errorf("%+v, want %s", r.Events, x.want)
		}
		if r := measure(t, source(`known_at: `+x.want, ""), x.events); r.Events.Suggested != "" || r.Events.Later > r.Events.Count/100 {
			t.Errorf("as suggested: %+v", r.Events)
		}
	}
}
