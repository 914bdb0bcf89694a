package gen

import (
	"fmt"

	"pgregory.net/rapid"
)

// function is an aggregate of the language: how to draw its arguments, and its
// type given them ("?" optional, "[]" list).
type function struct {
	name string
	args func(*rapid.T) []typed
	kind func([]typed) string
}

var aggregates = []function{
	{"count", nothing, always("int")},
	{"count", one(anything...), always("int")},
	{"sum", one("int", "double", "duration"), same("%s")},
	{"sum", one("double"), same("%s")},
	{"mean", one("int", "double"), always("?double")},
	{"var_pop", one("int", "double"), always("?double")},
	{"var_samp", one("int", "double"), always("?double")},
	{"stddev_pop", one("int", "double"), always("?double")},
	{"stddev_samp", one("int", "double"), always("?double")},
	{"min", one(ordered...), same("?%s")},
	{"max", one(ordered...), same("?%s")},
	{"latest", one(anything...), same("?%s")},
	{"earliest", one(anything...), same("?%s")},
	{"latest_n", counted(anything...), same("[%s]")},
	{"earliest_n", counted(anything...), same("[%s]")},
	{"latest_time", nothing, always("?timestamp")},
	{"earliest_time", nothing, always("?timestamp")},
	{"max_by", two(anything, ordered), same("?%s")},
	{"min_by", two(anything, ordered), same("?%s")},
	{"distinct_count", one("int", "string", "bool", "bytes", "timestamp"), always("int")},
	{"approx_distinct", one("int", "string", "bool", "bytes", "timestamp"), always("int")},
	{"approx_quantile", quantiled("int", "double"), always("?double")},
	{"top_k", counted("int", "string"), same("[%s]")},
	{"any", one("bool"), always("bool")},
	{"all", one("bool"), always("bool")},
}

var (
	ordered  = []string{"int", "double", "string", "timestamp", "duration"}
	anything = append([]string{"bool", "bytes"}, ordered...)
)

func nothing(*rapid.T) []typed { return nil }

func one(kinds ...string) func(*rapid.T) []typed {
	return func(t *rapid.T) []typed {
		return []typed{pick(t, among(t, kinds, "kind"))}
	}
}

func two(first, second []string) func(*rapid.T) []typed {
	return func(t *rapid.T) []typed { return append(one(first...)(t), one(second...)(t)...) }
}

func counted(kinds ...string) func(*rapid.T) []typed {
	return func(t *rapid.T) []typed {
		n := among(t, []int{1, 2, 3, 1000}, "n")
		return append(one(kinds...)(t), typed{fmt.Sprint(n), "int"})
	}
}

func quantiled(kinds ...string) func(*rapid.T) []typed {
	return func(t *rapid.T) []typed {
		q := among(t, []string{"0.0", "0.25", "0.5", "0.99", "1.0"}, "q")
		return append(one(kinds...)(t), typed{q, "double"})
	}
}

func always(kind string) func([]typed) string { return func([]typed) string { return kind } }

func same(format string) func([]typed) string {
	return func(args []typed) string { return fmt.Sprintf(format, args[0].kind) }
}

// rowExpressions over the generated columns, by type. Some fail on some rows.
var rowExpressions = map[string][]string{
	"int":       {"qty", "qty", "big", "charge", "qty * 2", "big + qty", "qty % 7", "size(note)", "int(amount)", "qty == null ? -1 : qty", "seen.getDayOfWeek()", "seen.getHours('America/New_York')"},
	"double":    {"amount", "amount", "fee", "late", "amount - fee", "amount * 0.1 + fee", "fee / amount", "double(qty)", "qty > 2 ? amount : fee", "amount + late", "-amount"},
	"string":    {"country", "country", "note", "country + ':' + note", "flag ? country : note", "note.lowerAscii()"},
	"bool":      {"flag", "chargeback", "amount > 10.0", "country == 'US'", "note != null", "!flag", "qty in [1, 2, 3]", "fee < amount || flag", "chargeback && flag", "country.startsWith('U')", "late == late", "seen < ts"},
	"bytes":     {"raw", "raw", "bytes(note)"},
	"timestamp": {"seen", "ts", "seen + duration('36h')"},
	"duration":  {"ts - seen", "flag ? duration('90s') : duration('-1ms')"},
}

func pick(t *rapid.T, kind string) typed {
	return typed{among(t, rowExpressions[kind], "row expression"), kind}
}

func boolColumn(t *rapid.T) string { return pick(t, "bool").text }
