// Package celenv defines the CEL environment: which libraries at which versions
// expressions may use, how plan types and values correspond to CEL's, and how a plan.Expr
// becomes a runnable CEL tree again.
//
// Left out of CEL's standard library:
//
//   - dyn(): a dynamically typed value may change its type from row to row, and
//     cross-type numeric comparison of such values loses bits above 2^53.
//   - getMilliseconds() of a duration: cel-go returns the whole duration in
//     milliseconds; the CEL specification requires the millisecond component.
//
// Replaced: the time accessors with a zone read an embedded, versioned time zone
// database instead of the host's, and comprehensions over maps visit the keys in order
// instead of at random. Map literals fail for a key that is null or of a kind that CEL does
// not allow as a key.
//
// The package declares no variables and no aggregates; featuredefs does.
package celenv
