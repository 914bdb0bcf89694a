package kernel_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
)

// A state keeps the positions of every shard, its revision grows with each of them, and a state of the first
// shard alone is encoded as before there were several.
func TestStatesOfSeveralShards(t *testing.T) {
	k := spendingView(t)
	rapid.Check(t, func(t *rapid.T) {
		s := k.NewState()
		apply(k, s, payments(k, rapid.IntRange(0, 5).Draw(t, "events"), 1), plan.EventTime(30*plan.Day))
		plain := s.Append(nil)
		applied := logpos.Vector(rapid.SliceOfN(rapid.Uint64Range(0, 1<<40), 0, 9).Draw(t, "applied"))
		s.SetApplied(applied)
		if rapid.Bool().Draw(t, "aside") {
			s.SetAside("too large")
		}
		b := s.Append(nil)
		again := k.NewState()
		if err := again.Decode(b); err != nil || !again.Applied().Equal(applied) || again.Aside() != s.Aside() || !bytes.Equal(again.Append(nil), b) {
			t.Fatalf("%v became %v, %v", applied, again.Applied(), err)
		}
		if got := k.AppliedOf(b); !got.Equal(applied) {
			t.Fatalf("AppliedOf is %v, want %v", got, applied)
		}
		if newest := k.NewestOf(b, plan.Always); newest != s.Newest() {
			t.Fatalf("NewestOf is %v, want %v", newest, s.Newest())
		}
		if got := binary.BigEndian.Uint64(b); got != applied.Sum()+1 || got != s.Revision() {
			t.Fatalf("revision %d of %v", got, applied)
		}
		if applied.OnlyFirst() && s.Aside() == "" && !bytes.Equal(b[8:len(b)-checksum], plain[8:len(plain)-checksum]) {
			t.Fatalf("a state of one shard is %x, not %x", b, plain)
		}
	})
}

// Positions that are not those of the revision, or that would be encoded in another way, are refused.
func TestStatesWithWrongPositions(t *testing.T) {
	k := spendingView(t)
	s := k.NewState()
	s.SetApplied(logpos.Vector{1, 2, 3})
	good := s.Append(nil)
	positions := s.Applied().Append(nil)
	for name, change := range map[string]func(b []byte) []byte{
		"another revision": func(b []byte) []byte { b[7]++; return b },
		"no revision":      func(b []byte) []byte { clear(b[:8]); return b },
		"the first shard alone": func(b []byte) []byte {
			one := append(logpos.One(0, 6).Append(nil), b[header+len(positions):]...)
			return append(b[:header:header], one...)
		},
		"truncated": func(b []byte) []byte { return b[:header+2] },
	} {
		b := change(bytes.Clone(good[:len(good)-checksum]))
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		if err := k.NewState().Decode(b); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := k.NewState().Decode(good); err != nil {
		t.Error(err)
	}
}
