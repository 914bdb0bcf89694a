package entitykey

import (
	"bytes"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	"pgregory.net/rapid"
)

func values(t *rapid.T, label string) []plan.Value {
	component := rapid.OneOf(
		rapid.Map(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{-1 << 63, -1, 0, 1, 12, 23, 1<<63 - 1})), plan.IntValue),
		rapid.Map(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\x00", "\x00\xff", "a", "a\x00", "1", "12", "23"})), plan.StringValue),
		rapid.Map(rapid.Bool(), plan.BoolValue),
		rapid.Map(rapid.SliceOf(rapid.Byte()), plan.BytesValue),
		rapid.Map(rapid.Int64Range(int64(plan.MinTime), int64(plan.MaxTime)), func(i int64) plan.Value { return plan.TimestampValue(plan.EventTime(i)) }),
	)
	return rapid.SliceOfN(component, 1, 3).Draw(t, label)
}

// TestK1_KeysAreInjectiveAndOrdered: (1,23) and (12,3) differ, int 1 and "1"
// differ, and bytes compare as the components do.
func TestK1_KeysAreInjectiveAndOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := values(t, "a"), values(t, "b")
		want := slices.CompareFunc(a, b, plan.Compare)
		if got := bytes.Compare(Append(nil, a...), Append(nil, b...)); got != want {
			t.Fatalf("compare(%v, %v) = %d as keys, %d as values", a, b, got, want)
		}
	})
}

// TestK2_TypesAreTold: an int column and a string column with the same digits
// are different keys, so a lookup by the wrong type cannot find anything.
func TestK2_TypesAreTold(t *testing.T) {
	if bytes.Equal(Append(nil, plan.IntValue(1)), Append(nil, plan.StringValue("1"))) {
		t.Fatal(`1 and "1" are one key`)
	}
}

func TestRowsEncodeAsValuesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vals := values(t, "key")
		cols := make([]*vector.Vector, len(vals))
		fields := make([]plan.Field, len(vals))
		for i, v := range vals {
			fields[i] = plan.Field{Name: "k", Type: plan.T(v.Kind())}
			cols[i] = vector.Of(plan.T(v.Kind()), v)
		}
		key, ok := AppendRow(nil, cols, 0)
		if !ok || !bytes.Equal(key, Append(nil, vals...)) {
			t.Fatalf("AppendRow %x, Append %x", key, Append(nil, vals...))
		}
		back, err := Decode(key, fields)
		if err != nil || !slices.EqualFunc(back, vals, plan.Value.Equal) {
			t.Fatalf("decoded %v, %v; want %v", back, err, vals)
		}
	})
}

// TestK3_NullComponentIsNoKey: a null never matches anything, not even a null.
func TestK3_NullComponentIsNoKey(t *testing.T) {
	cols := []*vector.Vector{vector.Of(plan.T(plan.Int), plan.IntValue(1)), vector.Of(plan.T(plan.String), plan.NullValue())}
	if key, ok := AppendRow([]byte("x"), cols, 0); ok || string(key) != "x" {
		t.Fatalf("AppendRow = %q, %v; want no key", key, ok)
	}
}
