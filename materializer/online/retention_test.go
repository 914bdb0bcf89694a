package online

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/archive"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/registry"
)

// retaining is a rig with an archive.
func retaining(t *testing.T, open backend.Opener) (*rig, *Retention, *plan.Source) {
	t.Helper()
	r := newRig(t, open, defstest.Compile(t, definitions))
	log := archive.Over(r.log, t.TempDir())
	r.log = log
	var err error
	if r.in, err = NewIngester(r.plan, r.log, r.clock); err != nil {
		t.Fatal(err)
	}
	src, _ := r.plan.Source("clicks")
	return r, NewRetention(r.plan, log, r.store, r.clock), src
}

// Records are trimmed only if they are archived, old enough and applied by every view, and live state
// is what it would be: also that of a view that is built anew from the archive [p18].
func TestP18_ViewsHoldUpTrimming(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r, retention, src := retaining(t, open)
		push := func(n int) {
			for range n {
				r.set(r.clock() + second)
				r.push("clicks", click(fmt.Sprint(len(r.events)), 1, r.clock(), 1, "US"))
			}
		}
		trim := func(before plan.EventTime, want eventlog.Position) {
			t.Helper()
			_, err := retention.Trim(t.Context(), src, before)
			if s, err := retention.Status(t.Context(), src); err != nil || s.Shards[0].Trimmed != want {
				t.Fatalf("trimmed up to %+v, %v, want %d", s, err, want)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		store := func(before plan.EventTime) {
			t.Helper()
			if _, err := retention.Archive(t.Context(), src, before); err != nil {
				t.Fatal(err)
			}
		}
		push(10)
		trim(plan.Never, 0) // nothing is archived
		store(noon + 6*second)
		trim(plan.Never, 0) // no view has state
		r.catchUp(r.applier(nil))
		trim(noon+5*second, 0) // too young
		trim(plan.Never, 5)
		push(5)
		store(plan.Never)
		trim(plan.Never, 5) // not applied
		spend := r.live("spend")
		if err := registry.SetOffset(t.Context(), r.store, spend, logpos.One(0, 15)); err != nil {
			t.Fatal(err)
		}
		trim(plan.Never, 5) // not applied by the other view
		status, err := retention.Status(t.Context(), src)
		if s := &status.Shards[0]; err != nil || s.Slowest == nil || s.Slowest.Name != "trade" || s.Applied != 10 || s.Archived != 15 || s.End != 15 {
			t.Fatalf("%+v, %v", status, err)
		}
		if err := r.store.DeletePrefix(t.Context(), spend.OffsetKey()); err != nil {
			t.Fatal(err)
		}
		r.catchUp(r.applier(nil))
		trim(plan.Never, 5) // the newest record stays, and with it its file
		push(1)
		r.catchUp(r.applier(nil))
		trim(plan.Never, 15)
		r.loseOffsets() // views begin anew and skip what their states have
		r.catchUp(r.applier(func(c *Config) { c.Batch = 4 }))
		r.agree("spend", r.clock()+1, alice)
		r.agree("trade", r.clock()+1, plan.StringValue("US"), plan.StringValue("US-shop"))
	})
}

// A server archives records when they are old enough, trims them, and tells how many there are.
func TestRetentionOfAServer(t *testing.T) {
	r, retention, src := retaining(t, backend.InMemory)
	metrics := prometheus.NewRegistry()
	retention.Register(metrics)
	day := plan.EventTime(plan.Day)
	for range 20 {
		r.set(r.clock() + day)
		r.push("clicks", click(fmt.Sprint(len(r.events)), 1, r.clock(), 1, "US"))
		r.catchUp(r.applier(nil))
		if err := retention.retain(t.Context(), src, r.clock()-7*day); err != nil {
			t.Fatal(err)
		}
	}
	if err := retention.refresh(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	status, err := retention.Status(t.Context(), src)
	s := &status.Shards[0]
	if err != nil || s.Trimmed != s.Archived || s.Archived < 11 || s.Archived > 13 {
		t.Errorf("%+v, %v", s, err)
	}
	families, err := metrics.Gather()
	if err != nil || len(families) != 5 { // ids are not counted
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	for _, f := range families {
		want := map[string]float64{
			"unskew_log_records": float64(20 - s.Trimmed), "unskew_log_shard_records": float64(20 - s.Trimmed), "unskew_log_first_position": float64(s.Trimmed + 1),
			"unskew_log_archived_position": float64(s.Archived), "unskew_log_archive_bytes": float64(s.Bytes()),
		}[f.GetName()]
		if got := f.GetMetric()[0].GetGauge().GetValue(); got != want {
			t.Errorf("%s is %v, want %v", f.GetName(), got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := retention.Run(ctx, 7*plan.Day, func(err error) { t.Error(err) }); err != nil {
		t.Error(err)
	}
	// Records that were set back stay.
	r.set(r.clock() + 30*day)
	r.push("clicks", click("ahead", 1, r.clock(), 1, "US"), click("ahead too", 1, r.clock(), 1, "US"))
	r.set(r.clock() - 29*day)
	if did, err := r.log.SetBack(t.Context(), "clicks", r.clock()); err != nil || !did {
		t.Fatal(did, err)
	}
	r.set(r.clock() + 30*day)
	if _, err := retention.Archive(t.Context(), src, plan.Never); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		registry.SetOffset(t.Context(), r.store, r.live("spend"), logpos.One(0, 22)),
		registry.SetOffset(t.Context(), r.store, r.live("trade"), logpos.One(0, 22)),
	); err != nil {
		t.Fatal(err)
	}
	r.push("clicks", click("later", 1, r.clock(), 1, "US"))
	var back *eventlog.SetBackError
	if _, err := retention.Trim(t.Context(), src, plan.Never); !errors.As(err, &back) || back.Position != 21 {
		t.Errorf("Trim of records that were set back: %v", err)
	}
}
