package storehost

import (
	"slices"
	"testing"

	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Writes that together exceed a message go in several; one write always fits.
func TestWritesGoInParts(t *testing.T) {
	if most := pairBytes(make([]byte, limits.StoreKeyBytes), nil) + limits.StateBytes + swapBytes; most > maxMessage {
		t.Errorf("a part may have %d bytes, a message %d", most, maxMessage)
	}
	for _, test := range []struct {
		sizes []int
		want  []int // writes of each part
	}{
		{nil, nil},
		{[]int{500}, []int{1}},
		{[]int{30, 30, 30}, []int{3}},
		{[]int{30, 30, 31}, []int{2, 1}},
		{[]int{10, 500, 10, 10}, []int{1, 1, 2}},
	} {
		var writes []onlinestore.Write
		for _, n := range test.sizes {
			writes = append(writes, onlinestore.Write{Value: make([]byte, n)})
		}
		var got []int
		for _, part := range parts(writes, 3*(32+30)) {
			got = append(got, len(part))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: parts of %v writes, want %v", test.sizes, got, test.want)
		}
	}
}
