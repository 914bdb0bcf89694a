package yamldoc

import (
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// parseOne reads the value of a one-key document.
func parseOne(t rapid.TB, text string) (*Node, *diag.Reporter) {
	t.Helper()
	r := &diag.Reporter{}
	docs := newFile("a.yaml", []byte(text)).documents()
	if len(docs) != 1 {
		t.Fatalf("%d documents in %q", len(docs), text)
	}
	n := parseDocument(r, docs[0])
	if n == nil {
		t.Fatalf("cannot parse %q: %v", text, r.Found)
	}
	v, ok := n.Get("v")
	if !ok {
		t.Fatalf("no v in %q", text)
	}
	return v, r
}

func TestValue(t *testing.T) {
	list, dict := plan.ListOf, plan.MapOf
	str, integer, double := plan.T(plan.String), plan.T(plan.Int), plan.T(plan.Double)
	for _, c := range []struct {
		text string
		typ  plan.Type
		want plan.Value
	}{
		{"1", integer, plan.IntValue(1)},
		{"-9223372036854775808", integer, plan.IntValue(math.MinInt64)},
		{"+7", integer, plan.IntValue(7)},
		{"0x1F", integer, plan.IntValue(31)},
		{"0o17", integer, plan.IntValue(15)},
		{"010", integer, plan.IntValue(10)},
		{"1", double, plan.DoubleValue(1)},
		{"-0.0", double, plan.DoubleValue(math.Copysign(0, -1))},
		{"-0", double, plan.DoubleValue(math.Copysign(0, -1))},
		{"1e3", double, plan.DoubleValue(1000)},
		{".5", double, plan.DoubleValue(.5)},
		{"5e-324", double, plan.DoubleValue(5e-324)},
		{"9007199254740993", double, plan.DoubleValue(9007199254740992)},
		{"1e3", integer, plan.IntValue(1000)},
		{"2.0", integer, plan.IntValue(2)},
		{".inf", double, plan.DoubleValue(math.Inf(1))},
		{"-.inf", double, plan.DoubleValue(math.Inf(-1))},
		{".nan", double, plan.DoubleValue(math.NaN())},
		{"US", str, plan.StringValue("US")},
		{"NO", str, plan.StringValue("NO")},
		{`"12"`, str, plan.StringValue("12")},
		{"!!str 12", str, plan.StringValue("12")},
		{"'null'", str, plan.StringValue("null")},
		{`""`, str, plan.StringValue("")},
		{"a:b", str, plan.StringValue("a:b")},
		{"true", plan.T(plan.Bool), plan.BoolValue(true)},
		{"~", str, plan.NullValue()},
		{"", integer, plan.NullValue()},
		{"abc", plan.T(plan.Bytes), plan.BytesValue([]byte("abc"))},
		{"!!binary AP8=", plan.T(plan.Bytes), plan.BytesValue([]byte{0, 255})},
		{"1h30m", plan.T(plan.Duration), plan.DurationValue(90 * time.Minute)},
		{"1969-12-31T23:59:59.9999999Z", plan.T(plan.Timestamp), plan.TimestampValue(-1)},
		{"2025-01-01 00:00:00", plan.T(plan.Timestamp), plan.TimestampValue(1735689600000000)},
		{"2025-01-01", plan.T(plan.Timestamp), plan.TimestampValue(1735689600000000)},
		{"2025-01-01T02:00:00+02:00", plan.T(plan.Timestamp), plan.TimestampValue(1735689600000000)},
		{"[1, 2.5]", list(double), plan.ListValue([]plan.Value{plan.DoubleValue(1), plan.DoubleValue(2.5)})},
		{"[]", list(str), plan.ListValue(nil)},
		{"{US: 1, '': 2}", dict(str, integer), plan.MapValue([]plan.Value{plan.StringValue("US"), plan.StringValue("")}, []plan.Value{plan.IntValue(1), plan.IntValue(2)})},
		{"3", plan.OptionalOf(integer), plan.IntValue(3)},
	} {
		n, _ := parseOne(t, "v: "+c.text+"\n")
		got, err := value(n, c.typ)
		if err != nil || !got.Equal(c.want) {
			t.Errorf("%s as %v: got %v, %v; want %v", c.text, c.typ, got, err, c.want)
		}
	}
}

// TestValue_ColonsInFlowLists: in a flow list inside a flow mapping the parser
// takes a colon for the end of a key.
func TestValue_ColonsInFlowLists(t *testing.T) {
	n, _ := parseOne(t, "{v: [localhost:6379, 2025-01-01T10:00:00Z, {a: b}, c: d, 10:20:30]}\n")
	var got []string
	for _, item := range n.Items {
		got = append(got, item.Text)
	}
	want := []string{"localhost:6379", "2025-01-01T10:00:00Z", "", "", "10:20:30"}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if got[i] != want[i] || (want[i] == "") != (n.Items[i].Kind == Mapping) {
			t.Errorf("item %d: got %q (kind %v), want %q", i, got[i], n.Items[i].Kind, want[i])
		}
	}
}

func TestValue_Refuses(t *testing.T) {
	for _, c := range []struct {
		text string
		kind plan.Kind
	}{
		{"1.5", plan.Int}, {"9223372036854775808", plan.Int}, {"'1'", plan.Int}, {"1_000", plan.Int}, {"0x", plan.Int}, {"0x-1", plan.Int},
		{"+", plan.Int}, {"1.2.3", plan.Double}, {"1e999", plan.Double}, {"0x1p4", plan.Double}, {"inf", plan.Double}, {"-.nan", plan.Double}, {"e", plan.Double},
		{"yes", plan.Bool}, {"12", plan.String}, {"true", plan.String}, {".inf", plan.String},
		{"2025-13-01", plan.Timestamp}, {"2025-01-01T10", plan.Timestamp}, {"12", plan.Duration}, {"!!binary '*'", plan.Bytes}, {"[1]", plan.Int}, {"{a: 1}", plan.String},
	} {
		n, _ := parseOne(t, "v: "+c.text+"\n")
		if got, err := value(n, plan.T(c.kind)); err == nil {
			t.Errorf("%s as %v: got %v, want an error", c.text, c.kind, got)
		}
	}
}

func TestValue_DoublesKeepTheirBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Infinities and NaN are written .inf and .nan.
		finite := rapid.Uint64().Filter(func(bits uint64) bool { f := math.Float64frombits(bits); return f-f == 0 })
		f := math.Float64frombits(finite.Draw(t, "bits"))
		n, _ := parseOne(t, "v: "+strconv.FormatFloat(f, 'g', -1, 64)+"\n")
		got, err := value(n, plan.T(plan.Double))
		if err != nil || math.Float64bits(got.Double()) != math.Float64bits(f) {
			t.Fatalf("%v became %v, %v", f, got, err)
		}
	})
}
