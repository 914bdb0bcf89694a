package agg

import (
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/vector"
)

// failing is a testing.TB that reports failures to rapid.
type failing struct {
	testing.TB
	t *rapid.T
}

func (f failing) Helper()           {}
func (f failing) Fatal(args ...any) { f.t.Fatal(args...) }

func testingOf(t *rapid.T) testing.TB { return failing{t: t} }

// detach moves every string of in into one buffer and returns it, so that a test can
// overwrite strings that should not have been kept.
func detach(in *Input) []byte {
	lists := [][]string{in.ID}
	for _, v := range []*vector.Vector{in.Arg, in.By, in.Group} {
		if v != nil {
			lists = append(lists, v.Str)
		}
	}
	var size int
	for _, list := range lists {
		for _, s := range list {
			size += len(s)
		}
	}
	backing := make([]byte, 0, size)
	for _, list := range lists {
		for i, s := range list {
			if s == "" {
				continue
			}
			at := len(backing)
			backing = append(backing, s...)
			list[i] = unsafe.String(&backing[at], len(s))
		}
	}
	return backing
}

func sameInput(a, b *Input) bool {
	return slices.Equal(a.Time, b.Time) && slices.Equal(a.ID, b.ID) &&
		sameVector(a.Arg, b.Arg) && sameVector(a.By, b.By) && sameVector(a.Group, b.Group)
}

func sameVector(a, b *vector.Vector) bool {
	if a == nil || b == nil {
		return a == b
	}
	for i := range a.N {
		if !a.Value(i).Equal(b.Value(i)) {
			return false
		}
	}
	return a.N == b.N
}
