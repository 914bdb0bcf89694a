// Package limits is how large things may be, and how far from each other clocks: the
// numbers, and the sentences that name them. Rows are held to them where they enter, so that
// nothing durable turns out too large later.
package limits

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Of what is in a row, by docs/semantics.md §2. They are part of the meaning of features.
const (
	KeyBytes  = 64 << 10 // an entity's key as it is encoded
	IDBytes   = 64 << 10 // an event id
	TextBytes = 16 << 20 // a text, or bytes, in a column
	// RequestTextBytes is a text, or bytes, in a request field: the cost of an expression is
	// bounded for texts of that length.
	RequestTextBytes = 4096
)

// Of what is sent and stored.
const (
	PushRows     = 10_000    // rows of one request
	RequestBytes = 32 << 20  // one request, decompressed
	EventBytes   = 64 << 20  // one event as it is logged
	AppendBytes  = 256 << 20 // all ids and payloads of one append to the log
	StateBytes   = 256 << 20 // one entity's state in one view
	// StoreKeyBytes is a key of the online store: that of an entity after the place of its view.
	StoreKeyBytes = KeyBytes + 1<<10
	ShardBytes    = 1 << 10 // the name of a log's shard
)

// Of what a server takes and answers at a time. A cell is one value of a column; an element
// of a list or map is ElementCells of them, for that is what it takes in memory.
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
)

// Key says what is wrong with an entity's key of so many bytes, "" if nothing is.
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

// Of clocks.
const (
	// ClockSkew is how far apart the clocks may be that the log's time comes from: a server's and
	// that of its Redis, and the newest record's and now. What is farther is an error.
	ClockSkew = 30 * plan.Second
	// ClockWarning is how far they may be apart, and how far a clock may step, unremarked.
	ClockWarning = plan.Second
)
