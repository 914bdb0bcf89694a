// Package recompute computes answers of a server again, from the events behind them, and says what differs and why.
//
// The served log records, with each answer, exactly which events its states had applied: those that the build of the view began
// with, and of the log those up to a position in each shard. Over just these events the replay that makes training sets must give every
// value bit for bit; it shares no state with what served it. The same replay over all events that are known now gives the
// value that training would see, and the events that make the difference have a cause each (docs/parity.md).
//
// Rows are read in bulk: once for their keys, times and positions, and once for their values. History and log are read once for all of them.
package recompute
