package gen

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// function is an aggregate of the language: the types of its arguments, the literals
// that may follow them, and its type given the first one's ("?" optional, "[]" list).
type function struct {
	name     string
	args     [][]string
	literals []string
	kind     string // %s is the type of the first argument
}

var aggregates = []function{
	{"count", nil, nil, "int"},
	{"count", args(anything), nil, "int"},
	{"sum", args(additive), nil, "%s"},
	{"sum", args(kinds("double")), nil, "%s"},
	{"mean", args(numbers), nil, "?double"},
	{"var_pop", args(numbers), nil, "?double"},
	{"var_samp", args(numbers), nil, "?double"},
	{"stddev_pop", args(numbers), nil, "?double"},
	{"stddev_samp", args(numbers), nil, "?double"},
	{"min", args(ordered), nil, "?%s"},
	{"max", args(ordered), nil, "?%s"},
	{"latest", args(whatever), nil, "?%s"},
	{"earliest", args(whatever), nil, "?%s"},
	{"latest_n", args(anything), counts, "[%s]"},
	{"earliest_n", args(anything), counts, "[%s]"},
	{"latest_time", nil, nil, "?timestamp"},
	{"earliest_time", nil, nil, "?timestamp"},
	{"max_by", args(whatever, ordered), nil, "?%s"},
	{"min_by", args(whatever, ordered), nil, "?%s"},
	{"distinct_count", args(discrete), nil, "int"},
	{"approx_distinct", args(discrete), nil, "int"},
	{"approx_quantile", args(numbers), []string{"0.0", "0.25", "0.5", "0.99", "1.0"}, "?double"},
	{"top_k", args(kinds("int", "string")), counts, "[%s]"},
	{"any", args(kinds("bool")), nil, "bool"},
	{"all", args(kinds("bool")), nil, "bool"},
}

var (
	numbers  = kinds("int", "double")
	additive = kinds("int", "double", "duration")
	ordered  = kinds("int", "double", "string", "timestamp", "duration")
	discrete = kinds("int", "string", "bool", "bytes", "timestamp")
	anything = append(kinds("bool", "bytes"), ordered...)
	whatever = append(kinds("[int]", "{double}"), anything...)
	counts   = []string{"1", "2", "3", "1000"}
)

func kinds(list ...string) []string     { return list }
func args(lists ...[]string) [][]string { return lists }

// draw draws the arguments of a call.
func (f *function) draw(t *rapid.T) []typed {
	var out []typed
	for _, list := range f.args {
		out = append(out, pick(t, among(t, list, "kind")))
	}
	if f.literals != nil {
		out = append(out, typed{among(t, f.literals, "literal"), "literal"})
	}
	return out
}

// result is the type of a call with the given arguments.
func (f *function) result(args []typed) string {
	if strings.Contains(f.kind, "%s") {
		return fmt.Sprintf(f.kind, args[0].kind)
	}
	return f.kind
}

// rowExpressions over the generated columns, by type. Some fail on some rows.
var rowExpressions = map[string][]string{
	"int":       {"qty", "qty", "big", "charge", "qty * 2", "big + qty", "qty % 7", "size(note)", "int(amount)", "qty == null ? -1 : qty", "seen.getDayOfWeek()", "seen.getHours('America/New_York')"},
	"double":    {"amount", "amount", "fee", "late", "amount - fee", "amount * 0.1 + fee", "fee / amount", "double(qty)", "qty > 2 ? amount : fee", "amount + late", "-amount"},
	"string":    {"country", "country", "note", "country + ':' + note", "flag ? country : note", "note.lowerAscii()", "string(charge)", "chargeback ? 'x' : country", "foreign ? note : country"},
	"bool":      {"flag", "chargeback", "amount > 10.0", "country == 'US'", "note != null", "!flag", "qty in [1, 2, 3]", "fee < amount || flag", "chargeback && flag", "country.startsWith('U')", "late == late", "seen < ts", "foreign"},
	"bytes":     {"raw", "raw", "bytes(note)", "k_raw"},
	"timestamp": {"seen", "ts", "seen + duration('36h')", "late > 1.0 ? seen : ts"},
	"duration":  {"ts - seen", "took", "flag ? duration('90s') : duration('-1ms')", "chargeback ? took : duration('1ns')"},
	"[int]":     {"[qty, 7]", "[size(note)]", "note.split('a').map(x, size(x))"},
	"{double}":  {"{'a': amount}", "{country: fee, 'none': 0.5}"},
}

func pick(t *rapid.T, kind string) typed {
	return typed{among(t, rowExpressions[kind], "row expression"), kind}
}

func boolColumn(t *rapid.T) string { return pick(t, "bool").text }
