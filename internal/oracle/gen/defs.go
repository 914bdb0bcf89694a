package gen

import (
	"encoding/json"
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// ViewName and SourceName are the names in every generated definition.
const (
	ViewName   = "v"
	SourceName = "events"
)

// columns are those of the generated source, first the possible keys. late is known at
// late_at, charge an hour after its row, chargeback at chargeback_at.
const columns = `  k_int: {type: int}
  k_str: {type: string}
  k_two: {type: string}
  k_time: {type: timestamp}
  k_bool: {type: bool}
  k_raw: {type: bytes}
  ts: {type: timestamp}
  id: {type: string}
  known: {type: timestamp}
  late_at: {type: timestamp}
  chargeback_at: {type: timestamp}
  amount: {type: double}
  fee: {type: double}
  qty: {type: int}
  big: {type: int}
  country: {type: string}
  note: {type: string}
  flag: {type: bool}
  seen: {type: timestamp}
  raw: {type: bytes}
  took: {type: duration}
  late: {type: double, known_at: late_at}
  charge: {type: int, known_at: {delay: 1h}}
  chargeback: {type: bool, outcome: true, known_at: chargeback_at}
`

// entityKeys are the key columns a definition may choose, with their types.
var entityKeys = [][]struct{ column, kind string }{
	{{"k_int", "int"}},
	{{"k_str", "string"}},
	{{"k_str", "string"}, {"k_two", "string"}},
	{{"k_time", "timestamp"}, {"k_bool", "bool"}},
	{{"k_raw", "bytes"}},
}

var knownAt = []string{
	"", "known_at: known\n", "known_at: {delay: 15m}\n", "known_at: {schedule: \"0 2 * * *\", delay: 30m}\n",
}

// Definitions draws the text of one file that declares an entity, a source
// and the view ViewName with 1 to maxFeatures features.
func Definitions(t *rapid.T, maxFeatures int) string {
	text, _ := view(t, maxFeatures)
	return text
}

// view is Definitions; it also returns the features, with the types of references to them.
func view(t *rapid.T, maxFeatures int) (string, []typed) {
	var b strings.Builder
	header(t, &b)
	if chance(t, 4, "view filter") {
		fmt.Fprintf(&b, "where: %s\n", quote(boolColumn(t)))
	}
	b.WriteString("features:\n")
	g := &features{t: t, prefix: "f", leaf: aggregate}
	for range 1 + below(maxFeatures).Draw(t, "features") {
		b.WriteString(g.next())
	}
	return b.String(), g.made
}

// DefinitionsOf is Definitions with a feature for each expression, and no filter of the view.
func DefinitionsOf(t *rapid.T, exprs []string) string {
	var b strings.Builder
	header(t, &b)
	b.WriteString("features:\n")
	for i, e := range exprs {
		fmt.Fprintf(&b, "  f%d: %s\n", i, quote(e))
	}
	return b.String()
}

// header draws the entity, the source and the beginning of the view.
func header(t *rapid.T, b *strings.Builder) {
	keys := among(t, entityKeys, "keys")
	var declared, mapped []string
	for i, k := range keys {
		declared = append(declared, fmt.Sprintf("{name: key%d, type: %s}", i, k.kind))
		mapped = append(mapped, fmt.Sprintf("key%d: %s", i, k.column))
	}
	fmt.Fprintf(b, "kind: Entity\nname: who\nkeys: [%s]\n---\n", strings.Join(declared, ", "))
	fmt.Fprintf(b, "kind: Source\nname: %s\nstream: true\nevent_time: ts\n", SourceName)
	if rapid.Bool().Draw(t, "event ids") {
		b.WriteString("event_id: id\ndedup_window: 36500d\n") // outcomes may come at any time
	}
	b.WriteString(among(t, knownAt, "known_at"))
	fmt.Fprintf(b, "columns:\n%s---\n", columns)
	fmt.Fprintf(b, "kind: FeatureView\nname: %s\nentity: who\nsource: %s\nkeys: {%s}\n", ViewName, SourceName, strings.Join(mapped, ", "))
	b.WriteString("let: {foreign: \"country != 'US'\"}\n")
}

func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// features draws one feature after another; later ones may refer to earlier ones.
type features struct {
	t      *rapid.T
	prefix string // of names
	n      int
	leaf   func(*rapid.T) typed // draws an expression that refers to no feature
	made   []typed              // features that can be referred to
}

// typed is an expression of the language and its type; for a feature its name and
// the type of a reference to it.
type typed struct{ text, kind string }

// literals are defaults by type, including edge cases.
var literals = map[string][]string{
	"int": {"0", "-1"}, "double": {"-1.0", "-0.0", ".nan"}, "string": {`"??"`, `""`}, "bool": {"true"},
	"timestamp": {"2025-01-01T00:00:00Z"},
}

func (g *features) next() string {
	name := fmt.Sprint(g.prefix, g.n)
	g.n++
	e := g.outer()
	kind, optional := strings.CutPrefix(e.kind, "?")
	line := fmt.Sprintf("  %s: %s\n", name, quote(e.text))
	if lits := literals[kind]; lits != nil {
		lit := among(g.t, lits, "default literal")
		switch below(4).Draw(g.t, "default") {
		case 2:
			if optional {
				line = fmt.Sprintf("  %s: {expr: %s, default: %s}\n", name, quote(e.text), lit)
				e.kind = kind
			}
		case 3:
			line = fmt.Sprintf("  %s: {expr: %s, default: %s, on_error: default}\n", name, quote(e.text), lit)
			e.kind = kind
		}
	}
	g.made = append(g.made, typed{name, e.kind})
	return line
}

// outer draws an outer expression: usually one leaf, else arithmetic over leaves, earlier
// features or now.
func (g *features) outer() typed {
	switch below(10).Draw(g.t, "outer") {
	case 8, 9:
		return g.combined()
	case 7:
		return among(g.t, ofNow, "of now")
	}
	return g.leaf(g.t)
}

var ofNow = []typed{
	{"now", "timestamp"},
	{`now.getHours("Europe/Berlin") * 100 + now.getDayOfWeek()`, "int"},
	{`now.getDayOfYear("America/New_York")`, "int"},
	{`now - timestamp("2025-01-01T00:00:00Z")`, "duration"},
}

// combined draws an expression over an earlier feature or a leaf.
func (g *features) combined() typed {
	x := g.leaf(g.t)
	if len(g.made) > 0 && rapid.Bool().Draw(g.t, "refer") {
		x = among(g.t, g.made, "reference")
	}
	forms := combinations[x.kind]
	if forms == nil {
		return x
	}
	f := among(g.t, forms, "form")
	if strings.Contains(x.text, " ") {
		x.text = "(" + x.text + ")"
	}
	return typed{strings.ReplaceAll(f.text, "$", x.text), f.kind}
}

var combinations = map[string][]typed{
	"int":        {{"$ * $ + 1", "int"}, {"1.0 / double($)", "double"}, {"$ > 0 || 9223372036854775807 + $ > 0", "bool"}, {"$ == 0 ? 0.0 : 1.0 / double($)", "double"}},
	"double":     {{"$ * 0.1 + $", "double"}, {"$ - $", "double"}, {"$ < 1.0", "bool"}, {"int($)", "int"}, {"$ / $", "double"}},
	"bool":       {{"!$", "bool"}, {"$ ? 1.0 : 0.0", "double"}},
	"string":     {{"$ + 'x'", "string"}, {"size($)", "int"}},
	"timestamp":  {{"now - $", "duration"}, {"$.getHours()", "int"}},
	"?timestamp": {{"now - $.orValue(now)", "duration"}, {"$.optMap(t, now - t > duration('24h'))", "?bool"}},
	"duration":   {{"$ + duration('1h')", "duration"}, {"$.getSeconds()", "int"}},
	"?int":       {{"$.orValue(7)", "int"}, {"$.hasValue()", "bool"}, {"$.optMap(x, x + 1)", "?int"}},
	"?double":    {{"$.orValue(0.5) / 3.0", "double"}, {"$.optMap(x, x * x)", "?double"}, {"$.hasValue() ? $.value() : -1.0", "double"}},
	"?string":    {{"$.orValue('none') + '!'", "string"}, {"$.optMap(s, size(s))", "?int"}},
	"bytes":      {{"size($)", "int"}},
	"?bytes":     {{"$.optMap(b, size(b))", "?int"}},
	"?bool":      {{"$.orValue(false)", "bool"}},
	"[int]":      {{"size($)", "int"}, {"$.exists(x, x > 2)", "bool"}, {"$.map(x, x % 10)", "[int]"}},
	"[double]":   {{"$[0]", "double"}},
	"[string]":   {{"size($)", "int"}, {"'US' in $", "bool"}},
	"{int}":      {{"$.size()", "int"}, {"'US' in $ ? $['US'] : -1", "int"}, {"$['DE']", "int"}},
	"{double}":   {{"$.size()", "int"}, {"$.exists(k, k == 'US')", "bool"}},
}

// windows are every kind of window: unbounded, exact, with default and with given hops.
var windows = []string{
	"", "1s/exact", "3s/1s", "30s", "10m", "1h", "1h/exact", "90m/30m", "1d", "1d/exact", "2d/1h", "7d/1d", "30d", "36500d/1d",
}

// aggregate draws one call, with its window, filter and groups.
func aggregate(t *rapid.T) typed {
	f := &functions[below(len(functions)).Draw(t, "aggregate")]
	args := f.draw(t)
	call := typed{f.call(args, among(t, windows, "window")), f.result(args)}
	if f.row.Capped && chance(t, 3, "capped") {
		call.text += ".cap(2)"
	}
	if chance(t, 4, "filtered") {
		call.text += fmt.Sprintf(".where(%s)", boolColumn(t))
	}
	if f.row.Groups && chance(t, 4, "grouped") {
		call.text += fmt.Sprintf(".by(%s)", pick(t, "string").text)
		call.kind = "{" + strings.TrimPrefix(call.kind, "?") + "}"
	}
	return call
}

// call is the text of a call.
func (f *function) call(args []typed, window string) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, a.text)
	}
	if window != "" {
		texts = append(texts, quote(window))
	}
	return fmt.Sprintf("%s(%s)", f.row.Func, strings.Join(texts, ", "))
}

// Every lists calls of every aggregate over every type of its first argument and every window:
// plain, filtered, and capped and by group where that is allowed. Expressions, filters and
// literals are chosen in turn.
func Every() []string {
	var out []string
	turn := 0
	next := func(list []string) string { turn++; return list[turn%len(list)] }
	for i := range functions {
		f := &functions[i]
		first := []string{""}
		if len(f.args) > 0 {
			first = f.args[0]
		}
		for _, kind := range first {
			for _, w := range windows {
				var args []typed
				for n, list := range f.args {
					if n > 0 {
						kind = next(list)
					}
					args = append(args, typed{next(rowExpressions[kind]), kind})
				}
				if f.literals != nil {
					args = append(args, typed{next(f.literals), "literal"})
				}
				call := f.call(args, w)
				out = append(out, call, fmt.Sprintf("%s.where(%s)", call, next(rowExpressions["bool"])))
				if f.row.Capped {
					out = append(out, call+".cap(1)")
				}
				if f.row.Groups {
					out = append(out, fmt.Sprintf("%s.by(%s)", call, next(rowExpressions["string"])))
				}
			}
		}
	}
	return out
}
