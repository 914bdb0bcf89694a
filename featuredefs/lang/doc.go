// Package lang is the expression language: CEL with the aggregates of docs/semantics.md §4.
// It parses an expression, resolves the names in it, type-checks it, and divides a feature
// into aggregates, which go to the slots of a view, and an outer expression. What names
// mean is told by who has the declarations.
package lang
