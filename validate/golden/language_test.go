package golden

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/validate/parity"
)

var updateLanguage = flag.Bool("update", false, "rewrite the generated parts of docs/language.md")

// languageFile is the language reference, whose tables this test writes and checks.
const languageFile = "../../docs/language.md"

// rows are the events of the reference's examples; they are read as of 12:00.
const rows = `
  - {user_id: 1, ts: 2025-03-01T09:00:00Z, amount: 10.0, qty: 2, country: DE, ok: true, s: "Hello, World"}
  - {user_id: 1, ts: 2025-03-01T10:00:00Z, amount: 20.0, qty: 3, country: FR, ok: false, s: "Hello, World"}
  - {user_id: 1, ts: 2025-03-01T11:00:00Z, amount: 4.0, qty: null, country: DE, ok: true, s: "Hello, World"}
`

const exampleProject = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: orders
stream: true
event_time: ts
columns: {user_id: {type: int}, ts: {type: timestamp}, amount: {type: double}, qty: {type: int}, country: {type: string}, ok: {type: bool}, s: {type: string}}
---
kind: FeatureView
name: v
entity: user
source: orders
features:
%s---
kind: FeatureService
name: s
features: [v]
request: {s: string, i: int, d: double, t: timestamp}
derived:
%s---
kind: FeatureTest
service: s
events:
  orders: %s
expect:
  - {user_id: 1, at: 2025-03-01T12:00:00Z, request: {s: "Hello, World", i: 7, d: 2.5, t: 2025-03-01T18:30:15Z}}
  - {user_id: 2, at: 2025-03-01T12:00:00Z, request: {s: "Hello, World", i: 7, d: 2.5, t: 2025-03-01T18:30:15Z}}
`

// example is an expression and its value for user 1; for an aggregate also that for user 2, who
// has no events.
type example struct{ name, expr, value, empty string }

var aggregateExamples = []example{
	{"count", `count("3h")`, "3", "0"},
	{"count", `count(qty, "3h")`, "2", "0"},
	{"sum", `sum(amount, "2h")`, "24.0", "0.0"},
	{"mean", `mean(amount, "1d")`, "11.333333333333334", "none"},
	{"var_pop", `var_pop(amount)`, "43.55555555555556", "none"},
	{"var_samp", `var_samp(amount)`, "65.33333333333333", "none"},
	{"stddev_pop", `stddev_pop(qty)`, "0.5", "none"},
	{"stddev_samp", `stddev_samp(qty)`, "0.7071067811865476", "none"},
	{"min", `min(amount, "1d")`, "4.0", "none"},
	{"max", `max(country, "1d")`, `"FR"`, "none"},
	{"latest", `latest(country, "1d")`, `"DE"`, "none"},
	{"earliest", `earliest(amount, "2h")`, "20.0", "none"},
	{"latest_n", `latest_n(country, 2, "1d")`, `["FR", "DE"]`, "[]"},
	{"earliest_n", `earliest_n(amount, 2, "1d")`, "[10.0, 20.0]", "[]"},
	{"latest_time", `latest_time("1d")`, "2025-03-01T11:00:00Z", "none"},
	{"earliest_time", `earliest_time()`, "2025-03-01T09:00:00Z", "none"},
	{"max_by", `max_by(country, amount, "1d")`, `"FR"`, "none"},
	{"min_by", `min_by(country, amount, "1d")`, `"DE"`, "none"},
	{"distinct_count", `distinct_count(country, "1d")`, "2", "0"},
	{"approx_distinct", `approx_distinct(country, "1d")`, "2", "0"},
	{"approx_quantile", `approx_quantile(amount, 0.5, "1d")`, "", "none"},
	{"top_k", `top_k(country, 1, "1d")`, `["DE"]`, "[]"},
	{"any", `any(ok, "1d")`, "true", "false"},
	{"all", `all(ok, "1d")`, "false", "true"},
	{"where", `count("1d").where(amount > 5.0)`, "2", "0"},
	{"cap", `distinct_count(country, "1d").where(ok).cap(50000)`, "1", "0"},
	{"by", `sum(amount, "1d").by(country)`, `{"DE": 14.0, "FR": 20.0}`, "{}"},
	{"by", `mean(amount, "1d").where(ok).by(country)`, `{"DE": 7.0}`, "{}"},
}

// functionExamples has at least one example for each function, operator and macro of the
// language.
var functionExamples = []example{
	{name: "_+_", expr: `1 + 2`, value: "3"},
	{name: "_+_", expr: `"a" + "b"`, value: `"ab"`},
	{name: "_-_", expr: `request.t - duration("30s")`, value: "2025-03-01T18:29:45Z"},
	{name: "_-_", expr: `request.t - now`, value: "6h30m15s"},
	{name: "-_", expr: `-request.d`, value: "-2.5"},
	{name: "_*_", expr: `2.0 * request.d`, value: "5.0"},
	{name: "_/_", expr: `-7 / 2`, value: "-3"},
	{name: "_%_", expr: `-7 % 2`, value: "-1"},
	{name: "_==_", expr: `request.i == 7`, value: "true"},
	{name: "_!=_", expr: `request.s != null`, value: "true"},
	{name: "_<_", expr: `"a" < "b"`, value: "true"},
	{name: "_<=_", expr: `request.d <= 2.5`, value: "true"},
	{name: "_>_", expr: `now > request.t`, value: "false"},
	{name: "_>=_", expr: `2 >= 3`, value: "false"},
	{name: "!_", expr: `!(1 == 2)`, value: "true"},
	{name: "_&&_", expr: `request.i > 0 && request.d > 0.0`, value: "true"},
	{name: "_||_", expr: `request.i > 100 || request.d > 0.0`, value: "true"},
	{name: "_?_:_", expr: `request.i > 5 ? "big" : "small"`, value: `"big"`},
	{name: "@in", expr: `request.i in [5, 6, 7]`, value: "true"},
	{name: "_[_]", expr: `["a", "b"][1]`, value: `"b"`},
	{name: "_[?_]", expr: `["a", "b"][?5].orValue("none")`, value: `"none"`},

	{name: "bool", expr: `bool("true")`, value: "true"},
	{name: "bytes", expr: `size(bytes("äb"))`, value: "3"},
	{name: "double", expr: `double(request.i)`, value: "7.0"},
	{name: "duration", expr: `duration("1h30m")`, value: "1h30m0s"},
	{name: "int", expr: `int(-2.9)`, value: "-2"},
	{name: "string", expr: `string(1000000.0)`, value: `"1e+06"`},
	{name: "timestamp", expr: `timestamp("2025-03-01T00:00:00Z") < now`, value: "true"},
	{name: "uint", expr: `int(uint(7))`, value: "7"},
	{name: "type", expr: `type(request.i) == type(1)`, value: "true"},
	{name: "size", expr: `size(request.s)`, value: "12"},

	{name: "charAt", expr: `request.s.charAt(4)`, value: `"o"`},
	{name: "contains", expr: `request.s.contains("World")`, value: "true"},
	{name: "endsWith", expr: `request.s.endsWith("x")`, value: "false"},
	{name: "startsWith", expr: `request.s.startsWith("He")`, value: "true"},
	{name: "indexOf", expr: `request.s.indexOf("o")`, value: "4"},
	{name: "lastIndexOf", expr: `request.s.lastIndexOf("o")`, value: "8"},
	{name: "lowerAscii", expr: `request.s.lowerAscii()`, value: `"hello, world"`},
	{name: "upperAscii", expr: `request.s.upperAscii()`, value: `"HELLO, WORLD"`},
	{name: "matches", expr: `request.s.matches("^H.*d$")`, value: "true"},
	{name: "replace", expr: `request.s.replace("l", "L", 2)`, value: `"HeLLo, World"`},
	{name: "reverse", expr: `request.s.reverse()`, value: `"dlroW ,olleH"`},
	{name: "split", expr: `request.s.split(", ")`, value: `["Hello", "World"]`},
	{name: "substring", expr: `request.s.substring(7, 12)`, value: `"World"`},
	{name: "trim", expr: `request.s.substring(6).trim()`, value: `"World"`},
	{name: "join", expr: `request.s.split(", ").join("-")`, value: `"Hello-World"`},
	{name: "strings.quote", expr: `strings.quote(request.s)`, value: `"\"Hello, World\""`},
	{name: "regex.extract", expr: `regex.extract(request.s, "W(o.)ld").orValue("")`, value: `"or"`},
	{name: "regex.extractAll", expr: `regex.extractAll(request.s, "o(.?)")`, value: `[",", "r"]`},
	{name: "regex.replace", expr: `regex.replace(request.s, "[aeiou]", "#")`, value: `"H#ll#, W#rld"`},

	{name: "getFullYear", expr: `request.t.getFullYear()`, value: "2025"},
	{name: "getMonth", expr: `request.t.getMonth()`, value: "2"},
	{name: "getDate", expr: `request.t.getDate()`, value: "1"},
	{name: "getDayOfMonth", expr: `request.t.getDayOfMonth()`, value: "0"},
	{name: "getDayOfWeek", expr: `request.t.getDayOfWeek()`, value: "6"},
	{name: "getDayOfYear", expr: `request.t.getDayOfYear()`, value: "59"},
	{name: "getHours", expr: `request.t.getHours("America/New_York")`, value: "13"},
	{name: "getHours", expr: `(request.t - now).getHours()`, value: "6"},
	{name: "getMinutes", expr: `request.t.getMinutes()`, value: "30"},
	{name: "getSeconds", expr: `request.t.getSeconds()`, value: "15"},
	{name: "getMilliseconds", expr: `request.t.getMilliseconds()`, value: "0"},

	{name: "math.abs", expr: `math.abs(-3)`, value: "3"},
	{name: "math.ceil", expr: `math.ceil(request.d)`, value: "3.0"},
	{name: "math.floor", expr: `math.floor(request.d)`, value: "2.0"},
	{name: "math.round", expr: `math.round(request.d)`, value: "3.0"},
	{name: "math.trunc", expr: `math.trunc(-2.5)`, value: "-2.0"},
	{name: "math.sign", expr: `math.sign(-2.5)`, value: "-1.0"},
	{name: "math.sqrt", expr: `math.sqrt(6.25)`, value: "2.5"},
	{name: "math.isNaN", expr: `math.isNaN(0.0 / 0.0)`, value: "true"},
	{name: "math.isInf", expr: `math.isInf(1.0 / 0.0)`, value: "true"},
	{name: "math.isFinite", expr: `math.isFinite(request.d)`, value: "true"},
	{name: "greatest", expr: `math.greatest(1, request.i, 3)`, value: "7"},
	{name: "least", expr: `math.least(1.5, request.d)`, value: "1.5"},
	{name: "math.bitAnd", expr: `math.bitAnd(6, 3)`, value: "2"},
	{name: "math.bitOr", expr: `math.bitOr(6, 3)`, value: "7"},
	{name: "math.bitXor", expr: `math.bitXor(6, 3)`, value: "5"},
	{name: "math.bitNot", expr: `math.bitNot(0)`, value: "-1"},
	{name: "math.bitShiftLeft", expr: `math.bitShiftLeft(1, 4)`, value: "16"},
	{name: "math.bitShiftRight", expr: `math.bitShiftRight(16, 2)`, value: "4"},

	{name: "hasValue", expr: `v.x_mean.hasValue()`, value: "true"},
	{name: "orValue", expr: `v.x_none.orValue(0.0)`, value: "0.0"},
	{name: "or", expr: `v.x_none.or(v.x_mean).orValue(0.0)`, value: "11.333333333333334"},
	{name: "value", expr: `v.x_mean.value()`, value: "11.333333333333334"},
	{name: "optMap", expr: `v.x_mean.optMap(m, m * 3.0).orValue(0.0)`, value: "34.0"},
	{name: "optFlatMap", expr: `v.x_mean.optFlatMap(m, m > 5.0 ? optional.of(m) : optional.none()).hasValue()`, value: "true"},
	{name: "optional.of", expr: `optional.of(1).orValue(2)`, value: "1"},
	{name: "optional.none", expr: `optional.none().orValue(2)`, value: "2"},
	{name: "optional.ofNonZeroValue", expr: `optional.ofNonZeroValue(0).orValue(2)`, value: "2"},
	{name: "optional.unwrap", expr: `optional.unwrap([optional.of(1), optional.none()])`, value: "[1]"},
	{name: "unwrapOpt", expr: `[optional.of(1), optional.none()].unwrapOpt()`, value: "[1]"},
	{name: "has", expr: `has({"a": 1}.a)`, value: "true"},

	{name: "all", expr: `[1, 2, 3].all(x, x > 0)`, value: "true"},
	{name: "exists", expr: `[1, 2, 3].exists(x, x > 2)`, value: "true"},
	{name: "exists_one", expr: `[1, 2, 3].exists_one(x, x > 1)`, value: "false"},
	{name: "filter", expr: `[1, 2, 3].filter(x, x > 1)`, value: "[2, 3]"},
	{name: "map", expr: `[1, 2, 3].map(x, x * x)`, value: "[1, 4, 9]"},
	{name: "bind", expr: `cel.bind(x, request.i * 2, x * x)`, value: "196"},
	{name: "distinct", expr: `[1, 2, 1].distinct()`, value: "[1, 2]"},
	{name: "distinct", expr: `request.s.split("").distinct().size()`, value: "9"},
	{name: "first", expr: `[1, 2].first().orValue(0)`, value: "1"},
	{name: "last", expr: `[1, 2].last().orValue(0)`, value: "2"},
	{name: "flatten", expr: `[[1], [2, 3]].flatten()`, value: "[1, 2, 3]"},
	{name: "lists.range", expr: `lists.range(3)`, value: "[0, 1, 2]"},
	{name: "slice", expr: `[1, 2, 3].slice(1, 3)`, value: "[2, 3]"},
	{name: "sort", expr: `[3, 1, 2].sort()`, value: "[1, 2, 3]"},
	{name: "sort", expr: `request.s.split(", ").map(x, x.upperAscii()).sort()`, value: `["HELLO", "WORLD"]`},
	{name: "sortBy", expr: `["bb", "a"].sortBy(s, size(s))`, value: `["a", "bb"]`},
	{name: "sets.contains", expr: `sets.contains([1, 2, 3], [2])`, value: "true"},
	{name: "sets.equivalent", expr: `sets.equivalent([1, 2], [2, 1, 1])`, value: "true"},
	{name: "sets.intersects", expr: `sets.intersects([1], [2])`, value: "false"},
	{name: "hasAll", expr: `[1, 2].hasAll([2])`, value: "true"},
	{name: "hasAny", expr: `[1, 2].hasAny([2, 3])`, value: "true"},
	{name: "hasExactly", expr: `[1, 2].hasExactly([2, 1])`, value: "true"},
	{name: "hasOnly", expr: `[1, 2].hasOnly([1, 2, 3])`, value: "true"},
	{name: "format", expr: `"%s!".format([request.s])`, value: `"Hello, World!"`},
}

// TestEveryFunctionHasAnExample: everything that the environment declares is in the reference.
func TestEveryFunctionHasAnExample(t *testing.T) {
	have := map[string]bool{}
	for _, e := range functionExamples {
		have[e.name] = true
	}
	for _, f := range signatures(t) {
		if !have[f.Name] {
			t.Errorf("%s has no example", f.Name)
		}
	}
	for _, a := range lang.Aggregates() {
		if !slices.ContainsFunc(aggregateExamples, func(e example) bool { return e.name == string(a.Func) }) {
			t.Errorf("aggregate %s has no example", a.Func)
		}
	}
}

// TestExamplesHold runs every example of the reference on every path. Examples about a text are
// evaluated for a request field and for a column.
func TestExamplesHold(t *testing.T) {
	p, service := examples(t)
	c := newCase(p.Plan, p.Tests[0])
	for _, path := range []Path{Oracle(), Replay(), Online("embedded", backend.InMemory)} {
		got, err := path.Read(t.Context(), c)
		if err != nil {
			t.Fatalf("%s: %v", path.Name, err)
		}
		for i, o := range service.Outputs() {
			e, ok := exampleOf(o.Name)
			if !ok || e.value == "" {
				continue // an estimate, or an auxiliary feature
			}
			if text := shown(got[0][i].Cell); text != e.value {
				t.Errorf("%s: %s is %s, the reference says %s", path.Name, e.expr, text, e.value)
			}
			if text := shown(got[1][i].Cell); e.empty != "" && text != e.empty {
				t.Errorf("%s: %s without events is %s, the reference says %s", path.Name, e.expr, text, e.empty)
			}
		}
	}
}

// ofColumn rewrites an example about a text of the request for the column of the same name.
func ofColumn(expr string) (string, bool) {
	column := strings.ReplaceAll(expr, "request.s", "s")
	return column, column != expr && !strings.Contains(column, "request.")
}

func shown(c parity.Cell) string {
	if c.Value.IsNull() {
		if s := c.Status.String(); s == "EMPTY" || s == "UNKNOWN_ENTITY" {
			return "none"
		}
		return c.Status.String()
	}
	return c.Value.String()
}

// exampleOf finds the example of an output.
func exampleOf(output string) (example, bool) {
	var n int
	if _, err := fmt.Sscanf(output, "v.a%d", &n); err == nil {
		return aggregateExamples[n], true
	}
	if _, err := fmt.Sscanf(output, "f%d", &n); err == nil {
		return functionExamples[n], true
	}
	if _, err := fmt.Sscanf(output, "v.c%d", &n); err == nil {
		return functionExamples[n], true
	}
	return example{}, false
}

func examples(t *testing.T) (*featuredefs.Project, *plan.Service) {
	t.Helper()
	var features, derived strings.Builder
	for i, e := range aggregateExamples {
		fmt.Fprintf(&features, "  a%d: %s\n", i, quoted(e.expr))
	}
	features.WriteString("  x_mean: 'mean(amount, \"1d\")'\n  x_none: 'mean(amount, \"30m\")'\n")
	for i, e := range functionExamples {
		if column, ok := ofColumn(e.expr); ok {
			fmt.Fprintf(&features, "  c%d: %s\n", i, quoted("latest("+column+")"))
		}
		fmt.Fprintf(&derived, "  f%d: %s\n", i, quoted(e.expr))
	}
	dir := t.TempDir()
	indented := strings.ReplaceAll(rows, "\n  -", "\n    -")
	defstest.Write(t, dir, fmt.Sprintf(exampleProject, features.String(), derived.String(), indented))
	p := defstest.Load(t, dir, featuredefs.Options{})
	return p, p.Plan.Services[0]
}

// quoted is a YAML scalar in single quotes.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestReferenceTestsHold: the tests of the example project in the reference pass on every path.
func TestReferenceTestsHold(t *testing.T) {
	text, err := os.ReadFile(languageFile)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "<!-- A test runs this project. -->\n```yaml\n")
	project, _, closed := strings.Cut(after, "```\n")
	if !ok || !closed {
		t.Fatal("docs/language.md does not have the project with tests")
	}
	r := runText(t, project, "", []Path{Oracle(), Replay(), Online("embedded", backend.InMemory)})
	if r.Tests != 2 || r.Values != 3*11 || len(r.Failures) != 0 {
		t.Errorf("%d tests with %d values: %v", r.Tests, r.Values, r.Failures)
	}
}

// TestReferenceIsCurrent writes the tables of docs/language.md between their markers.
func TestReferenceIsCurrent(t *testing.T) {
	old, err := os.ReadFile(languageFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(old)
	for _, part := range []struct{ marker, table string }{{"aggregates", aggregateTable()}, {"functions", functionTable(t)}} {
		begin, end := "<!-- "+part.marker+": go test ./validate/golden -update -->\n", "<!-- end of "+part.marker+" -->\n"
		i, j := strings.Index(text, begin), strings.Index(text, end)
		if i < 0 || j < i {
			t.Fatalf("docs/language.md does not have the markers of %s", part.marker)
		}
		text = text[:i+len(begin)] + part.table + text[j:]
	}
	if text == string(old) {
		return
	}
	if !*updateLanguage {
		t.Fatal("docs/language.md is out of date; run: go test -tags duckdb_arrow ./validate/golden -update")
	}
	if err := os.WriteFile(languageFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func aggregateTable() string {
	var b strings.Builder
	b.WriteString("| call | value | result | without events | example | gives |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, a := range lang.Aggregates() {
		for i, e := range aggregateExamples {
			if e.name != string(a.Func) {
				continue
			}
			first := slices.IndexFunc(aggregateExamples, func(x example) bool { return x.name == e.name }) == i
			call, values, result := "", "", ""
			if first {
				call, values, result = code(a.Signature), a.Values, code(a.Result)
				if a.Bounds != "" {
					values += "; " + a.Bounds
				}
			}
			value := code(e.value)
			if e.value == "" {
				value = "within 1 %"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", call, values, result, code(e.empty), code(e.expr), value)
		}
	}
	for i, e := range aggregateExamples {
		switch e.name {
		case "where":
			fmt.Fprintf(&b, "| `agg.where(bool)` | | as agg | %s | %s | %s |\n", code(e.empty), code(e.expr), code(e.value))
		case "cap":
			fmt.Fprintf(&b, "| `distinct_count(…).cap(n)` | n from 1 to %d | `int` | %s | %s | %s |\n", plan.MaxDistinctCap, code(e.empty), code(e.expr), code(e.value))
		case "by":
			call, values := "", ""
			if aggregateExamples[i-1].name != "by" {
				call, values = "`agg.by(string)`", "agg: count, sum, mean, min, max; more than 1000 keys are an error"
			}
			fmt.Fprintf(&b, "| %s | %s | `map(string, T)` | %s | %s | %s |\n", call, values, code(e.empty), code(e.expr), code(e.value))
		}
	}
	return b.String()
}

func functionTable(t *testing.T) string {
	all := signatures(t)
	var b strings.Builder
	b.WriteString("| function | types | example | gives |\n| --- | --- | --- | --- |\n")
	for i, e := range functionExamples {
		name, types := "", ""
		if i == 0 || functionExamples[i-1].name != e.name {
			name, types = code(written(e.name)), overloads(all, e.name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, types, code(e.expr), code(e.value))
	}
	return b.String()
}

func signatures(t *testing.T) []celenv.Signature {
	t.Helper()
	all, err := celenv.Signatures()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func overloads(all []celenv.Signature, name string) string {
	i := slices.IndexFunc(all, func(s celenv.Signature) bool { return s.Name == name })
	if i < 0 || len(all[i].Overloads) == 0 {
		return "macro"
	}
	var out []string
	for _, o := range all[i].Overloads {
		out = append(out, code(o))
	}
	return strings.Join(out, "<br>")
}
