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
	// Deliveries is rows of one event id in a history: those that differ or, of a source with late columns, all.
	Deliveries = 1 << 16
)

// Limits of what a server processes at a time. A cell is one value of a column; an element of a
// list or map counts as ElementCells cells, by its size in memory.
const (
	RequestCells = 1 << 20  // values of one request, of all columns
	JSONBytes    = 8 << 20  // one request in JSON, decompressed; it takes thirty times that in memory
	FetchedBytes = 64 << 20 // states of one read
	AnswerCells  = 4 << 20  // one answer, estimated before it is computed
	AnswerBytes  = 64 << 20 // one answer, before it is compressed
	ElementCells = 4
	HeaderBytes  = 64 << 10 // the headers of one request
	ChunkBytes   = 4 << 20  // one message of a stream
	ProbeBytes   = 64 << 10 // one message of health checks and reflection
	SpineBatch   = 64 << 20 // one batch of an uploaded spine, decompressed
	// An explanation of a value: its request, its answer, the events that it lists, and the memory that events of the entity take.
	ExplainRequestBytes = 256 << 10
	ExplanationBytes    = 8 << 20
	ExplanationEvents   = 1000
	ExplanationMemory   = 64 << 20
)

// Limits of what a server does for all callers together.
const (
	InFlight       = 512      // requests that are being answered
	Connections    = 1024     // that are open
	NearCacheBytes = 64 << 20 // default of what is kept of states between reads
	HTTP2Streams   = 64       // of one connection
	// ServedQueueBytes is sampled rows that are not in the served log yet.
	ServedQueueBytes = 32 << 20
	Streams          = 32        // uploads, downloads and watches
	ArrivingBytes    = 64 << 20  // large requests as they arrive
	DecodingBytes    = 256 << 20 // memory for requests that are being decoded, estimated
	FetchingBytes    = 88 << 20  // states of reads
	AnsweringCells   = 8 << 20   // answers that are being computed
	WritingBytes     = 96 << 20  // large answers until they are sent
	Uploads          = 3         // spines that are being uploaded
	Explanations     = 2         // values that are being explained
	Scrapes          = 4         // of metrics
	// HeapBytes is the size from which the garbage collector works harder instead of letting the
	// heap of a server grow. It is no limit.
	HeapBytes = 176 << 20
	// CallerShare bounds the part of one caller: at most so many times what would be left for others.
	CallerShare = 3
	// CallerQueue bounds what the requests of one caller may wait for: so many times the whole.
	CallerQueue = 1
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
