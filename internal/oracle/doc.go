// Package oracle implements docs/semantics.md §1 to §5 naively: it is written to be compared
// with that page, not to be fast.
//
// For every read it looks at every event, evaluates every expression with cel-go
// one row at a time and computes every aggregate from rationals and sorted lists.
// It shares only package plan and the CEL environment with the engine, so that an error stays
// undetected only if it is made twice. Constants of the page, such as the cap of groups, are
// repeated here for that reason. Package oracle/gen makes random definitions, events and read
// times for comparing the two.
package oracle
