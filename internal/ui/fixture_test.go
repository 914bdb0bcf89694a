package ui

import (
	"fmt"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
)

const definitions = `
kind: Entity
name: customer
keys: [{name: customer_id, type: string}]
---
kind: Source
name: payments
stream: true
event_time: at
event_id: id
columns: {customer_id: {type: string}, at: {type: timestamp}, id: {type: string}, amount: {type: double}}
---
kind: FeatureView
name: spending
entity: customer
source: payments
features:
  payments_1d: count("1d")
  spent_7d: sum(amount, "7d")
  mean_30d: mean(amount, "30d")
---
kind: FeatureService
name: fraud_v1
features: [spending]
derived:
  share: "spending.payments_1d == 0 ? 0.0 : spending.spent_7d / double(spending.payments_1d)"
`

// hostile is what somebody can have as a key, an id or a value.
const hostile = "</script><script>alert(1)</script>\"'`<img src=x onerror=alert(2)>{{.}}&amp;\u202e\x00\u2028"

func tally(compared int64, causes map[recompute.Cause]int64) recompute.Tally {
	t := recompute.Tally{Compared: compared, Causes: causes}
	for _, n := range causes {
		t.Different += n
	}
	return t
}

func cell(v plan.Value, status string) recompute.Cell { return recompute.NewCell(v, status) }

// fixture is what three days of a service and an hour of another one could have.
func fixture(t testing.TB) *Parity {
	t.Helper()
	p := &Parity{Project: "shop", Origin: Served, Plan: defstest.Compile(t, definitions), Explained: map[string]Explained{}}
	start := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)
	r := &recompute.Report{Service: "fraud_v1", Fingerprint: "9f2ab8c07d55aa10", Rows: 61_440, OneIn: 1, First: "2025-03-01T00:00:02.5Z", Last: "2025-03-03T23:59:58Z",
		NotComputed: map[recompute.Reason]int64{"other_build": 412, "trimmed": 9}, NotInData: 9,
		Entities: []recompute.Entity{{Keys: "customer_id=17", Different: 240}, {Keys: "customer_id=" + hostile, Different: 31}}}
	for h := range 72 {
		n := int64(3000 + 400*((h*7)%11))
		causes := map[recompute.Cause]int64{recompute.Lag: int64((h * 5) % 23)}
		if h > 30 && h < 44 {
			causes[recompute.Late] = int64(60 + 9*(h%5))
		}
		if h == 55 {
			causes[recompute.Source] = 220
		}
		x := recompute.Period{From: start.Add(time.Duration(h) * time.Hour).Format(time.RFC3339), Compute: tally(n, nil), Data: tally(n, causes)}
		if h == 60 {
			x.Compute = tally(n, map[recompute.Cause]int64{recompute.Compute: 2})
			x.Data.Causes[recompute.Compute] = 2
			x.Data.Different += 2
		}
		r.Hours = append(r.Hours, x)
		day := recompute.Period{From: x.From[:10], Compute: x.Compute, Data: x.Data}
		r.Days = recompute.AddPeriods(r.Days, []recompute.Period{day})
		r.Compute.Add(&x.Compute)
		r.Data.Add(&x.Data)
	}
	for i, name := range []string{"spending.payments_1d", "spending.spent_7d", "spending.mean_30d", "share"} {
		f := recompute.Feature{Name: name, Compute: tally(r.Compute.Compared/4, nil), Data: tally(r.Data.Compared/4, map[recompute.Cause]int64{recompute.Lag: int64(180 + 10*i), recompute.Late: int64(200 * i)}), Days: r.Days,
			Statuses: map[string]int64{"PRESENT → PRESENT": 230}}
		if i == 2 {
			f.Compute = tally(r.Compute.Compared/4, map[recompute.Cause]int64{recompute.Compute: 2})
			f.Distance = &recompute.Distance{Values: 12, Mean: 1.5, Max: 17.25, MaxRelative: 0.31}
		}
		r.Features = append(r.Features, f)
	}
	served, want := cell(plan.DoubleValue(41.25), "PRESENT"), cell(plan.DoubleValue(58.5), "PRESENT")
	for i, cause := range []recompute.Cause{recompute.Compute, recompute.Lag, recompute.Late, recompute.Source} {
		e := recompute.Example{Feature: "spending.mean_30d", Cause: cause, Comparison: "data", ReadAt: fmt.Sprintf("2025-03-03T12:0%d:00Z", 9-i), AsOf: fmt.Sprintf("2025-03-03T12:0%d:00Z", 9-i), Keys: "customer_id=17", RequestID: fmt.Sprintf("7QX4KJ2%d", i), Row: int64(i % 2), Served: served, Computed: &served, Want: want}
		switch cause {
		case recompute.Compute:
			e.Comparison, e.Computed = "compute", nil
		default:
			e.Events = []recompute.Event{{Cause: cause, View: "spending", ID: "p08", Time: "2025-03-03T11:58:00Z", Known: "2025-03-03T11:58:01Z", Arrived: "2025-03-03T12:20:00Z", Shard: 1, Position: 4411}}
		}
		r.Examples = append(r.Examples, e)
	}
	text := recompute.Example{Feature: "share", Cause: recompute.Version, Comparison: "data", ReadAt: "2025-03-02T07:00:00Z", AsOf: "2025-03-02T07:00:00Z", Keys: "customer_id=" + hostile, RequestID: hostile,
		Served: cell(plan.StringValue(hostile), "PRESENT"), Want: cell(plan.StringValue("other"), "DEFAULTED"), Events: []recompute.Event{{Cause: recompute.Late, View: "spending", ID: hostile, Time: "2025-03-02T06:00:00Z"}}}
	text.Want.Reason = "NO_EVENTS"
	r.Examples = append(r.Examples, text)
	other := &recompute.Report{Service: "returns_v2", Fingerprint: "11", Rows: 120, OneIn: 4, First: "2025-03-03T10:00:00Z", Last: "2025-03-03T10:50:00Z", Compute: tally(240, nil), Data: tally(240, nil),
		Features: []recompute.Feature{{Name: "returns.n", Compute: tally(240, nil), Data: tally(240, nil)}},
		Hours:    []recompute.Period{{From: "2025-03-03T10:00:00Z", Compute: tally(240, nil), Data: tally(240, nil)}}}
	p.Reports = []*recompute.Report{r, other}
	x := explanation(served, want)
	p.Explained[ID("fraud_v1", &r.Examples[1])] = Explained{Explanation: x}
	p.Explained[ID("fraud_v1", &r.Examples[2])] = Explained{Failed: "the files of " + hostile + " are gone"}
	return p
}

func explanation(served, want recompute.Cell) *explain.Explanation {
	two, three := cell(plan.IntValue(2), "PRESENT"), cell(plan.IntValue(3), "PRESENT")
	x := &explain.Explanation{View: "spending", Feature: "mean_30d", Expr: "A", Type: "double", Defined: "features/spending.yaml:18:3", Version: "44c0aa9180aa7711", Entity: "customer_id=17", AsOf: "2025-03-03T12:08:00Z",
		Training: want, Replayed: &served, Served: &served, Total: 5,
		Parts: []explain.Part{{Name: "A", Call: "mean(amount)", Window: "30d", From: "2025-02-01T12:08:00Z", Training: three, Replayed: &two, Served: &two, Used: 3, LeftOut: map[explain.Reason]int64{explain.Before: 1, explain.Where: 1}}},
	}
	for i, id := range []string{"p01", "p02", hostile, "p08"} {
		e := explain.Event{ID: id, Time: fmt.Sprintf("2025-03-03T1%d:58:00Z", i), Known: fmt.Sprintf("2025-03-03T1%d:58:01Z", i), Parts: []explain.InPart{{Value: fmt.Sprint(20.5 * float64(i+1))}}}
		switch i {
		case 0:
			e.Parts[0] = explain.InPart{LeftOut: explain.Before}
		case 3:
			e.Side = explain.TrainingOnly
		}
		x.Events = append(x.Events, e)
	}
	return x
}
