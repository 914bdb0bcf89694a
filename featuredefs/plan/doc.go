// Package plan is the compiled form of a project's definitions: what package
// featuredefs produces and everything else executes.
//
// A plan is plain data. It imports only the standard library, can be printed,
// encoded canonically (Feature.Fingerprint and friends) and compared. Every
// expression in it is type-checked and split: row expressions (over one event's
// columns) live in slots, outer expressions (over aggregates) in features.
package plan

// SemanticsVersion numbers the meaning of features (docs/semantics.md). It is
// part of every fingerprint, so state and training sets of one meaning are
// never read under another.
const SemanticsVersion = 3
