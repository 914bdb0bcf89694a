// Package agg computes aggregates: it adds rows to partials, merges partials and
// reads values from them.
//
// A partial is the state of one aggregate over a multiset of rows. Partials form
// a commutative monoid: Add and Merge give the same partial, and so the same
// encoded bytes, for every order and grouping of the same rows. Where Removable
// says so, Remove inverts Add exactly.
package agg

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Input is the rows an aggregate may add, already filtered: the caller adds only
// rows whose filter is true and whose Arg, By and Group (as far as the slot has
// them) are neither null nor errors.
type Input struct {
	Arg, By, Group *vector.Vector   // nil where the slot has none
	Time           []plan.EventTime // event time of each row
	ID             []string         // event id of each row; nil when the source has none
}

// Column holds the partials of one slot, addressed by index. The caller decides what
// an index stands for (a window, a group, a node of a tree). Tiles, which have partials
// of many slots, are rows of a Block.
// A Column is not safe for concurrent use. No method keeps a reference into an
// Input or into another Column: strings are cloned when kept.
type Column interface {
	// Len is the number of partials.
	Len() int
	// Grow appends n empty partials.
	Grow(n int)
	// Truncate drops all partials from index n on.
	Truncate(n int)
	// Reset makes partial p empty.
	Reset(p int)
	// Add adds one row to partial p.
	Add(p int, in *Input, row int)
	// Remove undoes the Add of one row, which must still have the values it was added
	// with. It panics unless Removable(slot).
	Remove(p int, in *Input, row int)
	// Merge adds all of partial q of from to partial p. from is a Column of the same
	// slot, possibly this one; then p and q must differ. Merge does not change q, nor do
	// later changes to p: the two share at most strings, which are immutable.
	Merge(p int, from Column, q int)
	// Empty reports whether partial p holds no row.
	Empty(p int) bool
	// Value stores the aggregate's result for partial p in row i of out, whose type
	// is the slot's: null for none, an error bit when there is no value (integer
	// overflow, a cap exceeded). Row i must not be marked null or failed before, because
	// Value only sets these bits. The stored value shares no memory with p.
	Value(p int, out *vector.Vector, i int)
	// Append appends the versioned, canonical encoding of partial p: equal
	// multisets have equal encodings. An empty partial encodes too.
	Append(dst []byte, p int) []byte
	// Decode replaces partial p by one read from the front of b and returns the
	// rest. On an error p is empty. Malformed input is an error, never a panic, and
	// allocates at most a small multiple of its size. Append writes back every accepted
	// input byte for byte.
	Decode(p int, b []byte) ([]byte, error)
}
