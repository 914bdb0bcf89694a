package gen

import (
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
)

// function is a way to call an aggregate of the language: the types of its arguments and
// the literals that may follow them.
type function struct {
	row      *plan.AggRow
	args     [][]string
	literals []string
}

// functions are the rows of plan.Aggregates; a row whose value may be left out gives two.
var functions = func() (out []function) {
	for i := range plan.Aggregates {
		row := &plan.Aggregates[i]
		if row.NoValue {
			out = append(out, function{row: row})
		}
		f := function{row: row}
		for _, role := range row.Roles {
			switch role {
			case plan.RoleValue:
				f.args = append(f.args, valueTypes(row))
			case plan.RoleBy:
				f.args = append(f.args, typeNames(plan.OrderedKinds))
			case plan.RoleN:
				f.literals = []string{"1", "2", "3", "1000"}
			case plan.RoleQuantile:
				f.literals = []string{"0.0", "0.25", "0.5", "0.99", "1.0"}
			}
		}
		out = append(out, f)
	}
	return out
}()

// valueTypes are the types of values with which the result can be a feature: a list of lists
// cannot.
func valueTypes(row *plan.AggRow) []string {
	types := typeNames(row.Kinds)
	if row.Composite && row.Result.Kind != plan.List {
		types = append(types, "[int]", "{double}")
	}
	return types
}

func typeNames(kinds []plan.Kind) (names []string) {
	for _, k := range kinds {
		names = append(names, k.String())
	}
	return names
}

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

// result is the type of a call with the given arguments: "?int" is an optional, "[int]" a list.
func (f *function) result(args []typed) string {
	of := func(t *plan.Type) string {
		if t.Kind == plan.Dyn {
			return args[0].kind
		}
		return t.String()
	}
	switch t := &f.row.Result; t.Kind {
	case plan.Optional:
		return "?" + of(t.Elem)
	case plan.List:
		return "[" + of(t.Elem) + "]"
	default:
		return of(t)
	}
}

// rowExpressions are expressions over the generated columns, by type. Some fail on some rows.
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
