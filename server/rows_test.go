package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/sdk"
)

// rowAnswer is the answer to a row-shaped read.
type rowAnswer struct {
	Service     string
	Fingerprint string
	AsOf        string `json:"as_of"`
	Rows        []map[string]json.RawMessage
	Statuses    []map[string]string
}

const aRow = `{"user_id": 1, "receiver_id": 3, "merchant": "shop", "amount": 0.5, "note": "n"}`

func (f *fixture) readRows(t *testing.T, body string) (a rowAnswer) {
	t.Helper()
	code, text := post(t, f.url+"/v1/services/fraud_v1:read", body)
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return a
}

func TestReadRows(t *testing.T) {
	f := start(t, nil)
	a := f.readRows(t, `{"rows": [`+aRow+`, {"note": null, "amount": -0.0, "merchant": null, "receiver_id": null, "user_id": 2}, {"user_id": null, "receiver_id": 1, "merchant": "shop", "amount": 1, "note": ""}]}`)
	if a.Service != "fraud_v1" || a.Fingerprint != f.plan.Services[0].Fingerprint.String() || a.AsOf != "2025-01-01T12:00:00Z" || len(a.Rows) != 3 || len(a.Statuses) != 3 {
		t.Fatalf("got %+v", a)
	}
	for name, want := range map[string]string{
		"user_spend.txns": "2", "user_spend.spend": "12.5", "user_spend.avg": "6.25", "user_spend.last_country": `"FR"`, "user_spend.countries": `["US","FR"]`,
		"user_spend.six_over": "3", "user_spend.seen_at": `"2025-01-01T12:00:00Z"`, "receiver.spend": "0", "merchant_stats.txns": "2", "echo": "0.5", "spender": "2",
	} {
		if got := string(a.Rows[0][name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for i, want := range []map[string]string{
		{},
		{"user_spend.last_country": "DEFAULTED:EMPTY"},
		{"user_spend.avg": "UNKNOWN_ENTITY", "user_spend.last_country": "DEFAULTED:UNKNOWN_ENTITY", "user_spend.six_over": "ERROR"},
	} {
		if !maps.Equal(a.Statuses[i], want) {
			t.Errorf("row %d has statuses %v, want %v", i, a.Statuses[i], want)
		}
	}
	if got := string(a.Rows[2]["user_spend.avg"]); got != "null" {
		t.Errorf("a value that is not there is %s", got)
	}
	if got := string(a.Rows[1]["echo"]); got != "-0.0" {
		t.Errorf("the sign of zero is lost: %s", got)
	}
}

// Row-shaped and column-shaped reads return the same answer.
func TestRowReadsEqualColumnReads(t *testing.T) {
	f := start(t, nil)
	var rows []string
	var users []int64
	for i := range 50 {
		users = append(users, int64(i%4))
		rows = append(rows, fmt.Sprintf(`{"user_id": %d, "receiver_id": "%d", "merchant": "shop", "amount": %d.5, "note": "n"}`, i%4, i%4, i))
	}
	a := f.readRows(t, `{"rows": [`+strings.Join(rows, ",")+`]}`)
	keys, request := row(users...)
	want, err := f.client(t).GetFeatures(t.Context(), "fraud_v1", keys, request)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range want.Features() {
		for i := range users {
			value, err := json.Marshal(o.Value(i))
			if err != nil {
				t.Fatal(err)
			}
			status := o.Status(i).String()
			if o.Status(i) == sdk.Defaulted {
				status += ":" + o.Reason(i).String()
			}
			if o.Status(i) == sdk.Present {
				status = ""
			}
			if got := string(a.Rows[i][o.Name()]); got != string(value) || a.Statuses[i][o.Name()] != status {
				t.Errorf("row %d of %s: %s %q, want %s %q", i, o.Name(), got, a.Statuses[i][o.Name()], value, status)
			}
		}
	}
}

func TestReadRowsSelectsFeatures(t *testing.T) {
	f := start(t, nil)
	_, text := post(t, f.url+"/v1/services/fraud_v1:read", `{"features": ["spender", "user_spend.txns"], "fingerprint": "`+f.plan.Services[0].Fingerprint.String()[:12]+`", "rows": [`+aRow+`]}`)
	if !strings.Contains(text, `"rows":[{"spender":2,"user_spend.txns":2}],"statuses":[{}]`) {
		t.Errorf("got %s", text)
	}
}

// problemIn decodes an error response and checks that it is a problem document.
func problemIn(t *testing.T, res *http.Response) (p problem) {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%s: Content-Type %q with %s", res.Status, got, text)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if p.Status != res.StatusCode || p.Title == "" || p.Code == "" {
		t.Errorf("%s with %s", res.Status, text)
	}
	return p
}

func TestN5_MistakesInRows(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxRows = 3; cfg.Ingester = &pushes{} })
	many := strings.Repeat(aRow+",", 3) + aRow
	for _, c := range []struct {
		name, path, body string
		status           int
		want, pointer    string
	}{
		{"a service that is not there", "services/fraud_v2:read", `{"rows": [{}]}`, 404, `no feature service "fraud_v2" (did you mean "fraud_v1"?)`, ""},
		{"another verb", "services/fraud_v1:write", `{}`, 404, "the path must end in a name and :read", ""},
		{"not JSON", "services/fraud_v1:read", `rows=1`, 400, "a JSON object begins with a brace", ""},
		{"cut off", "services/fraud_v1:read", `{"rows": [` + aRow, 400, "it ends before the object does", ""},
		{"more behind", "services/fraud_v1:read", `{"rows": [` + aRow + `]} {}`, 400, "text after the end of the object", ""},
		{"no rows", "services/fraud_v1:read", `{"features": []}`, 400, `the member "rows" is missing`, ""},
		{"rows given twice", "services/fraud_v1:read", `{"rows": [], "rows": []}`, 400, `"rows" occurs twice`, ""},
		{"rows of another kind", "services/fraud_v1:read", `{"rows": {}}`, 400, "rows is not an array of objects", ""},
		{"an empty array", "services/fraud_v1:read", `{"rows": []}`, 400, "the request has no rows", ""},
		{"another member", "services/fraud_v1:read", `{"rows": [], "service": "x"}`, 400, `unknown member "service"; the members are rows, features, fingerprint`, ""},
		{"features of another kind", "services/fraud_v1:read", `{"rows": [], "features": "spender"}`, 400, "features is not an array of strings", ""},
		{"an unknown feature", "services/fraud_v1:read", `{"rows": [` + aRow + `], "features": ["spendr"]}`, 400, `no feature "spendr" (did you mean "spender"?)`, ""},
		{"another fingerprint", "services/fraud_v1:read", `{"rows": [` + aRow + `], "fingerprint": "000000000000"}`, 400, "the request expects 000000000000", ""},
		{"a row that is a number", "services/fraud_v1:read", `{"rows": [` + aRow + `, 7]}`, 400, "not a JSON object", "/rows/1"},
		{"a missing key", "services/fraud_v1:read", `{"rows": [{"user_id": 1, "merchant": "shop", "amount": 1.5, "note": ""}]}`, 400, "it is missing; a row of service fraud_v1 has user_id (int)", "/rows/0/receiver_id"},
		{"an unknown field", "services/fraud_v1:read", `{"rows": [{"user": 1}]}`, 400, `unknown column "user"`, "/rows/0"},
		{"a value of another type", "services/fraud_v1:read", `{"rows": [` + strings.Replace(aRow, "0.5", `"half"`, 1) + `]}`, 400, `the string "half" is not a double`, "/rows/0/amount"},
		{"a string that is no int", "services/fraud_v1:read", `{"rows": [` + strings.Replace(aRow, "1", `"one"`, 1) + `]}`, 400, `"one" is not an int`, "/rows/0/user_id"},
		{"too many rows", "services/fraud_v1:read", `{"rows": [` + many + `]}`, 429, "more than 3 rows", ""},
		{"a source that is not there", "sources/transaction:push", `{"rows": [{}]}`, 404, `no source "transaction" (did you mean "transactions"?)`, ""},
		{"a source without a stream", "sources/labels:push", `{"rows": [{}]}`, 400, "does not accept pushed events", ""},
		{"features of a push", "sources/transactions:push", `{"rows": [{}], "features": []}`, 400, `unknown member "features"; the members are rows`, ""},
	} {
		res, err := http.Post(f.url+"/v1/"+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		p := problemIn(t, res)
		if p.Status != c.status || !strings.Contains(p.Detail, c.want) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, p.Status, p.Detail, c.status, c.want)
		}
		got := ""
		if len(p.Errors) > 0 {
			got = p.Errors[0].Pointer
		}
		if got != c.pointer {
			t.Errorf("%s: it points to %q, want %q", c.name, got, c.pointer)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestN5_UnsupportedRequestsAreExplained(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.MaxBytes = 4096 })
	read, procedure := "/v1/services/fraud_v1:read", "/unskew.v1.FeatureService/GetFeatures"
	for _, c := range []struct {
		name, method, path, kind, encoding, body string
		status                                   int
		want                                     string
	}{
		{"a read with GET", "GET", read, "", "", "", 405, "is called with POST, not GET"},
		{"no content type", "POST", read, "", "", "{}", 415, "send Content-Type: application/json"},
		{"a form", "POST", read, "application/x-www-form-urlencoded", "", "{}", 415, "send Content-Type: application/json"},
		{"Latin 1", "POST", read, "application/json; charset=latin1", "", "{}", 415, "JSON is UTF-8"},
		{"brotli", "POST", read, "application/json", "br", "{}", 415, "send gzip or none"},
		{"gzip that is none", "POST", read, "application/json", "gzip", "{}", 400, "does not match its Content-Encoding"},
		{"a long body", "POST", read, "application/json", "", strings.Repeat(" ", 4097), 413, "more than 4096 bytes"},
		{"a long body, packed", "POST", read, "application/json", "gzip", packed(strings.Repeat(" ", 4097)), 413, "more than 4096 bytes"},
		{"a procedure with GET", "GET", procedure, "", "", "", 405, "is called with POST, not GET"},
		{"a procedure with a form", "POST", procedure, "application/x-www-form-urlencoded", "", "{}", 415, "send application/json, application/proto"},
		{"a procedure that is not there", "POST", "/unskew.v1.FeatureService/GetFeature", "application/json", "", "{}", 404, "there is no procedure"},
		{"another path", "POST", "/v2/read", "application/json", "", "{}", 404, "there is nothing to POST at /v2/read; POST /v1/services/NAME:read reads features"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, f.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Content-Type": c.kind, "Content-Encoding": c.encoding} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if p := problemIn(t, res); p.Status != c.status || !strings.Contains(p.Detail, c.want) {
			t.Errorf("%s: %d %q, want %d with %q", c.name, p.Status, p.Detail, c.status, c.want)
		}
		if allow := res.Header.Get("Allow"); c.status == 405 && allow != "POST" {
			t.Errorf("%s: Allow %q", c.name, allow)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func packed(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

func TestRowsMayBeCompressed(t *testing.T) {
	f := start(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/services/fraud_v1:read",
		strings.NewReader(packed(`{"rows": [`+strings.Repeat(aRow+",", 999)+aRow+`]}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Accept-Encoding", "gzip, identity;q=0")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%s, Content-Encoding %q", res.Status, res.Header.Get("Content-Encoding"))
	}
	plain, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a rowAnswer
	if err := json.NewDecoder(plain).Decode(&a); err != nil || len(a.Rows) != 1000 {
		t.Errorf("%d rows, %v", len(a.Rows), err)
	}
}

func TestPushRows(t *testing.T) {
	log := &pushes{answer: []ingest.Pushed{{Outcome: ingest.Appended, Position: 7}, {Outcome: ingest.Rejected, Message: "too far ahead"}}}
	f := start(t, func(cfg *Config) { cfg.Ingester = log })
	code, text := post(t, f.url+"/v1/sources/transactions:push", `{"rows": [
		{"id": "a", "ts": "2025-01-01T01:00:00.000001+01:00", "user_id": "9007199254740993", "amount": 1e2},
		{"id": "b", "ts": "yesterday", "user_id": 1},
		{"id": "c", "tss": "2025-01-01T00:00:00Z"},
		{"id": "d", "ts": "2025-01-01T00:00:00Z", "country": null}]}`)
	want := `{"rows":[{"outcome":"APPENDED","position":7},` +
		`{"outcome":"REJECTED","message":"ts: \"yesterday\" is not`
	if code != 200 || !strings.HasPrefix(text, want) {
		t.Fatalf("%d %s", code, text)
	}
	if !strings.Contains(text, `{"outcome":"REJECTED","message":"unknown column \"tss\" (did you mean \"ts\"?)"},{"outcome":"REJECTED","message":"too far ahead"}]}`) {
		t.Errorf("got %s", text)
	}
	var got []string
	for _, c := range log.batch.Cols {
		got = append(got, c.Value(0).String()+" "+c.Value(1).String())
	}
	if want := []string{`"a" "d"`, "2025-01-01T00:00:00.000001Z 2025-01-01T00:00:00Z", "9007199254740993 null", "null null", "100.0 null", "null null"}; log.batch.N != 2 || !slices.Equal(got, want) {
		t.Errorf("pushed %d rows, %q, want %q", log.batch.N, got, want)
	}
	if _, text := get(t, f.url+"/metrics"); !strings.Contains(text, `unskew_pushed_rows_total{outcome="REJECTED",source="transactions"} 3`) ||
		!strings.Contains(text, `unskew_requests_total{code="ok",procedure="/v1/sources/:push"} 1`) {
		t.Error("the metrics do not count the push")
	}
}

func TestOpenAPIDescribesThePlan(t *testing.T) {
	f := start(t, func(cfg *Config) { cfg.Ingester = &pushes{} })
	code, text := get(t, f.url+"/openapi.json")
	var doc struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct {
						Schema struct {
							Properties map[string]json.RawMessage
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &doc); code != 200 || err != nil {
		t.Fatalf("%d, %v in %s", code, err, text)
	}
	if got, want := slices.Sorted(maps.Keys(doc.Paths)), []string{"/v1/services/fraud_v1:read", "/v1/sources/transactions:push"}; !slices.Equal(got, want) {
		t.Errorf("paths %q, want %q", got, want)
	}
	var rows struct {
		Items struct {
			Required   []string
			Properties map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(doc.Paths["/v1/services/fraud_v1:read"].Post.RequestBody.Content["application/json"].Schema.Properties["rows"], &rows); err != nil {
		t.Fatal(err)
	}
	if want := []string{"user_id", "receiver_id", "merchant", "amount", "note"}; !reflect.DeepEqual(rows.Items.Required, want) || len(rows.Items.Properties) != len(want) {
		t.Errorf("a row needs %q and may have %d members, want %q", rows.Items.Required, len(rows.Items.Properties), want)
	}
	for _, o := range f.plan.Services[0].Outputs() {
		if !strings.Contains(text, fmt.Sprintf("%q: {", o.Name)) {
			t.Errorf("%s is not described", o.Name)
		}
	}
}

// Memory is reserved for every field of a row, so there may be fewer wide rows.
func TestP6_RowsOfManyFields(t *testing.T) {
	fields := make([]plan.Field, 2000)
	for i := range fields {
		fields[i] = plan.Field{Name: fmt.Sprint("f", i), Type: doubleType}
	}
	most := limits.RequestCells / len(fields)
	for _, n := range []int{most, most + 1} {
		e := envelope{rows: []byte("[" + strings.Repeat("{},", n-1) + "{}]")}
		rows, err := e.parse(fields, nil, false, DefaultMaxRows)
		if fits := n <= most; fits != (err == nil) || fits && rows.N != n || !fits && !strings.Contains(err.Error(), fmt.Sprintf("more than %d rows", most)) {
			t.Errorf("%d rows of %d fields: %v", n, len(fields), err)
		}
	}
}

func TestServiceWithAKeyThatIsAlsoARequestField(t *testing.T) {
	p := &plan.Service{Keys: []plan.Field{{Name: "a", Type: intType}}, Request: []plan.Field{{Name: "a", Type: intType}, {Name: "b", Type: doubleType}}}
	if got, want := rowFields(p), []plan.Field{{Name: "a", Type: intType}, {Name: "b", Type: doubleType}}; !reflect.DeepEqual(got, want) {
		t.Errorf("a row has %v, want %v", got, want)
	}
}
