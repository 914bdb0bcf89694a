// Package eventlog is the durable, ordered, deduplicating log that every pushed
// event goes through before it reaches a feature.
//
// A log is divided into shards (one for each stream source). Within a shard
// positions are dense and ascending from 1. The log stores payloads as opaque
// bytes. Package eventlog/pebble embeds it, eventlog/redis puts it on a Redis
// server; eventlog/logtest is the suite that both pass.
package eventlog

import (
	"context"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Position is a record's place in its shard; 0 is before the first.
type Position uint64

// Entry is a delivery of an event to append. Entries with an ID are deduplicated by it
// within the shard, for ever; entries with an empty ID never are.
//
// Deliveries with one ID are of one event when they have one body. A later one adds the
// fields of Late that its event does not have yet; it must not have another value in one that is there.
type Entry struct {
	ID      string
	Payload []byte
	Body    []byte // what every delivery of the event has to repeat; nil: Payload
	Late    *Late  // nil: nothing of the event can be filled
}

// bodyDigest is the digest that tells one event from another.
func (e *Entry) bodyDigest() Digest {
	if e.Body == nil {
		return DigestOf(e.Payload)
	}
	return DigestOf(e.Body)
}

// Record is an appended delivery. Appended is the log's clock at that moment,
// never less than that of an earlier record of the shard.
type Record struct {
	Position Position
	Appended plan.EventTime
	ID       string
	Payload  []byte
	Versions []Version // of the event that the delivery filled, its own the last; nil: it is the event
}

// Outcome says what became of an entry.
type Outcome uint8

// The outcomes.
const (
	Appended  Outcome = 0 // stored, at Result.Position
	Duplicate Outcome = 1 // the event has all that it says: ignored
	Conflict  Outcome = 2 // it contradicts the event with its id: ignored, what was first stands
	Filled    Outcome = 3 // stored, at Result.Position: it added fields to the event with its id
)

// Result answers one Entry. Position is that of the new record, or of the event that
// holds the id (0 when the id was registered from history).
type Result struct {
	Outcome  Outcome
	Position Position
}

// Log is the contract. All methods are safe for concurrent use. Errors leave the
// log unchanged or, for a lost connection, wrap ErrOutcomeUnknown; appending the
// same entries again is then safe for entries with an id. A shard begins to
// exist with its first record or id; before, it reads as empty.
type Log interface {
	// Append stores the entries in order, all or none, and returns one Result for
	// each once they are durable. Two entries of one call may share an id. The
	// entries are the caller's again on return.
	Append(ctx context.Context, shard string, entries []Entry) ([]Result, error)
	// Register marks ids as seen without storing records: ids of events that are
	// already part of the history, with the fields that they have there. Of a seen id it
	// fills what is missing, and changes nothing else (see Seen.Register).
	Register(ctx context.Context, shard string, entries []Entry) error
	// Read returns at most limit records after the given position, in order; fewer
	// than limit only at the end of the shard. It sees durable records only, so a
	// position that was read never holds another event later. Payloads belong to
	// the caller.
	Read(ctx context.Context, shard string, after Position, limit int) ([]Record, error)
	// SetBack corrects the times of records that a clock ahead of its time gave them: none up
	// to the end of the shard counts as appended after the given time any more, as if the
	// clock had stood still there. It reports whether any did. What was made of these records
	// has to be made anew.
	SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error)
	// End is the position of the newest record, 0 for an empty shard.
	End(ctx context.Context, shard string) (Position, error)
	// Wait returns when the shard's End exceeds after, with ctx's error when it
	// ends, or with ErrClosed when the log is closed.
	Wait(ctx context.Context, shard string, after Position) error
	// Close waits for calls under way, ends those in Wait, and releases the
	// storage. Closing again does nothing.
	Close() error
}

// Clock tells the log's time. It is time.Now in production; only the replay
// harness passes another. It is called by several goroutines at once.
type Clock func() plan.EventTime
