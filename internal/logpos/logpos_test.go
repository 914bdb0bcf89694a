package logpos

import (
	"testing"

	"pgregory.net/rapid"
)

func vectors(t *rapid.T, name string) Vector {
	var v Vector
	for k, p := range rapid.MapOfN(rapid.IntRange(0, MaxShards-1), rapid.Uint64Range(0, 1<<40), 0, 12).Draw(t, name) {
		v.Raise(k, p)
	}
	return v
}

// A vector has one encoding, which gives it back and says where it ends.
func TestEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, tail := vectors(t, "v"), rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		b := append(v.Append(nil), tail...)
		got := Vector{9, 9, 9}
		rest, ok := got.Decode(b)
		if !ok || !got.Equal(v) || string(rest) != string(tail) {
			t.Fatalf("%v: %x gave %v, %x, %v", v, b, got, rest, ok)
		}
		if rest, ok := Skip(b); !ok || string(rest) != string(tail) {
			t.Fatalf("%x was not skipped: %x, %v", b, rest, ok)
		}
		for cut := range len(b) - len(tail) {
			if rest, ok := got.Decode(b[:cut]); ok && len(v.Append(nil)) != cut-len(rest) && string(got.Append(nil)) != string(b[:cut-len(rest)]) {
				t.Fatalf("%x was cut at %d and gave %v", b, cut, got)
			}
		}
	})
}

// What decodes is what would be encoded.
func TestDecodeIsStrict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.ByteRange(0, 4), 0, 12).Draw(t, "b")
		var v Vector
		rest, ok := v.Decode(b)
		if ok && string(v.Append(nil)) != string(b[:len(b)-len(rest)]) {
			t.Fatalf("%x decodes to %v, which encodes to %x", b, v, v.Append(nil))
		}
		if !ok && len(v) != 0 {
			t.Fatalf("%x left %v", b, v)
		}
	})
}

func TestLattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := vectors(t, "v"), vectors(t, "w")
		up, down := Max(v, w), Min(v, w)
		if !up.Covers(v) || !up.Covers(w) || !v.Covers(down) || !w.Covers(down) {
			t.Fatalf("%v and %v: %v, %v", v, w, up, down)
		}
		if v.Sum()+w.Sum() != up.Sum()+down.Sum() {
			t.Fatalf("%v and %v: sums", v, w)
		}
		if up.Covers(v) && !v.Covers(up) && up.Sum() <= v.Sum() {
			t.Fatalf("%v raised to %v has no greater sum", v, up)
		}
		if v.OnlyFirst() != v.Equal(One(0, v.At(0))) {
			t.Fatalf("%v: OnlyFirst is %v", v, v.OnlyFirst())
		}
	})
}
