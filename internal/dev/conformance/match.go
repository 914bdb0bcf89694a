package main

import (
	"slices"

	"cel.dev/expr"
	"google.golang.org/protobuf/proto"
)

// sameValue reports whether two values are equal in the sense of the suite: the entries of maps
// have no order, and all NaNs are equal.
func sameValue(a, b *expr.Value) bool {
	switch {
	case a.GetMapValue() != nil && b.GetMapValue() != nil:
		return sameEntries(a.GetMapValue().GetEntries(), b.GetMapValue().GetEntries())
	case a.GetListValue() != nil && b.GetListValue() != nil:
		return slices.EqualFunc(a.GetListValue().GetValues(), b.GetListValue().GetValues(), sameValue)
	case a.GetObjectValue() != nil && b.GetObjectValue() != nil:
		// Equal messages may have different encodings.
		x, err := a.GetObjectValue().UnmarshalNew()
		y, err2 := b.GetObjectValue().UnmarshalNew()
		return err == nil && err2 == nil && proto.Equal(x, y)
	}
	return proto.Equal(a, b)
}

func sameEntries(a, b []*expr.MapValue_Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y *expr.MapValue_Entry) bool {
			return sameValue(x.GetKey(), y.GetKey()) && sameValue(x.GetValue(), y.GetValue())
		}) {
			return false
		}
	}
	return true
}
