package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/sdk"
)

// recorder runs a served log of the test.
type recorder struct {
	*servedlog.Log
	end func() []*servedlog.Row // ends it and returns what it has recorded
}

func record(t testing.TB, c servedlog.Config) *recorder {
	t.Helper()
	c.Dir = filepath.Join(t.TempDir(), "served")
	l := servedlog.New(c)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	end := func() { stop(); running.Wait() }
	t.Cleanup(end)
	return &recorder{l, func() []*servedlog.Row { end(); return recorded(t, c.Dir) }}
}

func recorded(t testing.TB, dir string) (rows []*servedlog.Row) {
	t.Helper()
	files, err := servedlog.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		s, err := servedlog.Open(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range s.Rows() {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// shown writes a value so that different bits are different texts.
func shown(v any) string {
	switch v := v.(type) {
	case float64:
		return fmt.Sprintf("double %x", math.Float64bits(plan.DoubleValue(v).Double())) // JSON has one NaN
	case []any:
		var parts []string
		for _, e := range v {
			parts = append(parts, shown(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprintf("%T %v", v, v)
}

// native is a value as the SDK has it.
func native(v plan.Value) any {
	switch v.Kind() {
	case plan.Int:
		return v.Int()
	case plan.Double:
		return v.Double()
	case plan.String:
		return v.Str()
	case plan.Timestamp:
		return v.Time().Time()
	case plan.List:
		list := []any{}
		for _, e := range v.List() {
			list = append(list, native(e))
		}
		return list
	}
	return nil
}

// ofRequest sends an id with each request, and notes the ids of the answers.
func ofRequest(id string, answered *[]string) sdk.Option {
	return sdk.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		if id != "" {
			r.Header.Set(requestIDHeader, id)
		}
		res, err := h2c().RoundTrip(r)
		if err == nil {
			*answered = append(*answered, res.Header[requestIDHeader]...)
		}
		return res, err
	})})
}

// expectServed compares rows of the served log with what a caller got.
func expectServed(t *testing.T, what string, got []*servedlog.Row, rows *sdk.Rows, s *plan.Service) {
	t.Helper()
	if len(got) != rows.Len() {
		t.Errorf("%s: %d rows, want %d", what, len(got), rows.Len())
		return
	}
	for i, r := range got {
		if r.Number != i || !r.AsOf.Time().Equal(rows.AsOf) || r.ReadAt != noon || r.Latency <= 0 {
			t.Errorf("%s: row %d is %+v", what, i, r)
		}
		for o, out := range s.Outputs() {
			f, err := rows.Feature(out.Name)
			if err != nil {
				if r.Outputs[o].Status != "" {
					t.Errorf("%s: %s was not asked for and is %+v", what, out.Name, r.Outputs[o])
				}
				continue
			}
			want := fmt.Sprint(shown(f.Value(i)), " ", f.Status(i), " ", strings.TrimPrefix(f.Reason(i).String(), "UNSPECIFIED"))
			if got := fmt.Sprint(shown(native(r.Outputs[o].Value)), " ", r.Outputs[o].Status, " ", r.Outputs[o].Reason); got != want {
				t.Errorf("%s: row %d, %s is %s, and the caller got %s", what, i, out.Name, got, want)
			}
		}
		for v, state := range rows.States {
			got := r.Views[v]
			if got.Fingerprint != state.Fingerprint || got.Generation != state.Generation || got.Positions.Sum() != state.Positions[i] || got.Known == state.Unknown[i] ||
				got.Known && !got.Newest.Time().Equal(state.Newest[i]) {
				t.Errorf("%s: row %d, state of %s: %+v, want %+v", what, i, state.View, got, state)
			}
		}
	}
}

// Over every protocol, and in the process, the served log has what the caller got, bit for bit.
func TestP20_TheServedLogHasWhatCallersGot(t *testing.T) {
	log := record(t, servedlog.Config{Rate: 1})
	f := start(t, func(c *Config) { c.Served = log.Log })
	keys, request := row(1, 2, 1, 99) // two rows share their entities
	request[0] = sdk.Doubles("amount", math.NaN(), math.Copysign(0, -1), 2.5, 0)
	answers := map[string]*sdk.Rows{}
	ask := func(name string, opts ...sdk.Option) {
		for kind, read := range map[string][]sdk.ReadOption{"all": nil, "some": {sdk.Only("echo", "user_spend.last_country")}, "states": {sdk.WithStates()}} {
			id := strings.ReplaceAll(name, " ", "-") + "/" + kind
			var answered []string
			rows, err := f.client(t, append(opts, ofRequest(id, &answered))...).GetFeatures(t.Context(), "fraud_v1", keys, request, read...)
			if err != nil || !slices.Equal(answered, []string{id}) {
				t.Errorf("%s: answered with the ids %v: %v", id, answered, err)
				continue
			}
			answers[id] = rows
		}
	}
	for name, opts := range protocolOptions {
		ask(name, opts...)
	}
	inProcess, err := f.client(t, sdk.WithHandler(f.Handler())).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]*servedlog.Row{}
	for _, r := range log.end() {
		of[r.RequestID] = append(of[r.RequestID], r)
	}
	for id, rows := range answers {
		expectServed(t, id, of[id], rows, f.plan.Services[0])
		delete(of, id)
	}
	if len(of) != 1 {
		t.Errorf("%d further requests", len(of))
	}
	for id, rows := range of {
		expectServed(t, "in process", rows, inProcess, f.plan.Services[0])
		if len(id) < 20 || rows[0].Keys[0].Int() != 1 || rows[1].Keys[2].Str() != "shop" || rows[2].Request[1].Str() != "n" {
			t.Errorf("request %q: %+v", id, rows[0])
		}
	}
}

// The doors that the SDK does not use: JSON by rows, and a request that Connect's own handler answers. An id that is
// no plain text is replaced.
func TestServedLogOfOtherDoors(t *testing.T) {
	log := record(t, servedlog.Config{Rate: 1})
	f := start(t, func(c *Config) { c.Served = log.Log })
	send := func(path, id, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip, identity;q=0"}}
		if id != "" {
			req.Header[requestIDHeader] = []string{id}
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if ids := res.Header[requestIDHeader]; res.StatusCode == http.StatusOK && len(ids) == 1 {
			return ids[0]
		}
		return res.Status
	}
	const columns = `{"service": "fraud_v1", "keys": [{"name": "user_id", "ints": {"values": ["1"]}}, {"name": "receiver_id", "ints": {"values": ["3"]}},
		{"name": "merchant", "strings": {"values": ["shop"]}}], "request": [{"name": "amount", "doubles": {"values": [0.5]}}, {"name": "note", "strings": {"values": ["n"]}}]}`
	want := []string{
		send("/v1/services/fraud_v1:read", "rows-1", `{"rows": [`+aRow+`]}`),
		send("/unskew.v1.FeatureService/GetFeatures", "connect-1", columns),
		send("/unskew.v1.FeatureService/GetFeatures", "two words", columns),
		send("/unskew.v1.FeatureService/GetFeatures", strings.Repeat("x", requestIDBytes+1), columns),
	}
	if want[0] != "rows-1" || want[1] != "connect-1" || len(want[2]) != 26 || len(want[3]) != 26 {
		t.Error(want)
	}
	if answer := send("/v1/services/fraud_v1:read", "bad", `{"rows": [{}]}`); answer != "400 Bad Request" {
		t.Error(answer)
	}
	rows := log.end()
	for i, r := range rows {
		if r.RequestID != want[i] || r.Outputs[0].Value.Int() != 2 || r.Outputs[3].Value.Str() != "FR" || r.Keys[1].Int() != 3 {
			t.Errorf("%+v, want the request %s", r, want[i])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
}

// At a rate, the rows of some entities are recorded, always, and an answer has an id only if a row of it is.
func TestServedLogOfSomeEntities(t *testing.T) {
	log := record(t, servedlog.Config{Rate: 1, Rates: map[string]float64{"fraud_v1": 0.3}})
	f := start(t, func(c *Config) { c.Served = log.Log })
	stream, err := log.Stream(f.plan.Services[0])
	if err != nil {
		t.Fatal(err)
	}
	var want []int64
	all := make([]int64, 100)
	for i := range all {
		all[i] = int64(i)
		user := vector.Of(intType, plan.IntValue(int64(i)))
		sampled := stream.Samples([]*vector.Vector{user, user, vector.Of(stringType, plan.StringValue("shop"))}, 0)
		if sampled {
			want = append(want, int64(i))
		}
		var answered []string
		keys, request := row(int64(i))
		if _, err := f.client(t, ofRequest("", &answered)).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
			t.Fatal(err)
		}
		if sampled != (len(answered) == 1) {
			t.Errorf("user %d: sampled %v, answered with the ids %v", i, sampled, answered)
		}
	}
	keys, request := row(all...)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, r := range log.end() {
		got = append(got, r.Keys[0].Int())
	}
	if !slices.Equal(got, slices.Concat(want, want)) || len(want) < 10 || len(want) > 60 {
		t.Errorf("recorded were %v, want twice %v", got, want)
	}
}

// What would be answered from segments that were kept is recorded too, with the same values.
func TestServedLogOfKeptValues(t *testing.T) {
	p := defstest.Compile(t, workload.Definitions(2, 2))
	open, err := backend.InMemory(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := workload.Fill(t.Context(), open.Store, p, workload.Orders(11, 10, 38)); err != nil {
		t.Fatal(err)
	}
	states, err := open.KeepingStates(t.Context(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	body, err := proto.Marshal(&unskewv1.GetFeaturesRequest{Service: "s2",
		Keys: []*unskewv1.Column{{Name: "user", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{workload.UserID(3)}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	log := record(t, servedlog.Config{Rate: 1})
	for _, served := range []*servedlog.Log{nil, log.Log} {
		s, err := New(Config{Clock: func() plan.EventTime { return workload.Now }, States: states, Served: served})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Promote(p); err != nil {
			t.Fatal(err)
		}
		h := s.Handler()
		_, first := ask(h, "application/proto", body)
		for range 4 {
			if _, again := ask(h, "application/proto", body); string(again) != string(first) {
				t.Error("the answers differ")
			}
		}
	}
	if stats, _ := states.KeptStats(); stats.Hits == 0 {
		t.Error("nothing was kept")
	}
	rows := log.end()
	if len(rows) != 5 {
		t.Fatalf("%d rows, want 5", len(rows))
	}
	for _, r := range rows[1:] {
		if !slices.EqualFunc(r.Outputs, rows[0].Outputs, func(a, b servedlog.Output) bool { return a.Value.Equal(b.Value) && a.Status == b.Status }) ||
			!slices.EqualFunc(r.Views, rows[0].Views, func(a, b servedlog.View) bool {
				return a.Positions.Equal(b.Positions) && a.Newest == b.Newest && a.Known
			}) {
			t.Errorf("%+v, want %+v", r, rows[0])
		}
	}
}

// The record says how stale a view was, and which values were STALE for it.
func TestServedLogOfStaleValues(t *testing.T) {
	log := record(t, servedlog.Config{Rate: 1})
	f := startLive(t, backend.InMemory, func(c *Config) { c.Served = log.Log })
	f.pushOne(t, "a")
	f.apply(t)
	f.pass(time.Second)
	if _, err := f.read(t, f.client(t), sdk.WithFreshness()); err != nil {
		t.Fatal(err)
	}
	f.pushOne(t, "b")
	f.pass(10 * time.Second)
	if _, err := f.read(t, f.client(t), sdk.MaxStaleness(time.Second), sdk.StaleAsStatus()); err != nil {
		t.Fatal(err)
	}
	rows := log.end()
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for i, want := range []struct {
		staleness      time.Duration
		status, reason string
	}{{0, "PRESENT", ""}, {10 * time.Second, "STALE", "PRESENT"}} {
		out, view := rows[i].Outputs[0], rows[i].Views[0]
		if out.Status != want.status || out.Reason != want.reason || out.Value.Int() != 1 || view.Staleness != want.staleness || !view.StalenessKnown || view.Positions.Sum() != 1 {
			t.Errorf("row %d: %+v of %+v", i, out, view)
		}
	}
}

// A log that takes nothing changes no answer.
func TestP20_AFullServedLogFailsNoRequest(t *testing.T) {
	log := servedlog.New(servedlog.Config{Dir: "unused", Rate: 1, QueueBytes: 1})
	f := start(t, func(c *Config) { c.Served = log })
	var answered []string
	keys, request := row(1)
	rows, err := f.client(t, ofRequest("mine", &answered)).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil || rows.Len() != 1 || len(answered) > 0 {
		t.Errorf("%v, answered with the ids %v", err, answered)
	}
}

// A state that is lost is recorded as such.
func TestServedLogOfLostState(t *testing.T) {
	log := record(t, servedlog.Config{Rate: 1})
	f := start(t, func(c *Config) { c.Served = log.Log })
	g := registry.Generation{View: f.plan.Views[0].Fingerprint, Number: 1}
	key := string(g.StateKey(entityOf(1)))
	f.store.data[key] = f.store.data[key][:len(f.store.data[key])-3]
	keys, request := row(1)
	rows, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil {
		t.Fatal(err)
	}
	if spend, err := rows.Feature("user_spend.spend"); err != nil || spend.Status(0) != sdk.Lost {
		t.Fatal(spend, err)
	}
	got := log.end()
	expectServed(t, "lost", got, rows, f.plan.Services[0])
}
