package expr

import (
	"math"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// vars are the inputs of one row; a missing one is null.
type vars map[string]plan.Value

// rows makes columns of the given rows.
func rows(list ...vars) []*vector.Vector {
	cols := make([]*vector.Vector, len(testInputs))
	for k, in := range testInputs {
		cols[k] = vector.New(in.Type, len(list))
		for i, row := range list {
			cols[k].Set(i, row[in.Name])
		}
	}
	return cols
}

func program(t testing.TB, text string) *Program {
	t.Helper()
	return programFor(t, text, 0)
}

// programFor is program with a bias for memos.
func programFor(t testing.TB, text string, bias int) *Program {
	t.Helper()
	src, err := parse(testEnv(t), text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := compileFor(src.expr, testInputs, bias)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantRow evaluates text for one row and compares the printed outcome.
func wantRow(t *testing.T, text string, row vars, want string) {
	t.Helper()
	got := result(program(t, text).Eval(rows(row), 1, nil), 0).String()
	if got != want {
		t.Errorf("%s of %v is %s, want %s", text, row, got, want)
	}
}

// wantNative checks that an expression has no fallback.
func wantNative(t *testing.T, text string) {
	t.Helper()
	if f := program(t, text).Fallbacks(); len(f) != 0 {
		t.Errorf("%s falls back for %v", text, f)
	}
}

func double(f float64) plan.Value { return plan.DoubleValue(f) }

func at(t *testing.T, s string) plan.Value {
	t.Helper()
	et, err := plan.ParseTime(s)
	if err != nil {
		t.Fatal(err)
	}
	return plan.TimestampValue(et)
}

func TestC1_NaNIsNotOrdered(t *testing.T) {
	nan := double(math.NaN())
	for _, op := range []string{"<", "<=", ">", ">=", "=="} {
		wantRow(t, "d "+op+" f", vars{"d": nan, "f": double(1)}, "false")
		wantRow(t, "d "+op+" f", vars{"d": double(1), "f": nan}, "false")
		wantRow(t, "d "+op+" f", vars{"d": nan, "f": nan}, "false")
	}
	wantRow(t, "d != f", vars{"d": nan, "f": nan}, "true")
	wantRow(t, "d in [1.0, 0.0/0.0]", vars{"d": nan}, "false")
}

func TestC2_NaNAgainstNull(t *testing.T) {
	nan := double(math.NaN())
	for _, op := range []string{"<", "<=", ">", ">="} {
		wantRow(t, "d "+op+" f", vars{"d": nan}, "false")
		wantRow(t, "d "+op+" f", vars{"f": nan}, "error")
		wantRow(t, "d "+op+" f", vars{"d": double(1)}, "error")
		wantRow(t, "(0.0 / 0.0) "+op+" f", nil, "false")
		wantRow(t, "f "+op+" (0.0 / 0.0)", nil, "error")
		wantRow(t, "1.0 "+op+" f", nil, "error")
	}
}

// TestC3_TreesNotText: `-(-1)` unparses to `--1`, which is 1 to the parser.
func TestC3_TreesNotText(t *testing.T) {
	wantRow(t, "-(-1) - i", vars{"i": plan.IntValue(2)}, "-1")
	wantRow(t, "-(-9223372036854775808) == i", vars{"i": plan.IntValue(0)}, "error")
	wantRow(t, "-(-d)", vars{"d": double(math.Copysign(0, -1))}, "-0.0")
}

func TestC4_ZonedFieldsAreNative(t *testing.T) {
	for _, text := range []string{
		"ts.getHours('America/New_York')", "ts.getDate('+05:30')", "ts.getDayOfWeek('UTC')",
	} {
		wantNative(t, text)
	}
	// In New York, daylight saving time began at 2025-03-09 07:00 UTC.
	wantRow(t, "ts.getHours('America/New_York')", vars{"ts": at(t, "2025-03-09T06:59:59.999999Z")}, "1")
	wantRow(t, "ts.getHours('America/New_York')", vars{"ts": at(t, "2025-03-09T07:00:00Z")}, "3")
	wantRow(t, "ts.getHours('Local')", vars{"ts": at(t, "2025-03-09T07:00:00Z")}, "error")
}

func TestC6_DoublesAsText(t *testing.T) {
	wantNative(t, "string(d)")
	for f, want := range map[float64]string{
		1000000: `"1e+06"`, 1: `"1"`, 0.1: `"0.1"`, 100000: `"100000"`, 1e21: `"1e+21"`, math.Inf(1): `"+Inf"`,
		math.Inf(-1): `"-Inf"`, math.NaN(): `"NaN"`, math.Copysign(0, -1): `"-0"`, 1e-5: `"1e-05"`,
	} {
		wantRow(t, "string(d)", vars{"d": double(f)}, want)
	}
}

func TestC7_OverflowIsOneRow(t *testing.T) {
	p := program(t, "i + 1 > 0 || j == 1")
	cols := rows(
		vars{"i": plan.IntValue(1), "j": plan.IntValue(0)},
		vars{"i": plan.IntValue(math.MaxInt64), "j": plan.IntValue(0)},
		vars{"i": plan.IntValue(math.MaxInt64), "j": plan.IntValue(1)},
		vars{"i": plan.IntValue(-5), "j": plan.IntValue(1)},
	)
	out := p.Eval(cols, 4, nil)
	for i, want := range []string{"true", "error", "true", "true"} {
		if got := result(out, i).String(); got != want {
			t.Errorf("row %d is %s, want %s", i, got, want)
		}
	}
	for i, want := range []string{"", "integer overflow", "", ""} {
		if got := p.ErrorText(cols, i); got != want {
			t.Errorf("the error of row %d reads %q, want %q", i, got, want)
		}
	}
}

func TestN4_NullnessIsDecidedAtRunTime(t *testing.T) {
	p := program(t, "b ? 0.0 : d")
	if p.Type().Kind != plan.Double {
		t.Fatalf("the checker says %v", p.Type())
	}
	wantRow(t, "b ? 0.0 : d", vars{"b": plan.BoolValue(false)}, "null")
	wantRow(t, "(b ? 0.0 : d) + 1.0", vars{"b": plan.BoolValue(false)}, "error")
	wantRow(t, "(b ? 0.0 : d) == 0.0", vars{"b": plan.BoolValue(false)}, "false")
	wantRow(t, "b ? 0.0 : d", vars{"d": double(1)}, "error")
}

func TestB4_NegativeTimesFloor(t *testing.T) {
	before := vars{"ts": plan.TimestampValue(-1)} // 1969-12-31T23:59:59.999999Z
	for text, want := range map[string]string{
		"ts.getFullYear()": "1969", "ts.getMonth()": "11", "ts.getDate()": "31", "ts.getDayOfMonth()": "30",
		"ts.getDayOfYear()": "364", "ts.getDayOfWeek()": "3", "ts.getHours()": "23", "ts.getMinutes()": "59",
		"ts.getSeconds()": "59", "ts.getMilliseconds()": "999", "int(ts)": "-1",
		"ts.getHours('+01:00')":                     "0",
		"ts + duration('-1ns')":                     "1969-12-31T23:59:59.999998Z",
		"ts - duration('1ns')":                      "1969-12-31T23:59:59.999998Z",
		"ts - timestamp('1970-01-01T00:00:00Z')":    "-1µs",
		"(ts - duration('1ns')).getHours('UTC')":    "23",
		"timestamp('1969-12-31T23:59:59.9999999Z')": "1969-12-31T23:59:59.999999Z",
	} {
		wantRow(t, text, before, want)
	}
}

func TestB8_WeekdaysCountFromSunday(t *testing.T) {
	for day, want := range map[string]string{
		"2025-03-02": "0", "2025-03-03": "1", "2025-03-08": "6", "1969-12-28": "0", "0001-01-01": "1", "9999-12-31": "5",
	} {
		wantRow(t, "ts.getDayOfWeek()", vars{"ts": at(t, day+"T12:00:00Z")}, want)
		wantRow(t, "ts.getDayOfWeek('+00:00')", vars{"ts": at(t, day+"T12:00:00Z")}, want)
	}
}

// TestNanosecondsDecide: results are right although lanes hold microseconds and cel-go
// computes with nanoseconds.
func TestNanosecondsDecide(t *testing.T) {
	row := vars{"ts": plan.TimestampValue(5), "tu": plan.TimestampValue(5), "du": plan.DurationValue(time.Nanosecond)}
	for text, want := range map[string]string{
		"ts + du > tu":                                                "true",
		"ts + du == tu":                                               "false",
		"(ts + du) - tu":                                              "1ns",
		"(ts + du) + duration('999ns')":                               "1970-01-01T00:00:00.000006Z",
		"ts + du":                                                     "1970-01-01T00:00:00.000005Z",
		"cel.bind(x, ts + du, x > tu)":                                "true",
		"cel.bind(x, ts + du, string(x))":                             `"1970-01-01T00:00:00.000005001Z"`,
		"(b ? ts : ts + du) > tu":                                     "true",
		"optional.of(ts + du).value() > tu":                           "true",
		"ot.orValue(ts + du) in [tu]":                                 "false",
		"string(timestamp('2020-01-01T00:00:00+02:00'))":              `"2020-01-01T00:00:00+02:00"`,
		"string(timestamp('2020-01-01T00:00:00+02:00') + du)":         `"2020-01-01T00:00:00.000000001+02:00"`,
		"ts < timestamp('1970-01-01T00:00:00.000005001Z')":            "true",
		"cel.bind(z, timestamp('2020-01-01T02:00:00+02:00'), z == z)": "true",
	} {
		r := vars{"b": plan.BoolValue(false)}
		for k, v := range row {
			r[k] = v
		}
		wantRow(t, text, r, want)
	}
}

// TestOptionalNull: optional.of(null) is not none until it leaves the expression.
func TestOptionalNull(t *testing.T) {
	for text, want := range map[string]string{
		"optional.of(i).hasValue()":                    "true",
		"optional.of(i).value()":                       "null",
		"optional.of(i).orValue(3)":                    "null",
		"optional.of(i)":                               "null",
		"optional.of(i).or(optional.of(4)).orValue(3)": "null",
		"optional.ofNonZeroValue(i).orValue(3)":        "3",
		"oi.orValue(3)":                                "3",
		"oi.value()":                                   "error",
		"oi.hasValue()":                                "false",
		"oi == null":                                   "false",
		"oi.optMap(x, x + 1).orValue(3)":               "3",
		"optional.of(i).optMap(x, x == null).value()":  "true",
		"(b ? oi : null) == null":                      "error",
		"(c ? oi : null) == null":                      "true",
		"(c ? oi : null).orValue(1)":                   "error",
	} {
		wantRow(t, text, vars{"c": plan.BoolValue(false)}, want)
	}
}

func TestNative(t *testing.T) {
	for _, text := range []string{
		"d * 1.1 + f / 2.0 - 3.0", "(i + 3) * j - 7 / i % 2", "u + v > 3u", "b && (c || !b) ? i : j",
		"s.startsWith('a') || s.endsWith(t) || s.contains('x') || s.matches('^[a-z]+$')", "size(s) > 5",
		"s in ['GB', 'US', null]", "i in [1, j, 3]", "s + ':' + string(i) + string(d) + string(b)",
		"ts.getHours() >= 22 && ts < now && ts + duration('1h') > tu", "ts - tu > duration('24h')",
		"d != null ? d : 0.0", "od.orValue(d) > 0.0 && oi.hasValue()", "cel.bind(x, d * 2.0, x * x)",
		"od.optMap(x, x / 2.0).orValue(0.0)", "int(d) + int(s) + int(ts)", "double(i) / double(u)",
		"request.amount / od.orValue(request.amount)", "du + duration('1s') > dv", "string(ts)",
	} {
		wantNative(t, text)
	}
}

// TestC9_FallbacksTrackNothing: tracking costs makes cel-go several times slower.
func TestC9_FallbacksTrackNothing(t *testing.T) {
	p := program(t, "s.reverse() + li.map(x, string(x)).join(',')")
	fallbacks := 0
	everyNode(p.root, func(n node) {
		x, ok := n.(*fallbackNode)
		if !ok {
			return
		}
		fallbacks++
		if _, details, _ := x.prg.Eval(rowActivation(tameColumns(1))); details != nil {
			t.Errorf("%v tracks its cost, %v", x.expr, details.ActualCost())
		}
	})
	if fallbacks == 0 {
		t.Fatal("nothing falls back")
	}
}
