package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/freshness"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/sdk"
)

// liveFixture is a server on a real log and store. Events are applied when the test says so.
type liveFixture struct {
	*fixture
	backend *backend.Backend
	applier *online.Applier
	clock   *atomic.Int64
}

// startLive starts it; change may modify the configuration of the server first.
func startLive(t *testing.T, open backend.Opener, change ...func(*Config)) *liveFixture {
	t.Helper()
	f := &liveFixture{clock: new(atomic.Int64)}
	f.clock.Store(int64(noon))
	now := func() plan.EventTime { return plan.EventTime(f.clock.Load()) }
	var err error
	if f.backend, err = open(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.backend.Close(); err != nil {
			t.Error(err)
		}
	})
	p := project()
	if f.applier, err = online.New(online.Config{Plan: p, Log: f.backend.Log, Store: f.backend.Store, Clock: now}); err != nil {
		t.Fatal(err)
	}
	f.apply(t)
	ingester, err := online.NewIngester(p, f.backend.Log, now)
	if err != nil {
		t.Fatal(err)
	}
	f.fixture = start(t, func(c *Config) {
		c.Clock, c.States, c.Ingester = now, f.backend.States(), ingester
		c.Freshness = freshness.New(freshness.Config{Log: f.backend.Log, Store: f.backend.Store, Clock: now})
		for _, f := range change {
			f(c)
		}
	})
	return f
}

func (f *liveFixture) apply(t *testing.T) {
	t.Helper()
	if err := f.applier.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (f *liveFixture) pass(d time.Duration) { f.clock.Add(d.Microseconds()) }

// pushOne pushes an event of user 1.
func (f *liveFixture) pushOne(t *testing.T, id string) {
	t.Helper()
	got, err := f.client(t).Push(t.Context(), "transactions", sdk.Strings("id", id), sdk.Times("ts", time.UnixMicro(f.clock.Load())), sdk.Ints("user_id", 1),
		sdk.Strings("merchant", "shop"), sdk.Doubles("amount", 5))
	if err != nil || got[0].Outcome != sdk.Appended {
		t.Fatalf("push: %v, %v", got, err)
	}
}

// A view is as stale as the oldest event that it has not applied, over every protocol. A log
// without new events makes nothing stale.
func TestP13_ViewsThatAreBehind(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		f := startLive(t, open)
		f.pushOne(t, "a")
		f.apply(t)
		f.pass(7 * 24 * time.Hour)
		f.expectFresh(t, 1)

		f.pushOne(t, "b")
		f.pass(10 * time.Second)
		f.expectStale(t)

		f.apply(t)
		f.pass(time.Second) // what was found at the same moment is not looked for again
		f.expectFresh(t, 2)
	})
}

func (f *liveFixture) read(t *testing.T, client *sdk.Client, opts ...sdk.ReadOption) (*sdk.Rows, error) {
	t.Helper()
	keys, request := row(1)
	return client.GetFeatures(t.Context(), "fraud_v1", keys, request, opts...)
}

func txns(t *testing.T, rows *sdk.Rows) (n int64, f *sdk.Feature) {
	t.Helper()
	f, err := rows.Feature("user_spend.txns")
	if err != nil {
		t.Fatal(err)
	}
	values, err := sdk.Values[int64](f)
	if err != nil {
		t.Fatal(err)
	}
	return values[0], f
}

func (f *liveFixture) expectFresh(t *testing.T, want int64) {
	t.Helper()
	for name, opts := range protocolOptions {
		rows, err := f.read(t, f.client(t, opts...), sdk.MaxStaleness(time.Millisecond), sdk.WithFreshness())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n, feature := txns(t, rows)
		staleness, known := rows.Staleness()
		if n != want || feature.Status(0) != sdk.Present || staleness != 0 || !known {
			t.Errorf("%s: %d transactions, %v, stale %v (known: %v); want %d fresh ones", name, n, feature.Status(0), staleness, known, want)
		}
		complete := sdk.Freshness{View: "receiver", Generation: 1, Position: uint64(want), Complete: time.UnixMicro(f.clock.Load()).UTC()}
		if len(rows.Freshness) != 3 || rows.Freshness[1] != complete {
			t.Errorf("%s: freshness %v, want %v second of three", name, rows.Freshness, complete)
		}
	}
}

// expectStale expects one event of ten seconds ago that is not applied.
func (f *liveFixture) expectStale(t *testing.T) {
	t.Helper()
	for name, opts := range protocolOptions {
		client := f.client(t, opts...)
		_, err := f.read(t, client, sdk.MaxStaleness(9*time.Second))
		if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "view user_spend is 10s stale (1 records wait in the log of source transactions)") {
			t.Errorf("%s: %v", name, err)
		}
		if rows, err := f.read(t, client, sdk.MaxStaleness(11*time.Second)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if _, feature := txns(t, rows); feature.Status(0) != sdk.Present {
			t.Errorf("%s: %v within the accepted staleness", name, feature.Status(0))
		}
		for range 2 { // the second answer is compact
			rows, err := f.read(t, client, sdk.MaxStaleness(9*time.Second), sdk.StaleAsStatus(), sdk.WithFreshness())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			f.checkStale(t, name, rows)
		}
	}
	f.checkStaleRows(t)
}

func (f *liveFixture) checkStale(t *testing.T, name string, rows *sdk.Rows) {
	t.Helper()
	staleness, known := rows.Staleness()
	if n, feature := txns(t, rows); n != 1 || feature.Status(0) != sdk.Stale || feature.Reason(0) != sdk.Present || staleness != 10*time.Second || !known {
		t.Errorf("%s: %d transactions, %v (%v), stale %v (known: %v)", name, n, feature.Status(0), feature.Reason(0), staleness, known)
	}
	if got := rows.Freshness[0]; got.Lag != 1 || got.Position != 1 || got.Complete != time.UnixMicro(f.clock.Load()).UTC().Add(-10*time.Second) {
		t.Errorf("%s: freshness %v", name, got)
	}
	for feature, want := range map[string]sdk.Status{"user_spend.last_country": sdk.Stale, "spender": sdk.Stale, "echo": sdk.Present} {
		if got, err := rows.Feature(feature); err != nil || got.Status(0) != want {
			t.Errorf("%s: %s is %v, %v; want %v", name, feature, got.Status(0), err, want)
		}
	}
}

// checkStaleRows checks the row-shaped endpoint.
func (f *liveFixture) checkStaleRows(t *testing.T) {
	t.Helper()
	post := func(more string) (int, string) {
		body := `{"rows": [{"user_id": 1, "receiver_id": 1, "merchant": "shop", "amount": 1, "note": ""}], "features": ["user_spend.txns", "user_spend.last_country", "echo"]` + more + "}"
		res, err := http.Post(f.url+"/v1/services/fraud_v1:read", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	for more, want := range map[string][]string{
		`, "max_staleness": "9s"`:                        {"400", "view user_spend is 10s stale"},
		`, "max_staleness": 9`:                           {"400", `max_staleness is 9; it is a duration`},
		`, "on_stale": "status"`:                         {"400", "on_stale needs max_staleness"},
		`, "max_staleness": "9s", "on_stale": "ignore"`:  {"400", `on_stale is \"ignore\"`},
		`, "max_staleness": "11s", "on_stale": "status"`: {"200", `"staleness":"10s"`, `"statuses":[{"user_spend.last_country":"DEFAULTED:EMPTY"}]`},
		`, "max_staleness": "9s", "on_stale": "status", "with_freshness": true`: {"200", `"receiver":{"generation":1,"position":1,"lag":1,"complete":"`,
			`"statuses":[{"user_spend.txns":"STALE:PRESENT","user_spend.last_country":"STALE:DEFAULTED:EMPTY"}]`},
	} {
		code, text := post(more)
		if !json.Valid([]byte(text)) {
			t.Errorf("%s: not JSON: %s", more, text)
		}
		for i, part := range want {
			if i == 0 && fmt.Sprint(code) != part || i > 0 && !strings.Contains(text, part) {
				t.Errorf("%s: %d %s, want %q", more, code, text, want)
			}
		}
	}
}

// What cannot be known is said, and is never taken for fresh.
func TestStalenessThatIsNotKnown(t *testing.T) {
	f := startLive(t, backend.InMemory)
	rows, err := f.read(t, f.client(t)) // no look has been made
	if err != nil {
		t.Fatal(err)
	}
	if _, known := rows.Staleness(); known {
		t.Error("the staleness is known before the first look")
	}
	if err := f.backend.Log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(t, f.client(t), sdk.MaxStaleness(time.Hour)); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "not known how stale view user_spend is") {
		t.Errorf("without a log: %v", err)
	}

	without := start(t, nil)
	if _, err := f.read(t, without.client(t), sdk.MaxStaleness(time.Hour)); connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "does not know how stale") {
		t.Errorf("without a tracker: %v", err)
	}
}

// A read that asks for freshness does not fail when a view is promoted after the last look, and
// gets the freshness of the new generation.
func TestP13_StalenessAfterAPromotion(t *testing.T) {
	f := startLive(t, backend.InMemory)
	f.pushOne(t, "a")
	f.apply(t)
	if err := f.cfg.Freshness.Refresh(t.Context(), plan.EventTime(f.clock.Load())); err != nil {
		t.Fatal(err)
	}
	for _, v := range f.plan.Views {
		if err := registry.Promote(t.Context(), f.backend.Store, registry.Generation{View: v.Fingerprint, Number: 2, Build: 7}); err != nil {
			t.Fatal(err)
		}
	}
	f.pass(10 * time.Second)
	rows, err := f.read(t, f.client(t), sdk.MaxStaleness(time.Minute), sdk.WithFreshness())
	if err != nil {
		t.Fatal(err)
	}
	if got := rows.Freshness[0]; got.Generation != 2 || got.Position != 0 || got.Lag != 1 {
		t.Errorf("freshness %v, want that of generation 2, which has applied nothing", got)
	}
}

// The tracker's metrics have one value for each view.
func TestFreshnessMetrics(t *testing.T) {
	f := startLive(t, backend.InMemory)
	if err := f.cfg.Freshness.Register(f.cfg.Metrics); err != nil {
		t.Fatal(err)
	}
	f.pushOne(t, "a")
	f.pass(3 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Run looks once
	if err := f.cfg.Freshness.Refresh(t.Context(), plan.EventTime(f.clock.Load())); err != nil {
		t.Fatal(err)
	}
	if err := f.cfg.Freshness.Run(ctx, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(f.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(text, []byte("\n"))
	for _, want := range []string{`unskew_view_staleness_seconds{view="user_spend"} 3`, `unskew_view_lag_records{view="merchant_stats"} 1`, `unskew_view_position{view="user_spend"} 0`} {
		if !slices.ContainsFunc(lines, func(line []byte) bool { return string(line) == want }) {
			t.Errorf("the metrics have no line %s", want)
		}
	}
}
