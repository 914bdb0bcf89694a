package parquetfile

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// scalars are generators of values of each type, edge cases among them.
var scalars = map[plan.Kind]*rapid.Generator[plan.Value]{
	plan.Bool:      rapid.Map(rapid.Bool(), plan.BoolValue),
	plan.Int:       rapid.Map(rapid.Int64(), plan.IntValue),
	plan.Uint:      rapid.Map(rapid.Uint64(), plan.UintValue),
	plan.Double:    rapid.Map(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(-1), math.Copysign(0, -1)})), plan.DoubleValue),
	plan.String:    rapid.Map(rapid.String(), plan.StringValue),
	plan.Bytes:     rapid.Map(rapid.SliceOf(rapid.Byte()), plan.BytesValue),
	plan.Timestamp: rapid.Map(rapid.Int64(), func(t int64) plan.Value { return plan.TimestampValue(plan.EventTime(t)) }),
	plan.Duration:  rapid.Map(rapid.Int64(), func(d int64) plan.Value { return plan.DurationValue(time.Duration(d)) }),
}

// valueOfType generates values of a type, null among them if they may be.
func valueOfType(t plan.Type, null bool) *rapid.Generator[plan.Value] {
	return rapid.Custom(func(r *rapid.T) plan.Value {
		if null && rapid.IntRange(0, 3).Draw(r, "null") == 0 {
			return plan.NullValue()
		}
		switch t.Kind {
		case plan.List:
			return plan.ListValue(rapid.SliceOfN(valueOfType(*t.Elem, true), 0, 3).Draw(r, "elements"))
		case plan.Map:
			keys := rapid.SliceOfNDistinct(valueOfType(*t.Key, false), 0, 3, func(v plan.Value) string { return string(plan.AppendCanonical(nil, v)) }).Draw(r, "keys")
			elems := make([]plan.Value, len(keys))
			for i := range elems {
				elems[i] = valueOfType(*t.Elem, true).Draw(r, "value")
			}
			return plan.MapValue(keys, elems)
		}
		return scalars[t.Kind].Draw(r, "scalar")
	})
}

// What is written is read back, bit for bit: every type, nested ones, nulls, row groups of any size.
func TestReaderReadsWhatWasWritten(t *testing.T) {
	fields := []plan.Field{}
	for kind := range scalars {
		one := plan.T(kind)
		for i, t := range []plan.Type{one, plan.ListOf(one), plan.ListOf(plan.ListOf(one)), plan.MapOf(plan.T(plan.String), one), plan.MapOf(plan.T(plan.Int), plan.ListOf(one))} {
			fields = append(fields, plan.Field{Name: fmt.Sprintf("v.%v.%d", kind, i), Type: t})
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		var groups []*vector.Batch
		for range rapid.IntRange(1, 3).Draw(r, "groups") {
			b := vector.NewBatch(fields, rapid.IntRange(1, 5).Draw(r, "rows"))
			for c := range b.Cols {
				for row := range b.N {
					b.Cols[c].Set(row, valueOfType(fields[c].Type, true).Draw(r, "value"))
				}
			}
			groups = append(groups, b)
		}
		file := writeBatches(r, fields, groups)
		in, err := NewReader(bytes.NewReader(file), int64(len(file)), fields)
		if err != nil {
			r.Fatal(err)
		}
		if in.Groups() != len(groups) {
			r.Fatalf("%d groups, want %d", in.Groups(), len(groups))
		}
		for g, want := range groups {
			got, err := in.Group(g, want.N, 1000, nil)
			if err != nil || got.N != want.N {
				r.Fatalf("%d rows, want %d: %v", got.N, want.N, err)
			}
			for c := range want.Cols {
				for row := range want.N {
					if a, b := got.Cols[c].Value(row), want.Cols[c].Value(row); !a.Equal(b) {
						r.Fatalf("%s, row %d: %v, want %v", fields[c].Name, row, a, b)
					}
				}
			}
		}
	})
}

func writeBatches(t rapid.TB, fields []plan.Field, groups []*vector.Batch) []byte {
	s, err := SchemaOf(fields)
	if err != nil {
		t.Fatal(err)
	}
	encodings, err := NewSample(s).Encodings()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewWriter(&out, s, encodings, "unskew")
	for _, b := range groups {
		g := w.NewRowGroup()
		for c := range b.Cols {
			if err := g.Vector(c, b.Cols[c], 0, b.N); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Finish(); err != nil {
			t.Fatal(err)
		}
		if err := g.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A file with other columns, one that is cut off, and one with another number of rows are errors.
func TestReaderRefusesOtherFiles(t *testing.T) {
	fields := []plan.Field{{Name: "a", Type: plan.T(plan.Int)}}
	b := vector.NewBatch(fields, 1)
	file := writeBatches(t, fields, []*vector.Batch{b})
	if _, err := NewReader(bytes.NewReader(file), int64(len(file)), []plan.Field{{Name: "b", Type: plan.T(plan.Int)}}); err == nil {
		t.Error("other columns were accepted")
	}
	in, err := NewReader(bytes.NewReader(file), int64(len(file)), fields)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range [][2]int{{2, 10}, {1, 0}} {
		if _, err := in.Group(0, n[0], n[1], nil); err == nil {
			t.Errorf("%v rows and values were accepted", n)
		}
	}
	if _, err := NewReader(bytes.NewReader(file), int64(len(file)-1), fields); err == nil {
		t.Error("a file without its end was accepted")
	}
}
