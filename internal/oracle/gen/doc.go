// Package gen makes random definitions, events and read times with pgregory.net/rapid,
// biased toward the edges where meanings differ: hop and window edges a microsecond
// either way, ties, redeliveries, late knowledge, the doubles, integers, strings and
// times that break assumptions. What it makes is text and plain values, so the same
// case can run through the oracle, the replay, a store or a server.
package gen
