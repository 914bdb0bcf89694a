package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/sdk"
)

var protocolOptions = map[string][]sdk.Option{
	"connect": nil, "connect json": {sdk.WithJSON()}, "grpc": {sdk.WithGRPC()}, "grpc json": {sdk.WithGRPC(), sdk.WithJSON()},
}

// TestReadOverEveryProtocol reads a known user, one whose event has no country, and an
// unknown one; the answer is the same over every protocol.
func TestReadOverEveryProtocol(t *testing.T) {
	f := start(t, nil)
	type cell struct {
		value  any
		status sdk.Status
		reason sdk.Status
	}
	present := func(v any) cell { return cell{v, sdk.Present, 0} }
	at := noon.Time()
	want := map[string][]cell{
		"user_spend.txns":         {present(int64(2)), present(int64(1)), present(int64(0))},
		"user_spend.spend":        {present(12.5), present(7.0), present(0.0)},
		"user_spend.avg":          {present(6.25), present(7.0), {nil, sdk.UnknownEntity, 0}},
		"user_spend.last_country": {present("FR"), {"??", sdk.Defaulted, sdk.Empty}, {"??", sdk.Defaulted, sdk.UnknownEntity}},
		"user_spend.countries":    {present([]any{"US", "FR"}), present([]any{}), present([]any{})},
		"user_spend.six_over":     {present(int64(3)), present(int64(6)), {nil, sdk.Failed, 0}},
		"user_spend.seen_at":      {present(at), present(at), present(at)},
		"receiver.spend":          {present(12.5), present(7.0), present(0.0)},
		"merchant_stats.txns":     {present(int64(2)), present(int64(2)), present(int64(2))},
		"echo":                    {present(0.5), present(1.5), present(2.5)},
		"spender":                 {present(int64(2)), present(int64(1)), present(int64(0))},
	}
	for name, opts := range protocolOptions {
		t.Run(name, func(t *testing.T) {
			keys, request := row(1, 2, 99)
			rows, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request)
			if err != nil {
				t.Fatal(err)
			}
			if rows.Len() != 3 || !rows.AsOf.Equal(at) || rows.Fingerprint != f.plan.Services[0].Fingerprint.String() || rows.States != nil {
				t.Fatalf("answer %+v", rows)
			}
			if len(rows.Features()) != len(want) {
				t.Fatalf("%d outputs, want %d", len(rows.Features()), len(want))
			}
			for _, o := range rows.Features() {
				for i, w := range want[o.Name()] {
					got := cell{o.Value(i), o.Status(i), o.Reason(i)}
					if !reflect.DeepEqual(got, w) {
						t.Errorf("%s, row %d: got %+v, want %+v", o.Name(), i, got, w)
					}
				}
			}
		})
	}
}

// A client gets compact answers from a service that it has read before. They carry the same
// values as full ones.
func TestCompactAnswersCarryTheSameValues(t *testing.T) {
	f := start(t, nil)
	for name, opts := range protocolOptions {
		keys, request := row(1, 2, 99, 1)
		for _, only := range [][]sdk.ReadOption{nil, {sdk.Only("echo", "user_spend.six_over", "user_spend.last_country")}} {
			c := f.client(t, opts...)
			var answers [3]string
			for i := range answers {
				rows, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request, append(only, sdk.WithStates())...)
				if err != nil {
					t.Fatal(err)
				}
				answers[i] = fmt.Sprint(rows.Fingerprint, rows.AsOf, rows.States)
				for _, o := range rows.Features() {
					for r := range rows.Len() {
						answers[i] += fmt.Sprintf("\n%s %s %v %v %v", o.Name(), o.Type(), o.Value(r), o.Status(r), o.Reason(r))
					}
				}
			}
			if answers[1] != answers[0] || answers[2] != answers[0] {
				t.Errorf("%s: the first answer\n%s\nthe next\n%s", name, answers[0], answers[1])
			}
		}
	}
	body := `{"service": "fraud_v1", "knownFingerprint": "` + f.plan.Services[0].Fingerprint.String() + `", "features": ["user_spend.txns", "user_spend.six_over"],
		"keys": [{"name": "user_id", "ints": {"values": ["99"]}}, {"name": "receiver_id", "ints": {"values": ["1"]}}, {"name": "merchant", "strings": {"values": ["kiosk"]}}],
		"request": [{"name": "amount", "doubles": {"values": [1]}}, {"name": "note", "strings": {"values": [""]}}]}`
	want := `{"asOfMicros":"1735732800000000","rows":1,"outputs":[{"column":{"ints":{"values":["0"]}}},{"column":{"ints":{"values":["0"]},"nulls":[0]},"statuses":["STATUS_ERROR"]}]}`
	if code, answer := post(t, f.url+"/unskew.v1.FeatureService/GetFeatures", body); code != http.StatusOK || answer != want {
		t.Errorf("%d %s\nwant %s", code, answer, want)
	}
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return do(t, req)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// compact removes the spaces that protojson inserts at random.
func compact(s string) string { return strings.ReplaceAll(s, " ", "") }

// TestN7_PlainJSON reads as a user of curl would, with NaN among the values.
func TestN7_PlainJSON(t *testing.T) {
	f := start(t, nil)
	code, body := post(t, f.url+"/unskew.v1.FeatureService/GetFeatures", `{"service": "fraud_v1",
		"keys": [{"name": "user_id", "ints": {"values": ["1"]}}, {"name": "receiver_id", "ints": {"values": [2]}},
		         {"name": "merchant", "strings": {"values": ["kiosk"]}}],
		"request": [{"name": "amount", "doubles": {"values": ["NaN"]}}, {"name": "note", "strings": {"values": [""]}, "nulls": [0]}],
		"features": ["echo", "user_spend.txns", "receiver.spend", "user_spend.avg"]}`)
	want := `{"fingerprint":"` + f.plan.Services[0].Fingerprint.String() + `","asOfMicros":"1735732800000000","rows":1,"outputs":[` +
		`{"column":{"name":"echo","doubles":{"values":["NaN"]}},"type":"double","statuses":["STATUS_PRESENT"]},` +
		`{"column":{"name":"user_spend.txns","ints":{"values":["2"]}},"type":"int","statuses":["STATUS_PRESENT"]},` +
		`{"column":{"name":"receiver.spend","doubles":{"values":[7]}},"type":"double","statuses":["STATUS_PRESENT"]},` +
		`{"column":{"name":"user_spend.avg","doubles":{"values":[6.25]}},"type":"double","statuses":["STATUS_PRESENT"]}]}`
	if code != http.StatusOK || compact(body) != want {
		t.Fatalf("%d %s\nwant %s", code, compact(body), want)
	}
}

// TestN7_SpecialDoublesSurvive: values of a request come back bit for bit.
func TestN7_SpecialDoublesSurvive(t *testing.T) {
	f := start(t, nil)
	values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1}
	for name, opts := range protocolOptions {
		keys, request := row(1, 1, 1, 1, 1, 1, 1)
		request[0] = sdk.Doubles("amount", values...)
		rows, err := f.client(t, opts...).GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Only("echo"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdk.Values[float64](rows.Features()[0])
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			if plan.DoubleBits(values[i]) != plan.DoubleBits(got[i]) {
				t.Errorf("%s: sent %v, got %v", name, values[i], got[i])
			}
		}
	}
}

// TestK3_NullKeyIsAnUnknownEntity: a null key matches no entity, and no other null.
func TestK3_NullKeyIsAnUnknownEntity(t *testing.T) {
	f := start(t, nil)
	keys, request := row(1, 1)
	keys[0] = keys[0].Null(0)
	rows, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Only("user_spend.avg", "receiver.spend"), sdk.WithStates())
	if err != nil {
		t.Fatal(err)
	}
	avg, err := rows.Feature("user_spend.avg")
	if err != nil {
		t.Fatal(err)
	}
	if avg.Status(0) != sdk.UnknownEntity || !avg.IsNull(0) || avg.Status(1) != sdk.Present {
		t.Errorf("statuses %v %v", avg.Status(0), avg.Status(1))
	}
	if spend := rows.Features()[1]; spend.Value(0) != 12.5 {
		t.Errorf("the receiver's spend is %v", spend.Value(0))
	}
	s := rows.States[0]
	if !s.Unknown[0] || s.Unknown[1] || s.Positions[1] != 2 || !s.Newest[1].Equal((noon - 2).Time()) || s.Generation != 1 {
		t.Errorf("states %+v", s)
	}
}

// TestB1_TimeIsAfterEveryAppliedEvent: if the clock is behind the newest applied event, T is
// one microsecond after that event. So the whole state is read, and an event at exactly T is
// not seen.
func TestB1_TimeIsAfterEveryAppliedEvent(t *testing.T) {
	for _, c := range []struct {
		clock, want plan.EventTime
	}{{noon, noon}, {noon - 1, noon}, {noon - 2, noon}, {plan.MinTime, noon}, {noon + 5, noon + 5}} {
		f := start(t, func(cfg *Config) { cfg.Clock = func() plan.EventTime { return c.clock } })
		keys, request := row(1, 2)
		rows, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
		if err != nil {
			t.Fatal(err)
		}
		if !rows.AsOf.Equal(c.want.Time()) {
			t.Errorf("clock %v: as of %v, want %v", c.clock, rows.AsOf, c.want)
		}
		if spend := rows.Features()[1]; spend.Value(0) != 12.5 || spend.Value(1) != 7.0 {
			t.Errorf("clock %v: spend %v %v", c.clock, spend.Value(0), spend.Value(1))
		}
	}
}

// TestOneRoundTripAndEachStateOnce: one Get fetches all views of all rows, and rows of the
// same entity share its state.
func TestOneRoundTripAndEachStateOnce(t *testing.T) {
	f := start(t, nil)
	c := f.client(t)
	keys, request := row(1, 2, 1, 1, 99, 2)
	f.store.gets = 0
	for range 2 {
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
			t.Fatal(err)
		}
	}
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if f.store.gets != 4 { // the first read also learns the generations and how large states are
		t.Errorf("two reads took %d round trips", f.store.gets)
	}
}

// TestConcurrentReadsDoNotMix: answers are copied before their reader serves another call.
func TestConcurrentReadsDoNotMix(t *testing.T) {
	f := start(t, nil)
	c := f.client(t)
	want := map[int64]float64{1: 12.5, 2: 7, 3: 0}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 40 {
				user := int64((g+i)%3 + 1)
				keys, request := row(user)
				rows, err := c.GetFeatures(context.Background(), "fraud_v1", keys, request, sdk.Only("user_spend.spend"))
				if err != nil {
					t.Error(err)
					return
				}
				if got := rows.Features()[0].Value(0); got != want[user] {
					t.Errorf("user %d: spend %v", user, got)
				}
			}
		})
	}
	wg.Wait()
}

// TestExpectedFingerprints: a request may send the whole fingerprint or the prefix that
// commands print.
func TestExpectedFingerprints(t *testing.T) {
	f := start(t, nil)
	keys, request := row(1)
	c := f.client(t)
	info, err := c.DescribeService(t.Context(), "fraud_v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", info.Fingerprint, info.Fingerprint[:12], info.Fingerprint[:63]} {
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Expect(want)); err != nil {
			t.Errorf("%q: %v", want, err)
		}
	}
	for _, want := range []string{info.Fingerprint[:11], info.Fingerprint[1:], info.Fingerprint[:12] + "x"} {
		if _, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Expect(want)); err == nil {
			t.Errorf("%q is taken for %s", want, info.Fingerprint)
		}
	}
}

func TestN5_K2_N8_MistakesAreErrors(t *testing.T) {
	f := start(t, nil)
	for _, c := range []struct {
		name   string
		change func(service *string, keys, request *[]sdk.Column, opts *[]sdk.ReadOption)
		code   connect.Code
		want   string
	}{
		{"service", func(s *string, _, _ *[]sdk.Column, _ *[]sdk.ReadOption) { *s = "fraud_v2" },
			connect.CodeNotFound, `no feature service "fraud_v2" (did you mean "fraud_v1"?)`},
		{"feature", func(_ *string, _, _ *[]sdk.Column, o *[]sdk.ReadOption) {
			*o = append(*o, sdk.Only("user_spend.spent"))
		},
			connect.CodeInvalidArgument, `service fraud_v1 has no feature "user_spend.spent" (did you mean "user_spend.spend"?)`},
		{"feature twice", func(_ *string, _, _ *[]sdk.Column, o *[]sdk.ReadOption) { *o = append(*o, sdk.Only("echo", "echo")) },
			connect.CodeInvalidArgument, `feature "echo" is selected twice`},
		{"key", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[0] = sdk.Ints("userid", 1) },
			connect.CodeInvalidArgument, `service fraud_v1 has no key "userid" (did you mean "user_id"?); it has user_id (int), receiver_id (int), merchant (string)`},
		{"key missing", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { *k = (*k)[:2] },
			connect.CodeInvalidArgument, `key "merchant" (string) of service fraud_v1 is missing`},
		{"key twice", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { *k = append(*k, (*k)[0]) },
			connect.CodeInvalidArgument, `key "user_id" is sent twice`},
		{"key of another type", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[0] = sdk.Strings("user_id", "1") },
			connect.CodeInvalidArgument, `column "user_id" is int and was sent as strings; send it as ints`},
		{"double for int", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[0] = sdk.Doubles("user_id", 1) },
			connect.CodeInvalidArgument, `column "user_id" is int and was sent as doubles; send it as ints`},
		{"request field", func(_ *string, _, r *[]sdk.Column, _ *[]sdk.ReadOption) { (*r)[0] = sdk.Doubles("amout", 1) },
			connect.CodeInvalidArgument, `no request field "amout" (did you mean "amount"?)`},
		{"request field missing", func(_ *string, _, r *[]sdk.Column, _ *[]sdk.ReadOption) { *r = nil },
			connect.CodeInvalidArgument, `request field "amount" (double) of service fraud_v1 is missing; it needs amount (double), note (string)`},
		{"rows", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[1] = sdk.Ints("receiver_id", 1, 2) },
			connect.CodeInvalidArgument, `column "user_id" has 1 rows and column "receiver_id" has 2`},
		{"no rows", func(_ *string, k, r *[]sdk.Column, _ *[]sdk.ReadOption) { *k, *r = row() },
			connect.CodeInvalidArgument, "the request has no rows"},
		{"null outside", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[0] = (*k)[0].Null(1) },
			connect.CodeInvalidArgument, `null row 1, but it has 1 rows`},
		{"no name", func(s *string, _, _ *[]sdk.Column, _ *[]sdk.ReadOption) { *s = "" },
			connect.CodeInvalidArgument, "service: must be at least 1 character"},
		{"no column name", func(_ *string, k, _ *[]sdk.Column, _ *[]sdk.ReadOption) { (*k)[0] = sdk.Ints("", 1) },
			connect.CodeInvalidArgument, "keys[0].name: must be at least 1 character"},
		{"fingerprint", func(_ *string, _, _ *[]sdk.Column, o *[]sdk.ReadOption) {
			*o = append(*o, sdk.Expect(strings.Repeat("abcd", 3)))
		},
			connect.CodeFailedPrecondition, "and the request expects abcdabcdabcd; serve the definitions that the model was trained on"},
		{"short fingerprint", func(_ *string, _, _ *[]sdk.Column, o *[]sdk.ReadOption) { *o = append(*o, sdk.Expect("abc")) },
			connect.CodeInvalidArgument, `fingerprint "abc" is too short`},
	} {
		t.Run(c.name, func(t *testing.T) {
			service, opts := "fraud_v1", []sdk.ReadOption(nil)
			keys, request := row(1)
			c.change(&service, &keys, &request, &opts)
			for protocol, with := range protocolOptions {
				_, err := f.client(t, with...).GetFeatures(t.Context(), service, keys, request, opts...)
				if connect.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
					t.Errorf("%s: got %v\nwant %v with %q", protocol, err, c.code, c.want)
				}
			}
		})
	}
}

// TestN8_JSONNumbersKeepTheirType: a fraction is not an int, and an unknown member is
// refused.
func TestN8_JSONNumbersKeepTheirType(t *testing.T) {
	f := start(t, nil)
	for _, body := range []string{
		`{"service": "fraud_v1", "keys": [{"name": "user_id", "ints": {"values": [1.5]}}]}`,
		`{"service": "fraud_v1", "keys": [{"name": "user_id", "ints": {"values": [9223372036854775808]}}]}`,
		`{"service": "fraud_v1", "keys": [{"name": "user_id", "ints": {"values": ["x"]}}]}`,
		`{"servise": "fraud_v1"}`,
		`{"service": "fraud_v1"`,
	} {
		if code, answer := post(t, f.url+"/unskew.v1.FeatureService/GetFeatures", body); code != http.StatusBadRequest || !strings.Contains(answer, "invalid_argument") {
			t.Errorf("%s: %d %s", body, code, answer)
		}
	}
}

// TestN5_UnknownMembersOfJSON: an unknown member is refused by name, under both content
// types. Otherwise a misspelt optional member, such as the fingerprint, would be ignored.
func TestN5_UnknownMembersOfJSON(t *testing.T) {
	f := start(t, nil)
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8"} {
		for _, body := range []string{`{"service": "fraud_v1", "fingerprnt": "00"}`, `{"service": "fraud_v1", "keys": [{"name": "user_id", "nuls": [0]}]}`} {
			res, err := http.Post(f.url+"/unskew.v1.FeatureService/GetFeatures", contentType, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.StatusCode != http.StatusBadRequest || !strings.Contains(string(answer), "unknown field") {
				t.Errorf("%s, %s: %d %s (%v)", contentType, body, res.StatusCode, answer, err)
			}
		}
	}
}

// TestN6_ViewWithoutState: a view that was never materialized is an error that names the
// command to run, not an answer with unknown entities.
func TestN6_ViewWithoutState(t *testing.T) {
	f := start(t, nil)
	f.store.reset()
	keys, request := row(1)
	_, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "unskew materialize --view user_spend") {
		t.Fatal(err)
	}
}

// TestO10_DamagedStatesAreLost: the values of an entity whose state is damaged are LOST, those of others are what they
// were, and nothing of the store's contents is revealed.
func TestO10_DamagedStatesAreLost(t *testing.T) {
	f := start(t, nil)
	f.store.mu.Lock()
	for k, v := range f.store.data {
		if k[0] == 's' {
			f.store.data[k] = append(bytes.Clone(v[:len(v)-1]), v[len(v)-1]^1)
		}
	}
	f.store.mu.Unlock()
	keys, request := row(1)
	got, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]sdk.Status{"user_spend.spend": sdk.Lost, "user_spend.txns": sdk.Lost, "spender": sdk.Lost, "echo": sdk.Present}
	for name, status := range want {
		if feature, err := got.Feature(name); err != nil || feature.Status(0) != status || feature.IsNull(0) != (status == sdk.Lost) {
			t.Errorf("%s: %v, %+v", name, err, feature)
		}
	}
}

// TestP4_AReadPinsOnePlan: a promotion does not affect a read in progress; the next read uses
// the new plan.
func TestP4_AReadPinsOnePlan(t *testing.T) {
	entered, proceed := make(chan struct{}, 1), make(chan struct{})
	f := start(t, func(cfg *Config) { cfg.States = &blockedStates{cfg.States, entered, proceed} })
	c := f.client(t)
	keys, request := row(1)
	first := make(chan *sdk.Rows, 1)
	go func() {
		rows, err := c.GetFeatures(context.Background(), "fraud_v1", keys, request)
		if err != nil {
			t.Error(err)
		}
		first <- rows
	}()
	<-entered
	next := project()
	next.Services[0].Features = next.Services[0].Features[:1]
	next.Services[0].Derived, next.Services[0].Order = nil, nil
	plan.FingerprintService(next.Services[0], plan.Engine{})
	if err := f.Promote(next); err != nil {
		t.Fatal(err)
	}
	close(proceed)
	if rows := <-first; rows == nil || len(rows.Features()) != 11 || rows.Fingerprint != f.plan.Services[0].Fingerprint.String() {
		t.Errorf("the read that began under the first plan answered %+v", rows)
	}
	rows, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil || len(rows.Features()) != 1 || rows.Fingerprint != next.Services[0].Fingerprint.String() {
		t.Fatalf("%+v, %v", rows, err)
	}
}

// blockedStates lets a read wait inside its round trip.
type blockedStates struct {
	stateReader
	entered chan<- struct{}
	proceed <-chan struct{}
}

func (h *blockedStates) States(ctx context.Context, queries []registry.Query, parts *registry.Parts) ([]registry.Answer, error) {
	select {
	case h.entered <- struct{}{}:
	default:
	}
	select {
	case <-h.proceed:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.stateReader.States(ctx, queries, parts)
}

// TestFailedPromotionKeepsThePlan: a plan that fails to compile changes nothing.
func TestFailedPromotionKeepsThePlan(t *testing.T) {
	f := start(t, nil)
	broken := project()
	broken.Services[0].Views[1].Keys = []string{"nobody"}
	if err := f.Promote(broken); err == nil || !strings.Contains(err.Error(), `service fraud_v1: view receiver reads key "nobody"`) {
		t.Fatal(err)
	}
	keys, request := row(1)
	if _, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request); err != nil {
		t.Fatal(err)
	}
}

func TestTimeLimit(t *testing.T) {
	f := start(t, func(cfg *Config) {
		cfg.Timeout = 20 * time.Millisecond
		cfg.States = &blockedStates{stateReader: cfg.States}
	})
	keys, request := row(1)
	_, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded || !strings.Contains(err.Error(), "the server's is 20ms") {
		t.Fatal(err)
	}
}

// TestStoppedIsNoPanic: a kernel that stops at the deadline makes the call end with deadline
// exceeded.
func TestStoppedIsNoPanic(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	<-ctx.Done()
	err := f.recovered(ctx, func(context.Context) error { panic(kernel.ErrStopped) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stopped kernel: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	f := start(t, nil)
	c := f.client(t)
	list, err := c.ListServices(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "fraud_v1" || list[0].Description != "Scores card payments." {
		t.Fatalf("%+v, %v", list, err)
	}
	s, err := c.DescribeService(t.Context(), "fraud_v1")
	if err != nil {
		t.Fatal(err)
	}
	p := f.plan.Services[0]
	if s.Fingerprint != p.Fingerprint.String() || s.Fingerprint != list[0].Fingerprint {
		t.Errorf("fingerprint %s", s.Fingerprint)
	}
	if want := []sdk.Field{{Name: "user_id", Type: "int"}, {Name: "receiver_id", Type: "int"}, {Name: "merchant", Type: "string"}}; !reflect.DeepEqual(s.Keys, want) {
		t.Errorf("keys %v", s.Keys)
	}
	if want := []sdk.Field{{Name: "amount", Type: "double"}, {Name: "note", Type: "string"}}; !reflect.DeepEqual(s.Request, want) {
		t.Errorf("request %v", s.Request)
	}
	for i, o := range p.Outputs() {
		got := s.Outputs[i]
		if got.Name != o.Name || got.Type != o.Type.String() || got.Fingerprint != o.Fingerprint.String() {
			t.Errorf("output %d is %+v, want %+v", i, got, o)
		}
	}
	if s.Outputs[4].Type != "list(string)" || s.Outputs[4].Description != "About countries." {
		t.Errorf("output 4 is %+v", s.Outputs[4])
	}
	if _, err := c.DescribeService(t.Context(), "fraud"); connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), `no feature service "fraud"`) {
		t.Error(err)
	}
}
