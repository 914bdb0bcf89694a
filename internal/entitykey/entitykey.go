// Package entitykey turns the key components of an entity into bytes.
//
// The encoding is injective (no two different keys share bytes, whatever their
// components contain), order-preserving (bytes compare as the components do, from the first
// to the last) and typed (int 1 and string "1" differ). It is the
// concatenation of the components' canonical encodings, see plan.AppendCanonical.
package entitykey

import (
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Append appends the key made of the given components, none of them null.
func Append(dst []byte, components ...plan.Value) []byte {
	for _, c := range components {
		dst = plan.AppendCanonical(dst, c)
	}
	return dst
}

// AppendRow appends the key in row i of the key columns. It reports false, with
// dst as it was, when a component is null: such a row belongs to no entity.
func AppendRow(dst []byte, cols []*vector.Vector, i int) ([]byte, bool) {
	n := len(dst)
	for _, c := range cols {
		if !c.Valid(i) {
			return dst[:n], false
		}
		switch c.Type.Kind {
		case plan.String, plan.Bytes:
			dst = plan.AppendEscaped(append(dst, byte(c.Type.Kind)), c.Str[i])
		case plan.Int, plan.Timestamp, plan.Duration:
			dst = binary.BigEndian.AppendUint64(append(dst, byte(c.Type.Kind)), uint64(c.Int[i])^1<<63)
		default:
			dst = plan.AppendCanonical(dst, c.Value(i))
		}
	}
	return dst, true
}

// Decode splits a key of the given types into its components.
func Decode(key []byte, fields []plan.Field) ([]plan.Value, error) {
	out := make([]plan.Value, len(fields))
	for i, f := range fields {
		v, rest, err := plan.DecodeCanonical(key)
		if err != nil {
			return nil, fmt.Errorf("entity key, component %s: %w", f.Name, err)
		}
		if v.IsNull() || !v.HasType(f.Type) {
			return nil, fmt.Errorf("entity key, component %s: holds %v, not %v", f.Name, v.Kind(), f.Type)
		}
		out[i], key = v, rest
	}
	if len(key) != 0 {
		return nil, fmt.Errorf("entity key: %d bytes after the last component", len(key))
	}
	return out, nil
}
