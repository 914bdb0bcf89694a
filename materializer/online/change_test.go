package online

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

// with returns the rig's log and store under other definitions.
func (r *rig) with(p *plan.Plan) *rig {
	r.t.Helper()
	other := &rig{t: r.t, plan: p, log: r.log, store: r.store, events: r.events}
	other.set(r.clock())
	var err error
	if other.in, err = NewIngester(p, r.log, other.clock); err != nil {
		r.t.Fatal(err)
	}
	return other
}

// A view redefined under the same name starts from its own events. It neither reads nor
// changes the state of the old definition.
func TestRedefinedViewHasStateOfItsOwn(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		clicks, _ := traffic()
		r.push("clicks", clicks[:30]...)
		r.set(noon + second)
		r.catchUp(r.applier(nil))
		before := r.states(true, 0)

		redefined := r.with(defstest.Compile(t, strings.Replace(definitions, "total: sum(amount)", "total: sum(amount * 2.0)", 1)))
		if redefined.view("spend").Fingerprint == r.view("spend").Fingerprint {
			t.Fatal("another meaning has the same fingerprint")
		}
		var none *registry.NotMaterialized
		if _, err := registry.Live(t.Context(), r.store, redefined.view("spend")); !errors.As(err, &none) {
			t.Errorf("the redefined view is live before anything was applied: %v", err)
		}
		a := redefined.applier(nil)
		redefined.catchUp(a)
		// The other views keep their meaning, so nothing is applied to them.
		if got := a.Stats().Applied; got != 30 {
			t.Errorf("%d events were applied to the redefined view, want 30", got)
		}
		for user := range int64(4) {
			r.agree("spend", noon+second, plan.IntValue(user))
			redefined.agree("spend", noon+second, plan.IntValue(user))
		}
		for _, d := range differences(r.states(true, 0), before) {
			t.Errorf("the old definition's state changed: %s", d)
		}
		for name, state := range before {
			k, err := kernel.NewView(redefined.view("spend"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "spend") && k.NewState().Decode([]byte(state)) == nil {
				t.Fatal("a state was read under another definition")
			}
		}
	})
}

// Logged events outlive the columns of their source. In them a new column is null and a
// removed one is ignored. A column whose type changed stops its source, with an error that
// gives the position, but no other source.
func TestLogOfAChangedSchema(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		clicks, visits := traffic()
		r.push("clicks", clicks...)
		r.push("visits", visits...)
		r.set(noon + second)

		text := strings.Replace(definitions, "  shop: {type: string}\n", "  shop: {type: string}\n  device: {type: string}\n", 1)
		text = strings.Replace(text, "  total: sum(amount)\n", "  total: sum(amount)\n  devices: count(device)\n", 1)
		text = strings.Replace(text, "  refunds: sum(refund)\n", "", 1)
		text = strings.Replace(text, "  refund: {type: double, known_at: refund_at}\n  refund_at: {type: timestamp}\n", "", 1)
		changed := r.with(defstest.Compile(t, text))
		changed.catchUp(changed.applier(nil))
		expect(t, changed.read("spend", noon+second, alice), map[string]string{"n": "13 PRESENT", "devices": "0 PRESENT"})
		changed.agree("spend", noon+second, alice)

		text = strings.Replace(definitions, "amount: {type: double}", "amount: {type: int}", 1)
		text = strings.Replace(text, "where: amount > 0.0\n", "", 1)
		retyped := r.with(defstest.Compile(t, text))
		err := retyped.applier(nil).CatchUp(t.Context())
		for _, part := range []string{"log of source clicks, records 1 to 40", `"amount"`, "declared as int", "pushed as double", "rename the column"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("a column of another type: %v; it does not say %q", err, part)
			}
		}
		expect(t, retyped.read("visiting", noon+second, alice), map[string]string{"n": "3 PRESENT"})

		text = strings.Replace(definitions, "event_time: ts\nevent_id: id\n", "event_time: refund_at\nevent_id: id\n", 1)
		text = strings.Replace(text, ", known_at: refund_at", "", 1)
		for _, rows := range []string{"", "bad_rows: skip\n"} {
			retimed := r.with(defstest.Compile(t, strings.Replace(text, "max_ahead", rows+"max_ahead", 1)))
			err = retimed.applier(nil).CatchUp(t.Context())
			for _, part := range []string{"log of source clicks", "records 1 to 40"} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("a log without the event time: %v; it does not say %q", err, part)
				}
			}
		}
	})
}

// If the log is replaced or truncated under the state, new events would be skipped as already
// applied.
func TestLogThatLostRecords(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		clicks, visits := traffic()
		r.push("clicks", clicks...)
		r.push("visits", visits[0])
		r.catchUp(r.applier(nil))

		fresh := newRig(t, open, r.plan)
		fresh.push("clicks", clicks[:39]...)
		fresh.push("visits", visits...)
		mixed := &rig{t: t, plan: r.plan, log: fresh.log, store: r.store}
		mixed.set(noon + second)
		err := mixed.applier(nil).CatchUp(t.Context())
		for _, part := range []string{"view spend", "view trade", "position 40", "ends at 39", "materialize --full"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("a log that is shorter than what was applied: %v; it does not say %q", err, part)
			}
		}
	})
}

// replaceableLog and replaceableStore can be swapped for another log and store.
type (
	replaceableLog   struct{ eventlog.Log }
	replaceableStore struct{ onlinestore.Store }
)

// A failover to a lagging replica loses the newest events together with their effect. An
// applier that runs through it continues from what is left.
func TestFailoverToOlderLogAndStore(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		clicks, _ := traffic()
		p := defstest.Compile(t, definitions)
		r, replica := newRig(t, open, p), newRig(t, open, p)
		log, store := &replaceableLog{r.log}, &replaceableStore{r.store}
		a := r.applier(func(c *Config) { c.Log, c.Store = log, store })
		r.push("clicks", clicks[:20]...)
		r.catchUp(a)

		replica.push("clicks", clicks[:15]...)
		replica.catchUp(replica.applier(nil))
		log.Log, store.Store = replica.log, replica.store
		replica.push("clicks", clicks[20:]...)
		replica.catchUp(a)

		want := newRig(t, open, p)
		want.push("clicks", clicks[:15]...)
		want.push("clicks", clicks[20:]...)
		want.catchUp(want.applier(nil))
		for _, diff := range differences(replica.states(true, 0), want.states(true, 0)) {
			t.Error(diff)
		}
	})
}

// A view over files waits for its materialization; other views do not wait for it.
func TestViewWithoutStateWaits(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		text := strings.Replace(definitions, "name: clicks\nstream: true", "name: clicks\nfrom: clicks.parquet\nstream: true", 1)
		r := newRig(t, open, defstest.Compile(t, text))
		clicks, visits := traffic()
		r.push("clicks", clicks...)
		r.push("visits", visits...)
		r.set(noon + second)
		a := r.applier(nil)
		var none *registry.NotMaterialized
		if err := a.CatchUp(t.Context()); !errors.As(err, &none) || none.View.Source.Name != "clicks" {
			t.Fatalf("views without state: %v", err)
		}
		expect(t, r.read("visiting", noon+second, alice), map[string]string{"n": "3 PRESENT"})
		// A build that contains the first 30 records continues after them, although another
		// view over the source is further behind.
		for v, position := range map[string]uint64{"spend": 30, "trade": 2} {
			if err := registry.Promote(t.Context(), r.store, registry.Generation{View: r.view(v).Fingerprint, Number: 1, Build: 7, Positions: logpos.One(0, position).Fix()}); err != nil {
				t.Fatal(err)
			}
		}
		r.catchUp(a)
		expect(t, r.read("trade", noon+second, plan.StringValue("US"), plan.StringValue("US-shop")), map[string]string{"n": "19 PRESENT"})
		expect(t, r.read("spend", noon+second, alice), map[string]string{"n": "3 PRESENT"})
	})
}

func TestPushReportsErrors(t *testing.T) {
	r := newRig(t, backend.InMemory, defstest.Compile(t, definitions+`
---
kind: Source
name: prices
from: prices.parquet
event_time: ts
columns: {ts: {type: timestamp}, user: {type: int}}
`))
	var unknown *UnknownSource
	if _, err := r.in.Push(t.Context(), "click", nil); !errors.As(err, &unknown) || !strings.Contains(unknown.Message, "clicks") {
		t.Errorf("a source that does not exist: %v", err)
	}
	if _, err := r.in.Push(t.Context(), "prices", nil); !errors.As(err, &unknown) || !strings.Contains(unknown.Message, "stream: true") {
		t.Errorf("a source that takes no events: %v", err)
	}
	got := r.push("clicks",
		click("a", 1, noon, 1, "US").with("ts", plan.NullValue()), click("b", 1, noon, 1, "\xff"), click("c", 1, noon, 1, "US"),
		click("d", 1, plan.MaxTime+1, 1, "US"))
	for i, want := range []struct {
		outcome ingest.Outcome
		says    string
	}{{ingest.Rejected, "event time is null"}, {ingest.Rejected, "UTF-8"}, {ingest.Appended, ""}, {ingest.Rejected, "9999"}} {
		if got[i].Outcome != want.outcome || !strings.Contains(got[i].Message, want.says) {
			t.Errorf("row %d: %+v, want %v, %q", i, got[i], want.outcome, want.says)
		}
	}
	if got := r.push("clicks"); len(got) != 0 {
		t.Errorf("no rows: %v", got)
	}
	if end, err := r.log.End(t.Context(), "clicks"); end != 1 || err != nil {
		t.Errorf("the log has %d records, %v; one row was good", end, err)
	}
}

func TestMetricsCountAsStatsDo(t *testing.T) {
	r := busy(t, backend.InMemory)
	a := r.applier(nil)
	metrics := prometheus.NewRegistry()
	a.Register(metrics)
	r.catchUp(a)
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"unskew_applier_records_total clicks": 40, "unskew_applier_records_total visits": 10, "unskew_applier_applied_total clicks": 80,
		"unskew_applier_null_keys_total clicks": 0, "unskew_applier_conflicts_total visits": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// A pushed row with a bad value in an ordinary column is rejected, and the other rows are
// accepted, whether or not the source skips bad rows [p6].
func TestP6_PushedBadRowsAreRejectedEvenIfTheSourceSkips(t *testing.T) {
	for _, skips := range []string{"", "bad_rows: skip\n"} {
		text := strings.Replace(definitions, "max_ahead: 1h\n", "max_ahead: 1h\n"+skips, 1)
		text = strings.Replace(text, "  shop: {type: string}\n", "  shop: {type: string}\n  due: {type: timestamp}\n", 1)
		r := newRig(t, backend.InMemory, defstest.Compile(t, text))
		now := plan.TimestampValue(noon)
		got := r.push("clicks",
			click("a", 1, noon, 1, "US").with("due", now),
			click("b", 1, noon, 1, "US").with("due", plan.TimestampValue(plan.MaxTime+1)),
			click(strings.Repeat("i", 65_537), 1, noon, 1, "US").with("due", now),
			click("d", 1, noon/1000, 1, "US").with("due", now),
			click("e", 1, noon, 1, "US").with("due", plan.TimestampValue(1)))
		for i, want := range []string{"", "9999", "at most 65536", "lies in 1970", ""} {
			rejected := got[i].Outcome == ingest.Rejected
			if rejected != (want != "") || !strings.Contains(got[i].Message, want) {
				t.Errorf("%q, row %d: %+v, want %q", skips, i, got[i], want)
			}
		}
		if end, err := r.log.End(t.Context(), "clicks"); end != 2 || err != nil {
			t.Errorf("%q: the log has %d records, %v", skips, end, err)
		}
	}
}
