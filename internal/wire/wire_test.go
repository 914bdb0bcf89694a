package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

var (
	edgeDoubles = []float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53, 1<<53 + 2, math.Float64frombits(0xfff8000000000001)}
	edgeInts    = []int64{0, 1, -1, 1 << 53, 1<<53 + 1, -(1<<53 + 1), math.MaxInt64, math.MinInt64}
	edgeTimes   = []plan.EventTime{0, -1, plan.MinTime, plan.MaxTime, 1735689600000000}
	edgeStrings = []string{"", "a", "\x00", "é", "\u2028", `"`, "𝄞"}
)

// scalar generates values of a scalar kind.
func scalar(kind plan.Kind) *rapid.Generator[plan.Value] {
	ints := rapid.OneOf(rapid.SampledFrom(edgeInts), rapid.Int64())
	switch kind {
	case plan.Bool:
		return rapid.Map(rapid.Bool(), plan.BoolValue)
	case plan.Int:
		return rapid.Map(ints, plan.IntValue)
	case plan.Uint:
		return rapid.Map(rapid.OneOf(rapid.Just(uint64(math.MaxUint64)), rapid.Uint64()), plan.UintValue)
	case plan.Double:
		return rapid.Map(rapid.OneOf(rapid.SampledFrom(edgeDoubles), rapid.Float64()), plan.DoubleValue)
	case plan.String:
		return rapid.Map(rapid.OneOf(rapid.SampledFrom(edgeStrings), rapid.String()), plan.StringValue)
	case plan.Bytes:
		return rapid.Map(rapid.SliceOf(rapid.Byte()), plan.BytesValue)
	case plan.Timestamp:
		return rapid.Map(rapid.OneOf(rapid.SampledFrom(edgeTimes), rapid.Map(rapid.Int64Range(int64(plan.MinTime), int64(plan.MaxTime)),
			func(i int64) plan.EventTime { return plan.EventTime(i) })), plan.TimestampValue)
	default:
		return rapid.Map(ints, func(i int64) plan.Value { return plan.DurationValue(time.Duration(i)) })
	}
}

var scalarKinds = []plan.Kind{plan.Bool, plan.Int, plan.Uint, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration}

// typed generates a type with a wire encoding, and a generator of its values.
func typed(t *rapid.T, depth int) (plan.Type, *rapid.Generator[plan.Value]) {
	shape := rapid.IntRange(0, 5).Draw(t, "shape")
	kind := rapid.SampledFrom(scalarKinds).Draw(t, "kind")
	if depth == 0 || shape < 4 {
		return plan.T(kind), scalar(kind)
	}
	elemType, elem := typed(t, depth-1)
	if shape == 4 {
		return plan.ListOf(elemType), rapid.Map(rapid.SliceOfN(elem, 0, 3), plan.ListValue)
	}
	return plan.MapOf(plan.T(plan.String), elemType), rapid.Custom(func(t *rapid.T) plan.Value {
		names := rapid.SliceOfNDistinct(rapid.String(), 0, 3, rapid.ID[string]).Draw(t, "keys")
		keys, values := make([]plan.Value, len(names)), make([]plan.Value, len(names))
		for i, n := range names {
			keys[i], values[i] = plan.StringValue(n), elem.Draw(t, "value")
		}
		return plan.MapValue(keys, values)
	})
}

// through encodes a column in both encodings and returns the decoded columns.
func through(t *rapid.T, c *unskewv1.Column) []*unskewv1.Column {
	bin, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	fromBin, fromText := &unskewv1.Column{}, &unskewv1.Column{}
	if err := proto.Unmarshal(bin, fromBin); err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(text, fromText); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return []*unskewv1.Column{fromBin, fromText}
}

// TestN7_N8_ColumnsSurviveBothEncodings: every value of every type with a wire encoding
// arrives bit for bit, in binary and JSON, including NaN, infinities and all 64 bits of
// integers.
func TestN7_N8_ColumnsSurviveBothEncodings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, gen := typed(t, 2)
		values := rapid.SliceOfN(gen, 0, 130).Draw(t, "values")
		v := vector.Of(typ, values...)
		for i := range values {
			switch rapid.IntRange(0, 4).Draw(t, "absence") {
			case 0:
				v.SetNull(i)
			case 1:
				v.SetErr(i)
			}
		}
		c, err := Column("x", v)
		if err != nil {
			t.Fatal(err)
		}
		for _, arrived := range through(t, c) {
			got, err := Vector(arrived, typ)
			if err != nil {
				t.Fatal(err)
			}
			if got.N != v.N || Rows(arrived) != v.N {
				t.Fatalf("%d rows arrived of %d", got.N, v.N)
			}
			for i := range values {
				if !got.Value(i).Equal(v.Value(i)) {
					t.Fatalf("row %d: sent %v, got %v", i, v.Value(i), got.Value(i))
				}
			}
		}
	})
}

// TestN7_JSONNamesWhatNumbersCannotSay pins the text of special doubles and of integers
// beyond 2^53.
func TestN7_JSONNamesWhatNumbersCannotSay(t *testing.T) {
	double := vector.Of(plan.T(plan.Double), plan.DoubleValue(math.NaN()), plan.DoubleValue(math.Inf(1)), plan.DoubleValue(math.Inf(-1)), plan.DoubleValue(math.Copysign(0, -1)))
	ints := vector.Of(plan.T(plan.Int), plan.IntValue(math.MaxInt64), plan.IntValue(1<<53+1))
	for _, c := range []struct {
		v    *vector.Vector
		want string
	}{
		{double, `{"name":"x","doubles":{"values":["NaN","Infinity","-Infinity",-0]}}`},
		{ints, `{"name":"x","ints":{"values":["9223372036854775807","9007199254740993"]}}`},
	} {
		col, err := Column("x", c.v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := protojson.Marshal(col)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(text), " ", ""); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if !json.Valid(text) {
			t.Errorf("%s is not JSON", text)
		}
	}
}

// TestNullRowsShowNothing: the lane's content under a null is never sent.
func TestNullRowsShowNothing(t *testing.T) {
	for _, v := range []*vector.Vector{
		vector.Of(plan.T(plan.Bool), plan.BoolValue(true)),
		vector.Of(plan.T(plan.Int), plan.IntValue(7)),
		vector.Of(plan.T(plan.Uint), plan.UintValue(7)),
		vector.Of(plan.T(plan.Double), plan.DoubleValue(7)),
		vector.Of(plan.T(plan.String), plan.StringValue("secret")),
		vector.Of(plan.T(plan.Bytes), plan.BytesValue([]byte("secret"))),
		vector.Of(plan.ListOf(plan.T(plan.Int)), plan.ListValue([]plan.Value{plan.IntValue(7)})),
	} {
		v.SetNull(0)
		got, err := Column("x", v)
		if err != nil {
			t.Fatal(err)
		}
		zero := vector.New(v.Type, 1)
		zero.SetNull(0)
		want, err := Column("x", zero)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%v: sent %v for a null", v.Type, got)
		}
	}
}

func TestVectorRefuses(t *testing.T) {
	ints := &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1, 2}}}
	nested := func(vals ...*unskewv1.Value) *unskewv1.Column {
		return &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Nested{Nested: &unskewv1.Nested{Values: vals}}}
	}
	one := &unskewv1.Value{Kind: &unskewv1.Value_Int{Int: 1}}
	entry := &unskewv1.MapEntry{Key: one, Value: one}
	double := &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{1}}}}
	for _, c := range []struct {
		name string
		col  *unskewv1.Column
		typ  plan.Type
		want string
	}{
		{"N8_DoubleForInt", double, plan.T(plan.Int), `column "x" is int and was sent as doubles; send it as ints`},
		{"K2_IntForString", &unskewv1.Column{Name: "x", Values: ints}, plan.T(plan.String), `is string and was sent as ints; send it as strings`},
		{"K2_IntForDouble", &unskewv1.Column{Name: "x", Values: ints}, plan.T(plan.Double), `send it as doubles`},
		{"NoValues", &unskewv1.Column{Name: "x"}, plan.T(plan.Int), "sent as no values"},
		{"NullOutside", &unskewv1.Column{Name: "x", Values: ints, Nulls: []uint32{2}}, plan.T(plan.Int), "null row 2, but it has 2 rows"},
		{"NullHuge", &unskewv1.Column{Name: "x", Values: ints, Nulls: []uint32{math.MaxUint32}}, plan.T(plan.Int), "but it has 2 rows"},
		{"NullTwice", &unskewv1.Column{Name: "x", Values: ints, Nulls: []uint32{1, 1}}, plan.T(plan.Int), "null row 1 after row 1"},
		{"B5_Nanoseconds", &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: []int64{1735689600000000000}}}},
			plan.T(plan.Timestamp), "send microseconds"},
		{"ListOfOther", nested(&unskewv1.Value{Kind: &unskewv1.Value_List{List: &unskewv1.ListValue{Values: []*unskewv1.Value{one}}}}),
			plan.ListOf(plan.T(plan.String)), "row 0: [1] is not list(string)"},
		{"KeyTwice", nested(&unskewv1.Value{Kind: &unskewv1.Value_Map{Map: &unskewv1.MapValue{Entries: []*unskewv1.MapEntry{entry, entry}}}}),
			plan.MapOf(plan.T(plan.Int), plan.T(plan.Int)), "map key 1 occurs twice"},
		{"NullKey", nested(&unskewv1.Value{Kind: &unskewv1.Value_Map{Map: &unskewv1.MapValue{Entries: []*unskewv1.MapEntry{{Value: one}}}}}),
			plan.MapOf(plan.T(plan.Int), plan.T(plan.Int)), "keys of one map are scalars"},
		{"TimeInList", nested(&unskewv1.Value{Kind: &unskewv1.Value_TimestampMicros{TimestampMicros: math.MaxInt64}}),
			plan.ListOf(plan.T(plan.Timestamp)), "outside the years"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v, err := Vector(c.col, c.typ); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v; want an error with %q", v, err, c.want)
			}
		})
	}
}

// TestUncheckedLetsTimesPass and rejects all other errors.
func TestUncheckedLetsTimesPass(t *testing.T) {
	c := &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Timestamps{Timestamps: &unskewv1.Timestamps{Micros: []int64{math.MaxInt64}}}}
	if v, err := SentOf(c).Unchecked(plan.T(plan.Timestamp)); err != nil || v.Int[0] != math.MaxInt64 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := SentOf(c).Unchecked(plan.T(plan.Int)); err == nil {
		t.Error("a timestamp passed as int")
	}
}

func TestColumnRejectsTypesWithoutEncoding(t *testing.T) {
	for _, v := range []*vector.Vector{
		vector.New(plan.T(plan.TypeType), 1),
		vector.New(plan.T(plan.Dyn), 0),
	} {
		if c, err := Column("x", v); err == nil || !strings.Contains(err.Error(), "cannot be sent") {
			t.Errorf("%v: %v, %v", v.Type, c, err)
		}
	}
}

// TestOptionalsTravelAsTheirContent: none becomes null.
func TestOptionalsTravelAsTheirContent(t *testing.T) {
	v := vector.Of(plan.OptionalOf(plan.T(plan.Double)), plan.DoubleValue(1.5), plan.NullValue())
	c, err := Column("x", v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Vector(c, plan.T(plan.Double))
	if err != nil || got.Value(0).Double() != 1.5 || !got.IsNull(1) {
		t.Fatalf("%v, %v", got, err)
	}
	for _, x := range []struct{ in, want plan.Value }{
		{plan.OptionalValue(plan.IntValue(3)), plan.IntValue(3)},
		{plan.NoneValue(), plan.NullValue()},
	} {
		w, err := Value(x.in)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := FromValue(w); err != nil || !back.Equal(x.want) {
			t.Errorf("%v came back as %v, %v", x.in, back, err)
		}
	}
}

func TestSameRows(t *testing.T) {
	b := vector.NewBatch([]plan.Field{{Name: "a", Type: plan.T(plan.Int)}, {Name: "b", Type: plan.T(plan.Bool)}}, 3)
	cols, err := Columns(b)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := SameRows(cols); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := SameRows(nil); n != 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	cols[1].Values = &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: []bool{true}}}
	if _, err := SameRows(cols); err == nil || !strings.Contains(err.Error(), `column "a" has 3 rows and column "b" has 1`) {
		t.Fatal(err)
	}
}

// TestVectorOwnsItsLanes: changing the message afterwards does not change the vector.
func TestVectorOwnsItsLanes(t *testing.T) {
	values := []int64{1, 2}
	c := &unskewv1.Column{Name: "x", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: values}}}
	v, err := Vector(c, plan.T(plan.Int))
	if err != nil {
		t.Fatal(err)
	}
	values[0] = 9
	if v.Int[0] != 1 {
		t.Fatal("the vector reads the message's memory")
	}
}
