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

// Column holds the partials of one slot, addressed by index; what an index
// stands for (a window, a group, a node of a tree) is the caller's business. Tiles, which
// have partials of many slots, are rows of a Block.
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
	// Remove takes one row that was added out of partial p, with the values it was
	// added with. It panics unless Removable(slot).
	Remove(p int, in *Input, row int)
	// Merge adds all of partial q of from, a Column of the same slot and possibly
	// this one, to partial p. Partial q is unchanged, and stays so whatever is done to
	// p: the two share at most strings, which nobody writes to. p and q of one Column
	// must differ.
	Merge(p int, from Column, q int)
	// Empty reports whether partial p holds no row.
	Empty(p int) bool
	// Value stores the aggregate's result for partial p in row i of out, whose type
	// is the slot's: null for none, an error bit when the value does not exist
	// (integer overflow, a cap exceeded). Row i must not be marked null or failed
	// before; Value only sets these bits. What it stores does not change with p later.
	Value(p int, out *vector.Vector, i int)
	// Append appends the versioned, canonical encoding of partial p: equal
	// multisets have equal encodings. An empty partial encodes too.
	Append(dst []byte, p int) []byte
	// Decode replaces partial p by one read from the front of b and returns the
	// rest. On an error p is empty. Malformed input is an error, never a panic,
	// and never allocates more than a small multiple of what it has read. What it
	// accepts, Append writes again byte for byte.
	Decode(p int, b []byte) ([]byte, error)
}
