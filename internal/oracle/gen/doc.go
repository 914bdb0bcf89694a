// Package gen makes random definitions, events and read times with pgregory.net/rapid,
// biased toward edge cases: times within a microsecond of hop and window boundaries, ties,
// redeliveries, late columns, and extreme doubles, integers, strings and times. Its results are
// text and plain values, so the same case can run through the oracle, the replay, a store or a
// server.
package gen
