// Package limits has the limits of sizes and of differences between clocks, and the messages that
// name them. Rows are checked where they enter, so nothing durable exceeds a limit later.
package limits

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Limits of values in a row, see docs/semantics.md §2. They are part of the meaning of features.
const (
	KeyBytes  = 64 << 10 // an entity's key as it is encoded
	IDBytes   = 64 << 10 // an event id
	TextBytes = 16 << 20 // a text, or bytes, in a column
	// RequestTextBytes is a text, or bytes, in a request field. The bound on the cost of an
	// expression assumes texts of at most this length.
	RequestTextBytes = 4096
)

// Limits of what is sent and stored.
const (
	PushRows     = 10_000    // rows of one request
	RequestBytes = 32 << 20  // one request, decompressed
	EventBytes   = 64 << 20  // one event as it is logged
	AppendBytes  = 256 << 20 // all ids and payloads of one append to the log
	StateBytes   = 256 << 20 // one entity's state in one view
	// StoreKeyBytes is a key of the online store: the prefix of a view's build and an entity's key.
	StoreKeyBytes = KeyBytes + 1<<10
	ShardBytes    = 1 << 10 // the name of a log's shard
)

// Limits of what a server processes at a time. A cell is one value of a column; an element of a
// list or map counts as ElementCells cells, by its size in memory.
const (
	RequestCells   = 1 << 20   // values of one request, of all columns
	JSONBytes      = 8 << 20   // one request in JSON, decompressed; it takes thirty times that in memory
	FetchedBytes   = 128 << 20 // states of one read
	AnswerCells    = 4 << 20   // one answer, estimated before it is computed
	AnswerBytes    = 64 << 20  // one answer, before it is compressed
	ElementCells   = 4
	DecodingBytes  = 256 << 20 // requests that are being decoded, all together
	AnsweringCells = 8 << 20   // answers that are being computed, all together
	InFlight       = 512       // requests that are being answered
	Connections    = 1024      // that are open
	NearCacheBytes = 64 << 20  // default of what is kept of states between reads
)

// Key returns the message for an entity's key of the given length, "" if it is within the limit.
func Key(bytes int) string { return atMost("the key, as it is encoded,", bytes, KeyBytes) }

// ID is Key for an event id.
func ID(bytes int) string { return atMost("the event id", bytes, IDBytes) }

// Text is Key for a text or bytes in a column.
func Text(bytes int) string { return atMost("the value", bytes, TextBytes) }

// RequestText is Key for a text or bytes in a request field.
func RequestText(bytes int) string {
	return atMost("the value of a request field", bytes, RequestTextBytes)
}

// Event is Key for an event as it is logged.
func Event(bytes int) string { return atMost("the event", bytes, EventBytes) }

func atMost(what string, bytes, limit int) string {
	if bytes <= limit {
		return ""
	}
	return fmt.Sprintf("%s has %d bytes, at most %d are allowed", what, bytes, limit)
}

// year1970 is the length of that year.
const year1970 = plan.EventTime(365 * plan.Day)

// Scaled reports whether t looks like seconds or milliseconds since 1970 that were taken
// for microseconds: it lies in 1970 and is not a midnight.
func Scaled(t plan.EventTime) bool {
	return t > 0 && t < year1970 && t%plan.EventTime(plan.Day) != 0
}

// Limits of clocks.
const (
	// ClockSkew is how far the clocks that determine the log's time may differ: that of a server
	// from that of its Redis, and the time of the newest record from now. More is an error.
	ClockSkew = 30 * plan.Second
	// ClockWarning is how far they may differ, and how far a clock may step, without a warning.
	ClockWarning = plan.Second
)
