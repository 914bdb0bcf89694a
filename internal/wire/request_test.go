package wire

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// text formats a Read so that two can be compared.
func (r *Read) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %q %q %v %q %d %d %v", r.Service, r.Fingerprint, r.KnownFingerprint, r.WithStates, r.Features, r.MaxStalenessMicros, r.OnStale, r.WithFreshness)
	for _, list := range [][]Sent{r.Keys, r.Request} {
		fmt.Fprint(&b, "\n")
		for i := range list {
			s := &list[i]
			v := &s.lanes
			fmt.Fprintf(&b, " {%q %v %d %v %v %q %v", s.Name, s.kind, v.N, s.nulls, v.Int, v.Str, s.nested)
			for _, f := range v.Double {
				fmt.Fprintf(&b, " %x", math.Float64bits(f))
			}
			for row := range v.N {
				if s.kind == plan.Bool {
					fmt.Fprint(&b, " ", v.Bits.Get(row))
				}
			}
			fmt.Fprint(&b, "}")
		}
	}
	return b.String()
}

// drawnBytes generates encoded messages with everything the encoding allows: repeated
// fields in any order, packed and unpacked numbers, several fields of the oneof, wrong
// field types, unknown fields, invalid UTF-8.
func drawnBytes(t *rapid.T, depth int) []byte {
	var b []byte
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		number := protowire.Number(rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 99}).Draw(t, "number"))
		switch rapid.IntRange(0, 9).Draw(t, "form") {
		case 0:
			b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), rapid.Uint64().Draw(t, "varint"))
		case 1:
			b = protowire.AppendFixed64(protowire.AppendTag(b, number, protowire.Fixed64Type), rapid.Uint64().Draw(t, "fixed64"))
		case 2:
			b = protowire.AppendFixed32(protowire.AppendTag(b, number, protowire.Fixed32Type), rapid.Uint32().Draw(t, "fixed32"))
		case 3:
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "bytes"))
		case 4:
			packed := []byte{}
			for range rapid.IntRange(0, 4).Draw(t, "numbers") {
				packed = protowire.AppendVarint(packed, rapid.SampledFrom([]uint64{0, 1, 5, math.MaxUint32, 1 << 40, math.MaxUint64}).Draw(t, "packed"))
			}
			b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), packed)
		case 5:
			b = protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), rapid.StringN(0, 5, -1).Draw(t, "text"))
		default:
			if depth > 0 {
				b = protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), drawnBytes(t, depth-1))
			}
		}
	}
	return b
}

// compare decodes the bytes with both implementations.
func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, got *Read, b []byte) {
	t.Helper()
	before := slices.Clone(b)
	var m unskewv1.GetFeaturesRequest
	wantErr, err := proto.Unmarshal(b, &m), got.Unmarshal(b, 1<<30)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: %v, and protobuf says %v", b, err, wantErr)
	}
	if !slices.Equal(b, before) {
		t.Fatalf("the bytes were changed")
	}
	if err != nil {
		return
	}
	clear(b) // the decoded request must not refer to the input
	var want Read
	want.Set(&m)
	if got.text() != want.text() {
		t.Fatalf("%x:\n%s\nand protobuf reads\n%s", before, got.text(), want.text())
	}
}

// Unmarshal decodes the same as protobuf, also when it reuses a previous request's memory.
func TestReadsWhatProtobufReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Read
		for range 3 {
			compare(t, &r, drawnBytes(t, 3))
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, m := range []*unskewv1.GetFeaturesRequest{
		{Service: "s", Keys: []*unskewv1.Column{{Name: "a", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: []int64{1, -1}}}, Nulls: []uint32{1}}}},
		{Service: "s", Features: []string{"x", "y"}, WithStates: true, Fingerprint: "f", KnownFingerprint: "k", MaxStalenessMicros: 1 << 40, OnStale: 2, WithFreshness: true,
			Request: []*unskewv1.Column{{Name: "b", Values: &unskewv1.Column_Bools{Bools: &unskewv1.Bools{Values: []bool{true, false}}}},
				{Name: "c", Values: &unskewv1.Column_Doubles{Doubles: &unskewv1.Doubles{Values: []float64{math.NaN(), 1}}}},
				{Name: "d", Values: &unskewv1.Column_Strings{Strings: &unskewv1.Strings{Values: []string{"", "é"}}}},
				{Name: "e", Values: &unskewv1.Column_Nested{Nested: &unskewv1.Nested{Values: []*unskewv1.Value{{}}}}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { compare(t, &Read{}, slices.Clone(b)) })
}
