package wire

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// AppendColumn and Column produce the same message, binary and as JSON, for any row
// mapping.
func TestN7_AppendedColumnsAreMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ, gen := typed(t, 2)
		values := rapid.SliceOfN(gen, 1, 130).Draw(t, "values")
		v := vector.Of(typ, values...)
		for i := range values {
			switch rapid.IntRange(0, 6).Draw(t, "absence") {
			case 0:
				v.SetNull(i)
			case 1:
				v.SetErr(i)
			}
		}
		shown, rows := v, RowMap(nil)
		if rapid.Bool().Draw(t, "shared") {
			rows = rapid.SliceOfN(rapid.Int32Range(0, int32(len(values)-1)), 0, 200).Draw(t, "rows")
			if rows == nil {
				rows = RowMap{}
			}
			shown = vector.New(typ, len(rows))
			for i, p := range rows {
				if v.IsErr(int(p)) {
					shown.SetErr(i)
				} else {
					shown.Set(i, v.Value(int(p)))
				}
			}
		}
		name := rapid.SampledFrom([]string{"", "x", "é\"\\\n\x01"}).Draw(t, "name")
		want, err := Column(name, shown)
		if err != nil {
			t.Fatal(err)
		}
		b, err := AppendColumn([]byte("before"), name, v, rows, shown.N)
		if err != nil {
			t.Fatal(err)
		}
		var got unskewv1.Column
		if err := proto.Unmarshal(b[len("before"):], &got); err != nil || !proto.Equal(&got, want) {
			t.Fatalf("%v, %v; want %v", &got, err, want)
		}
		if b, err = AppendColumnJSON(nil, name, v, rows, shown.N); err != nil {
			t.Fatal(err)
		}
		got.Reset()
		if err := protojson.Unmarshal(b, &got); err != nil || !proto.Equal(&got, want) {
			t.Fatalf("%s: %v, %v; want %v", b, &got, err, want)
		}
	})
}

func TestAppendRejectsTypesWithoutEncoding(t *testing.T) {
	v := vector.New(plan.T(plan.TypeType), 1)
	if b, err := AppendColumn(nil, "x", v, nil, 1); err == nil {
		t.Errorf("%x", b)
	}
	if b, err := AppendColumnJSON(nil, "x", v, nil, 1); err == nil {
		t.Errorf("%s", b)
	}
}

// Doubles are formatted as in protobuf's JSON.
func TestN7_JSONDoublesAreThoseOfProtobuf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "f")
		want, err := protojson.Marshal(&unskewv1.Doubles{Values: []float64{f}})
		if err != nil {
			t.Fatal(err)
		}
		if got := `{"values":[` + string(appendJSONDouble(nil, f)) + `]}`; got != string(want) {
			t.Fatalf("%s, protobuf writes %s", got, want)
		}
	})
}
