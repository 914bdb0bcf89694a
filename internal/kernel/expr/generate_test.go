package expr

import (
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// generator writes random well-typed expressions over testInputs. pick(n) chooses a number
// below n, by rapid or from a fuzzer's bytes.
type generator struct {
	pick func(n int) int
}

var (
	boolT, intT, uintT   = plan.T(plan.Bool), plan.T(plan.Int), plan.T(plan.Uint)
	doubleT, stringT     = plan.T(plan.Double), plan.T(plan.String)
	bytesT, timeT, spanT = plan.T(plan.Bytes), plan.T(plan.Timestamp), plan.T(plan.Duration)
)

var scalars = []plan.Type{boolT, intT, uintT, doubleT, stringT, bytesT, timeT, spanT}

var anyType = append([]plan.Type{
	plan.OptionalOf(intT), plan.OptionalOf(doubleT), plan.OptionalOf(stringT), plan.OptionalOf(timeT), plan.OptionalOf(boolT), plan.ListOf(intT),
}, scalars...)

var leaves = map[string][]string{
	"bool":                {"b", "c", "true", "false"},
	"int":                 {"i", "j", "0", "1", "-1", "7", "9223372036854775807", "(-9223372036854775808)", "size(li)"},
	"uint":                {"u", "v", "0u", "1u", "18446744073709551615u"},
	"double":              {"d", "f", "request.amount", "0.0", "-0.0", "2.5", "1e300", "(0.0/0.0)", "(1.0/0.0)"},
	"string":              {"s", "t", "''", "'a'", "'US'", "'é'", "'12'"},
	"bytes":               {"y", "b''", "b'a'", `b'\xff'`},
	"timestamp":           {"ts", "tu", "now", "timestamp('2025-03-01T00:00:00Z')", "timestamp('1969-12-31T23:59:59.999999Z')", "timestamp('2024-02-29T12:00:00.0000001Z')", "timestamp('2020-01-01T00:00:00+05:30')"},
	"duration":            {"du", "dv", "duration('1h')", "duration('-1us')", "duration('1ns')", "duration('90m')"},
	"optional(int)":       {"oi", "optional.none()", "optional.of(1)"},
	"optional(double)":    {"od", "optional.none()"},
	"optional(string)":    {"os", "optional.none()"},
	"optional(timestamp)": {"ot", "optional.none()"},
	"optional(bool)":      {"optional.of(b)", "optional.none()"},
	"list(int)":           {"li", "[]", "[1, 2, 3]"},
}

// templates are operators by result type. %name is an operand of that type, %T one of a type
// drawn for the template, %R one of the result type, %O an optional of the result type, and
// %N and %M are operands of type R and T that may be null.
var templates = map[string][]string{
	"bool": {
		"(%bool && %bool)", "(%bool || %bool)", "(%bool && %bool && %bool)", "(%bool || %bool || %bool)", "!%bool",
		"(%T == %T)", "(%T != %T)", "(%M == null)", "(%M != null)", "(null == %M)", "(%optional(int) == null)", "(%M in [null, %T])",
		"(%int < %int)", "(%uint <= %uint)", "(%double > %double)", "(%double < %double)", "(%double >= %double)", "(%string < %string)",
		"(%bytes >= %bytes)", "(%timestamp < %timestamp)", "(%timestamp >= %timestamp)", "(%duration > %duration)",
		"(%T in [%T, %T])", "(%string in ['a', 'US', 'é', 'b', 'c', 'd', 'e', ''])", "(%int in [1, 2, 3, 4, 5, 6, 7, 8])", "(%double in [0.0, 2.5])",
		"(%string in ['US', 'us', '12'])", "(%string in ['a', 'US', 'abc'])", "(%string in ['true', 'abcd'])", "(%string in ['x\x00y', 'abc'])", "(%string == 'abc')", "('true' != %string)", "(%string == 'a,b ')", "(%string > 'ab')",
		"%string.startsWith(%string)", "%string.endsWith(%string)", "%string.contains(%string)", "%string.matches('^a.*b?$')", "%string.matches('[')", "%string.matches(%string)",
		"cel.bind(x, %string, s.matches(x))", "cel.bind(x, %string, (s + x).lowerAscii() == t)", "(s.matches('a') || s.reverse() == 'a')",
		"bool(%string)", "%O.hasValue()", "(%bool < %bool)", "li.exists(x, x > %int)", "('a' in m)", "(%string in m)", "(%int in li)", "math.isNaN(%double)", "math.isInf(%double)", "math.isFinite(%double)",
		"(%O == %O)", "%optional(int).hasValue(%int)", "(%string in [])", "(%timestamp in [%timestamp, timestamp('2025-03-01T00:00:00Z')])",
	},
	"int": {
		"(%int + %int)", "(%int - %int)", "(%int * %int)", "(%int / %int)", "(%int % %int)", "-%int",
		"int(%double)", "int(%uint)", "int(%string)", "int(%timestamp)", "int(%duration)", "int(%int)", "size(%string)", "%string.size()", "size(%bytes)",
		"%timestamp.getFullYear()", "%timestamp.getMonth()", "%timestamp.getDayOfYear()", "%timestamp.getDayOfMonth()", "%timestamp.getDate()",
		"%timestamp.getDayOfWeek()", "%timestamp.getHours()", "%timestamp.getMinutes()", "%timestamp.getSeconds()", "%timestamp.getMilliseconds()",
		"%timestamp.getHours('America/New_York')", "%timestamp.getDate('Asia/Kolkata')", "%timestamp.getDayOfYear('Pacific/Apia')",
		"%timestamp.getFullYear('-05:30')", "%timestamp.getMinutes('Australia/Lord_Howe')", "%timestamp.getDayOfWeek('Nowhere/None')", "%timestamp.getMonth('UTC')",
		"%duration.getHours()", "%duration.getMinutes()", "%duration.getSeconds()",
		"m['a']", "m[%string]", "li[0]", "li[%int]", "m[?%string].orValue(%int)", "size(m)", "li[?%int].orValue(%int)", "math.greatest(%int, %int)", "math.least(%int, %int)", "math.abs(%int)", "math.sign(%int)", "math.least(%int)", "%string.indexOf(%string)",
	},
	"uint": {"(%uint + %uint)", "(%uint - %uint)", "(%uint * %uint)", "(%uint / %uint)", "(%uint % %uint)", "uint(%int)", "uint(%double)", "uint(%string)", "math.greatest(%uint, %uint)", "math.least(%uint, %uint)", "math.sign(%uint)", "math.abs(%uint)"},
	"double": {"(%double + %double)", "(%double - %double)", "(%double * %double)", "(%double / %double)", "-%double", "double(%int)", "double(%uint)", "double(%string)", "double(%double)", "math.sqrt(%double)",
		"math.greatest(%double, %double)", "math.least(%double, %double)", "math.abs(%double)", "math.sign(%double)", "math.floor(%double)",
		"math.ceil(%double)", "math.round(%double)", "math.trunc(%double)", "math.sqrt(%int)", "math.sqrt(%uint)", "math.greatest(%double, %double, %double)"},
	"string":    {"(%string + %string)", "(%string + ':' + %string)", "cel.bind(x, %string + %string, x + x)", "string(%int)", "string(%double)", "string(%bool)", "string(%uint)", "string(%bytes)", "string(%timestamp)", "string(%duration)", "string(%string)", "%string.lowerAscii()", "%string.upperAscii()", "%string.trim()", "%string.substring(1)", "%string.charAt(0)"},
	"bytes":     {"(%bytes + %bytes)", "bytes(%string)"},
	"timestamp": {"(%timestamp + %duration)", "(%duration + %timestamp)", "(%timestamp - %duration)", "timestamp(%int)", "timestamp(%string)", "timestamp(%timestamp)"},
	"duration":  {"(%duration + %duration)", "(%duration - %duration)", "(%timestamp - %timestamp)", "duration(%string)"},
	"list(int)": {"(%list(int) + %list(int))", "%list(int).map(x, x + %int)", "%list(int).filter(x, x > 0)"},
}

// common are operators of every type R.
var common = []string{"(%bool ? %R : %R)", "cel.bind(x, %R, %bool ? x : %R)", "cel.bind(x, %R, cel.bind(y, %string, %string.contains(y) ? x : %R))", "(%bool ? null : %N)", "(%bool ? %N : null)", "[%R, %R][0]"}

// optionals are the operators that make an optional of R.
var optionals = []string{"optional.of(%R)", "optional.ofNonZeroValue(%R)", "%O.or(%O)", "(%bool ? %O : %O)", "%O.optMap(x, x)", "(%bool ? %O : null)"}

// unwraps are the operators that return the content, of type R, of an optional.
var unwraps = []string{"%O.orValue(%R)", "%O.value()", "%O.optMap(x, x).orValue(%R)", "%O.orValue(%N)", "cel.bind(x, %O, [x][0].orValue(%R))"}

func (g *generator) oneOf(list []string) string { return list[g.pick(len(list))] }

func (g *generator) expr(t plan.Type, depth int) string {
	if depth <= 0 || g.pick(6) == 0 {
		return g.oneOf(leaves[t.String()])
	}
	list := templates[t.String()]
	if t.Kind == plan.Optional {
		return g.fill(g.oneOf(optionals), *t.Elem, depth)
	}
	k := g.pick(10)
	switch {
	case k < 2 || len(list) == 0:
		list = common
	case k == 2 && hasOptional(t):
		list = unwraps
	}
	return g.fill(g.oneOf(list), t, depth)
}

func hasOptional(t plan.Type) bool { return leaves[plan.OptionalOf(t).String()] != nil }

// fill replaces the operands of a template whose result type R is t.
func (g *generator) fill(template string, t plan.Type, depth int) string {
	drawn := scalars[g.pick(len(scalars))]
	if !strings.Contains(template, "%R") && strings.Contains(template, "%O") && !hasOptional(t) {
		t = []plan.Type{intT, doubleT, stringT, timeT}[g.pick(4)]
	}
	var out strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != '%' || i+1 == len(template) || template[i+1] == ' ' {
			out.WriteByte(template[i])
			continue
		}
		switch template[i+1] {
		case 'N':
			out.WriteString(g.nullable(t, depth-1))
			i++
			continue
		case 'M':
			out.WriteString(g.nullable(drawn, depth-1))
			i++
			continue
		}
		name, operand := g.operand(template[i+1:], t, drawn)
		out.WriteString(g.expr(operand, depth-1))
		i += len(name)
	}
	return out.String()
}

// nullable writes an expression whose checked type allows null.
func (g *generator) nullable(t plan.Type, depth int) string {
	if depth > 0 && g.pick(3) == 0 {
		return "(" + g.expr(boolT, depth-1) + " ? " + g.nullable(t, depth-1) + " : " + g.expr(t, depth-1) + ")"
	}
	for _, in := range testInputs {
		if in.Type.Equal(t) && (g.pick(2) == 0 || t.Kind == plan.Bytes || !t.Kind.Scalar()) {
			return in.Name
		}
	}
	return leaves[t.String()][0]
}

func (g *generator) operand(rest string, t, drawn plan.Type) (string, plan.Type) {
	switch rest[0] {
	case 'R':
		return "R", t
	case 'T':
		return "T", drawn
	case 'O':
		return "O", plan.OptionalOf(t)
	}
	for _, x := range anyType {
		if name := x.String(); strings.HasPrefix(rest, name) {
			return name, x
		}
	}
	panic(fmt.Sprintf("no type at %q", rest))
}
