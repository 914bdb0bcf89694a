// Package lang compiles the expression language: CEL with the aggregates of docs/semantics.md
// §4. It parses an expression, resolves its names, type-checks it, and splits a feature into
// aggregates, which become slots of a view, and an outer expression. The caller has the
// declarations and says what names mean.
package lang
