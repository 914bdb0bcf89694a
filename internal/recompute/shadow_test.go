package recompute_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
)

// shadow is what computes the answers of a server again.
func (s *site) shadow(x *serving, change func(*recompute.ShadowConfig)) *recompute.Shadow {
	s.t.Helper()
	c := recompute.ShadowConfig{
		Plan: s.plan, Served: x.log, Log: s.on.Log, Store: s.on.Store, Past: &past{site: s}, Warn: func(err error) { s.t.Fatal(err) },
	}
	if change != nil {
		change(&c)
	}
	return recompute.NewShadow(c)
}

func smallSite(t *testing.T, definitions string) *site {
	s := newSite(t, backend.InMemory, definitions, map[string]string{
		"payments.csv": csv(paymentColumns, payment("p1", noon-2*minute, 1, 1)), "profiles.csv": csv(profileColumns), "visits.csv": csv(visitColumns, visitRows...),
	})
	t.Cleanup(s.end)
	s.materialize(plan.Never)
	return s
}

// damage puts the state of another user in the place of that of user 1.
func (s *site) damage(view string) {
	s.t.Helper()
	other, key := s.stored(s.stateKey(view, 2)), s.stateKey(view, 1)
	if err := s.on.Store.DeletePrefix(context.Background(), key); err != nil {
		s.t.Fatal(err)
	}
	done, err := s.on.Store.Swap(context.Background(), []onlinestore.Write{{Key: key, Expect: onlinestore.Absent, Value: other}})
	if err != nil || !done[0] {
		s.t.Fatal(done, err)
	}
}

// A server computes what it has recorded again, each row once, and says what differs: as JSON, in metrics, and at once if a value is wrong. What
// another server has recorded is left to that.
func TestP21_ServersCheckThemselves(t *testing.T) {
	s := smallSite(t, definitions)
	x, other := s.serve(s.plan), s.serve(s.plan)
	s.damage("visiting")
	s.read(x, 1, 2, 3)
	s.read(other, 1)
	x.end()
	other.end()
	wrong := int64(0)
	shadow := s.shadow(x, func(c *recompute.ShadowConfig) { c.Found = func(r *recompute.Report) { wrong += r.Wrong() } })
	reg := prometheus.NewRegistry()
	if err := shadow.Register(reg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := shadow.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got := shadow.Status()
	svc := got.Services[0]
	if got.Rounds != 1 || svc.Rows != 3 || svc.Compute.Compared != 81 || causes(svc.Compute.Causes) != "compute 2" || wrong != 2 || svc.Different == nil {
		t.Errorf("%+v, %d wrong", got, wrong)
	}
	if all := shadow.Reports(); len(all) != 1 || all[0].Rows != 3 || all[0].Compute.Compared != 81 || len(all[0].Hours) != 1 || all[0].Hours[0].Compute.Compared != 81 {
		t.Errorf("%+v", all)
	}
	w := httptest.NewRecorder()
	shadow.ServeHTTP(w, httptest.NewRequest("GET", "/parity", nil))
	var back recompute.ShadowStatus
	if err := json.Unmarshal(w.Body.Bytes(), &back); err != nil || back.Services[0].Different.Examples[0].Feature == "" {
		t.Error(err, w.Body)
	}
	values := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	if values["unskew_parity_compared_values_total"] != 162 || values["unskew_parity_different_values_total"] != 4 || values["unskew_parity_rows_total"] != 3 || values["unskew_parity_rounds_total"] != 1 {
		t.Error(values)
	}
}

// While two servers have different definitions, each sees it in what the other one has recorded, also if its own values are all right.
func TestP21_AnotherVersionOnOneOfTwoServersIsSeen(t *testing.T) {
	s := smallSite(t, definitions)
	before := s.serve(s.plan) // an earlier server of another version is nobody's business
	s.read(before, 1)
	before.end()
	s.advance(minute)
	other := s.otherPlan("(spend.mean + 1.0)", "(spend.mean + 2.0)")
	x, y := s.serve(s.plan), s.serve(other)
	clock := func(c *recompute.ShadowConfig) { c.Clock = func() time.Time { return s.clock().Time() } }
	ofX, ofY := s.shadow(x, clock), s.shadow(y, func(c *recompute.ShadowConfig) { clock(c); c.Plan = other })
	s.read(x, 1, 2)
	s.read(y, 1, 2, 3, 4)
	x.end()
	y.end()
	for name, shadow := range map[string]*recompute.Shadow{"version 4": ofX, "version 2": ofY} {
		if err := shadow.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		svc := shadow.Status().Services[0]
		if svc.Rows != 6 || causes(svc.Compute.Causes) != "" || causes(svc.Data.Causes) != name || svc.Different.Examples[0].Feature != "ratio" {
			t.Errorf("%s: %+v", name, svc)
		}
	}
}

// A server that cannot read files still checks the views over sources that have none.
func TestServersWithoutFilesCheckWhatTheyCan(t *testing.T) {
	s := smallSite(t, strings.Replace(definitions, "from: visits.csv\n", "", 1))
	x := s.serve(s.plan)
	s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "a"}, row{"ts": noon - 2*second, "user_id": 2, "page": "b"}, row{"ts": noon - second, "user_id": 2, "page": "b"})
	s.catchUp()
	s.push("visits", row{"ts": noon - second, "user_id": 1, "page": "late"})
	s.advance(second)
	s.read(x, 1, 2)
	x.end()
	shadow := s.shadow(x, func(c *recompute.ShadowConfig) { c.Past = nil })
	if err := shadow.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	svc := shadow.Status().Services[0]
	if svc.Compute.Compared != 6 || svc.Compute.Different != 0 || causes(svc.Data.Causes) != "lag 2" || causes(svc.Different.NotComputed) != "no_files 48" {
		t.Errorf("%+v", svc)
	}
}

// With more rows, or less memory, than a round may take, it takes the rows of some entities.
func TestShadowsTakeSomeEntities(t *testing.T) {
	s := smallSite(t, definitions)
	x := s.serve(s.plan)
	var users []int64
	for u := range int64(200) {
		users = append(users, u)
	}
	s.read(x, users...)
	s.read(x, users...)
	x.end()
	for _, change := range []func(*recompute.ShadowConfig){
		func(c *recompute.ShadowConfig) { c.Rows = 100 },
		func(c *recompute.ShadowConfig) { c.Memory = 400 << 10 },
	} {
		shadow := s.shadow(x, change)
		if err := shadow.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := shadow.Status().Services[0].Rows; rows < 20 || rows > 250 || rows%2 != 0 {
			t.Errorf("%d of 400 rows", rows)
		}
	}
}

// A round that fails, or panics, is told of and counted, and the server goes on.
func TestFailedRoundsAreTold(t *testing.T) {
	s := smallSite(t, definitions)
	x := s.serve(s.plan)
	s.read(x, 1)
	x.end()
	for want, of := range map[string]func() error{
		"service fraud: source payments: read its history: the disk is gone": func() error { return errors.New("the disk is gone") },
		"service fraud: source payments: read its history: panic: a bug":     func() error { panic("a bug") },
	} {
		told := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		shadow := s.shadow(x, func(c *recompute.ShadowConfig) {
			c.Look = time.Millisecond
			c.Warn = func(err error) { told <- err; stop() }
			c.Past = &past{site: s, fail: of}
		})
		if err := shadow.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := <-told; !strings.HasPrefix(err.Error(), want) || shadow.Status().Failed == "" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
