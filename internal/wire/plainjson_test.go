package wire

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// plain converts a value for encoding/json, independently of the code under test.
func plain(x plan.Value) any {
	switch x.Kind() {
	case plan.Bool:
		return x.Bool()
	case plan.Int:
		if i := x.Int(); i > 1<<53 || i < -1<<53 {
			return strconv.FormatInt(i, 10)
		}
		return x.Int()
	case plan.Uint:
		if u := x.Uint(); u > 1<<53 {
			return strconv.FormatUint(u, 10)
		}
		return x.Uint()
	case plan.Double:
		switch f := x.Double(); {
		case math.IsNaN(f):
			return "NaN"
		case math.IsInf(f, 0):
			return map[bool]string{true: "Infinity", false: "-Infinity"}[f > 0]
		default:
			return f
		}
	case plan.String:
		return x.Str()
	case plan.Bytes:
		return base64.StdEncoding.EncodeToString([]byte(x.Str()))
	case plan.Timestamp:
		return x.Time().Time().Format(time.RFC3339Nano)
	case plan.Duration:
		return time.Duration(x.Duration()).String()
	case plan.Optional:
		if len(x.List()) > 0 {
			return plain(x.List()[0])
		}
	case plan.List:
		list := []any{}
		for _, e := range x.List() {
			list = append(list, plain(e))
		}
		return list
	case plan.Map:
		m := map[string]any{}
		for i := 0; i < len(x.List()); i += 2 {
			name, ok := plain(x.List()[i]).(string)
			if !ok {
				b, _ := json.Marshal(plain(x.List()[i]))
				name = string(b)
			}
			m[name] = plain(x.List()[i+1])
		}
		return m
	}
	return nil
}

// Plain JSON decodes to the same values as JSON from encoding/json; the sign of zero
// survives.
func TestN7_PlainJSONOfEveryType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, gen := typed(t, 2)
		x := gen.Draw(t, "value")
		v := vector.Of(typ, x)
		got := AppendPlainJSON(nil, v, 0)
		lib, err := json.Marshal(plain(v.Value(0)))
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%v: %s is no JSON: %v", x, got, err)
		}
		if err := json.Unmarshal(lib, &b); err != nil {
			t.Fatal(err)
		}
		one, _ := json.Marshal(a)
		two, _ := json.Marshal(b)
		if string(one) != string(two) {
			t.Errorf("%v: %s, the library writes %s", x, got, lib)
		}
	})
}

func TestN7_PlainJSONOfEdges(t *testing.T) {
	for want, v := range map[string]*vector.Vector{
		"-0.0":                          vector.Of(plan.T(plan.Double), plan.DoubleValue(math.Copysign(0, -1))),
		"5e-324":                        vector.Of(plan.T(plan.Double), plan.DoubleValue(math.SmallestNonzeroFloat64)),
		"9007199254740992":              vector.Of(plan.T(plan.Int), plan.IntValue(1<<53)),
		`"9007199254740993"`:            vector.Of(plan.T(plan.Int), plan.IntValue(1<<53+1)),
		`"-9007199254740993"`:           vector.Of(plan.T(plan.Int), plan.IntValue(-1<<53-1)),
		`"2262-04-11T23:47:16.854775Z"`: vector.Of(plan.T(plan.Timestamp), plan.TimestampValue(9223372036854775)),
		`"1h0m0.5s"`:                    vector.Of(plan.T(plan.Duration), plan.DurationValue(time.Hour+time.Second/2)),
		"null":                          vector.Of(plan.T(plan.Int), plan.NullValue()),
	} {
		if got := string(AppendPlainJSON(nil, v, 0)); got != want {
			t.Errorf("%v is %s, want %s", v.Value(0), got, want)
		}
	}
}
