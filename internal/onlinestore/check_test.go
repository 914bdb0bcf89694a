package onlinestore

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func value(revision uint64) []byte { return binary.BigEndian.AppendUint64(nil, revision) }

func TestCheckWrites(t *testing.T) {
	for _, c := range []struct {
		name string
		w    Write
		want string
	}{
		{"first", Write{Key: []byte("k"), Value: value(1)}, ""},
		{"last", Write{Key: []byte("k"), Expect: math.MaxUint64 - 1, Value: value(math.MaxUint64)}, ""},
		{"no key", Write{Value: value(1)}, "0 bytes"},
		{"long key", Write{Key: make([]byte, MaxKeyBytes+1), Value: value(1)}, "66561 bytes"},
		{"short value", Write{Key: []byte("k"), Value: value(1)[:7]}, "begin with a revision"},
		{"revision 0", Write{Key: []byte("k"), Value: value(0)}, "begin with a revision"},
		{"long value", Write{Key: []byte("k"), Value: make([]byte, MaxValueBytes+1)}, "at most"},
		{"same revision", Write{Key: []byte("k"), Expect: 5, Value: value(5)}, "must change"},
	} {
		err := CheckWrites([]Write{c.w})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestB5_RevisionsAreExact(t *testing.T) {
	for _, r := range []uint64{1, 1<<53 - 1, 1<<53 + 1, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		if got := Revision(append(value(r), "rest"...)); got != r {
			t.Errorf("Revision of %d = %d", r, got)
		}
	}
}
