package live

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
)

const definitions = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: events
from: events.csv
event_time: at
columns: {at: {type: timestamp}, user_id: {type: int}, amount: {type: double}, wait: {type: duration}}
---
kind: FeatureView
name: v
entity: user
source: events
features: {n: count(), last: latest(amount), at: latest(at), waited: latest(wait)}
---
kind: FeatureService
name: s
features: [v]
`

func service(t *testing.T) *plan.Service {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, definitions)
	return defstest.Load(t, dir, featuredefs.Options{}).Plan.Services[0]
}

// answer is a good answer of a Feast server to two rows.
const answer = `{"metadata": {"feature_names": ["user_id", "v__n", "v__last", "v__at", "v__waited"]}, "results": [
	{"values": [1, 2]}, {"values": [3, null]}, {"values": [0.5, "NaN"]}, {"values": [1735689600, null]}, {"values": ["1m", null]}]}`

func read(t *testing.T, c Config) (string, error) {
	t.Helper()
	c.Service, c.Rate, c.Batch, c.Out = service(t), 1000, 2, filepath.Join(t.TempDir(), "out.parquet")
	for i := range 4 {
		c.Rows = append(c.Rows, Row{Keys: []plan.Value{plan.IntValue(int64(i) + 1<<53)}})
	}
	return Read(t.Context(), c)
}

// serve answers calls of the contract, and notes what was sent.
func serve(t *testing.T, status int, text string, sent *[]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/get-online-features" {
			http.NotFound(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if sent != nil {
			*sent = append(*sent, r.Header.Get("Authorization")+" "+string(body))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestFeastIsAskedInItsContract(t *testing.T) {
	var sent []string
	system, err := read(t, Config{URL: serve(t, 200, answer, &sent) + "/", Token: "secret", Name: "there", Columns: map[string]string{}})
	if err != nil || system != "Feast" || len(sent) != 2 {
		t.Fatalf("%s %q, %v", system, sent, err)
	}
	want := `Bearer secret {"entities":{"user_id":[9007199254740994,9007199254740995]},"feature_service":"there","full_feature_names":true}`
	if sent[1] != want {
		t.Errorf("sent %s\nwant %s", sent[1], want)
	}
}

// Whatever a server answers, the error says which server, and what is wrong.
func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`{"detail": "no feature service"}`: "answers with 0 results for 0 feature names",
		`[]`:                               "other JSON than a feature server",
		`{"metadata": {"feature_names": ["v__n"]}, "results": []}`:                                               "0 results for 1 feature names",
		`{"metadata": {"feature_names": ["v__n"]}, "results": [{"values": [1]}]}`:                                "1 values of v__n for 2 rows",
		`{"metadata": {"feature_names": ["x", "user_id"]}, "results": [{"values": [1, 1]}, {"values": [1, 2]}]}`: "no feature of service s, which are v.n, v.last, v.at, v.waited",
		`{"metadata": {"feature_names": ["v__n"]}, "results": [{"values": ["many", 1]}]}`:                        "feature v__n of row 1",
		`{"metadata": {"feature_names": ["v__n"]}, "results": [{"values": [1.5, 1]}]}`:                           "feature v__n of row 1",
		`{"metadata": {"feature_names": ["v__n"]}, "results": [{"values": [[1], 1]}]}`:                           "is no int",
		`{"metadata": {"feature_names": ["v__at"]}, "results": [{"values": [9223372036854775807, 1]}]}`:          "out of range",
		strings.Repeat("[", 100_000): "",
	} {
		url := serve(t, 200, text, nil)
		if _, err := read(t, Config{URL: url}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), url) {
			t.Errorf("%.100s: %v, want %s", text, err, want)
		}
	}
	if _, err := read(t, Config{URL: serve(t, 500, strings.Repeat("x", 10_000), nil)}); err == nil || !strings.Contains(err.Error(), "500") || len(err.Error()) > 1000 {
		t.Errorf("a failing server: %v", err)
	}
	for url, want := range map[string]string{"http://example.test": "without TLS", "ftp://x": "not the address", "http://a:b@x": "not the address", "http://x?y": "not the address"} {
		if _, err := read(t, Config{URL: url, Token: "secret"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A token goes nowhere else, and a caller that leaves ends the reading.
func TestRedirectsAndLeaving(t *testing.T) {
	var sent []string
	other := serve(t, 200, answer, &sent)
	s := httptest.NewServer(http.RedirectHandler(other, http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	if _, err := read(t, Config{URL: s.URL, Token: "secret"}); err == nil || !strings.Contains(err.Error(), "redirects to") || sent != nil {
		t.Errorf("%v %q", err, sent)
	}
	ctx, leave := context.WithCancel(t.Context())
	waits := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leave(); <-r.Context().Done() }))
	t.Cleanup(waits.Close)
	if _, err := Read(ctx, Config{URL: waits.URL, Service: service(t), Rows: []Row{{Keys: []plan.Value{plan.IntValue(1)}}}, Out: filepath.Join(t.TempDir(), "x")}); err == nil || ctx.Err() == nil {
		t.Error(err)
	}
}

// What is written as JSON and read again is the same value.
func TestValuesAreKept(t *testing.T) {
	for _, v := range []plan.Value{
		plan.BoolValue(true), plan.IntValue(-1 << 63), plan.IntValue(1<<53 + 1), plan.DoubleValue(0.1), plan.StringValue("é\x00"), plan.TimestampValue(1735689600_123456),
	} {
		text, err := json.Marshal(jsonOf(v))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		var from any
		if err := d.Decode(&from); err != nil {
			t.Fatal(err)
		}
		if got, err := valueOf(from, plan.T(v.Kind())); err != nil || !got.Equal(v) {
			t.Errorf("%v is %s is %v, %v", v, text, got, err)
		}
	}
	if got, err := valueOf("1m", plan.T(plan.Duration)); err != nil || fmt.Sprint(got) != "60000000000" {
		t.Errorf("%v, %v", got, err)
	}
}
