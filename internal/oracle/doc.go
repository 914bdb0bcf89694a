// Package oracle is the naive oracle: docs/semantics.md §1 to §5 as a
// program whose only virtue is that it can be read beside the page.
//
// It looks at every event for every read, evaluates every expression with cel-go
// one row at a time and computes every aggregate from rationals and sorted lists.
// It shares package plan with the engine and nothing else, so an error has to be
// made twice to stay unseen. Package oracle/gen makes random definitions,
// events and read times to compare the two with.
package oracle
