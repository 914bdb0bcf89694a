// Package eventlog is the durable, ordered, deduplicating log that every pushed
// event goes through before it reaches a feature.
//
// A log is divided into shards, of which each stream source has one or more (see Shards). Within a shard
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

// Entry is a delivery of an event to append. Entries with an ID are deduplicated by it within
// the shard as long as the id is remembered; entries with an empty ID never are. An id is remembered
// for Keep after it was stored, and after Time if that is later, and not much longer. Once ids have been forgotten,
// an entry with an id that is not remembered is refused as Expired if one of them may have had its
// Time, so that no event counts twice.
//
// Deliveries with the same ID belong to one event if they have the same body. A later one adds
// those fields of Late that its event lacks. It must not have another value in a field that the
// event has.
type Entry struct {
	ID      string
	Payload []byte
	Body    []byte         // must be equal in every delivery of the event; nil: Payload
	Late    *Late          // nil: the event has no field to fill
	Time    plan.EventTime // of the event; a delivery with another time contradicts it
	Keep    plan.Micros    // how long the id is remembered, at least; 0: forever
}

// bodyDigest is the digest of the body; it tells another event with the same id from a
// redelivery.
func (e *Entry) bodyDigest() Digest {
	if e.Body == nil {
		return DigestOf(e.Payload)
	}
	return DigestOf(e.Body)
}

// Record is an appended delivery. Appended is the log's clock at that moment,
// never less than that of an earlier record of the shard.
type Record struct {
	Shard    int // of the shards of its source; 0 as a Log returns it
	Position Position
	Appended plan.EventTime
	ID       string
	Payload  []byte
	Versions []Version // of the event that the delivery filled, with its own version last; nil: the delivery is the event
}

// Outcome says what became of an entry.
type Outcome uint8

// The outcomes.
const (
	Appended  Outcome = 0 // stored, at Result.Position
	Duplicate Outcome = 1 // it adds nothing to the event with its id: ignored
	Conflict  Outcome = 2 // it contradicts the event with its id: ignored, the stored event is kept
	Filled    Outcome = 3 // stored, at Result.Position: it added fields to the event with its id
	Expired   Outcome = 4 // its id is not remembered and may have been forgotten: refused
)

// Result is the answer for one Entry. Position is that of the new record, or of the event with
// the id; 0 if that event was registered from history, or the entry is Expired.
type Result struct {
	Outcome   Outcome
	Position  Position
	Forgotten plan.EventTime // of an Expired entry: entries of this time or later are taken; else 0
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
	// Register stores ids of events that are part of the history, with the fields that they have
	// there, but no records. For an id that was seen it adds the fields that are missing; see
	// Seen.Register. An id that Append would refuse as Expired is left out.
	Register(ctx context.Context, shard string, entries []Entry) error
	// Read returns at most limit records after the given position, in order; fewer than limit only
	// at the end of the shard. It returns durable records only, so the record at a position never
	// changes. Payloads belong to the caller. If a record after the given position was trimmed, the error wraps a *TrimmedError.
	Read(ctx context.Context, shard string, after Position, limit int) ([]Record, error)
	// Trim removes the records up to a position, which must be kept elsewhere and must not be the newest.
	// Their ids are remembered as before. It can be repeated, and goes on where an interrupted call ended. Records whose
	// times were set back, and those after them, are not removed; the error says so.
	Trim(ctx context.Context, shard string, to Position) error
	// Trimmed is the last record that was removed, the zero value if none was.
	Trimmed(ctx context.Context, shard string) (Trimmed, error)
	// SetBack corrects the times of records that were appended by a clock that ran ahead: every
	// record up to the end of the shard counts as appended at the given time at the latest, which
	// must not be before that of a trimmed record. It reports whether that changed any; if it would change one of a sealed
	// shard, it fails with ErrSealed. State that was computed from these records must be rebuilt.
	SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error)
	// End is the position of the newest record, 0 for an empty shard.
	End(ctx context.Context, shard string) (Position, error)
	// Begun reports whether the shard exists: it has records, had records that were trimmed, or remembers ids.
	Begun(ctx context.Context, shard string) (bool, error)
	// SetState changes which entries a shard takes, see ShardState.Next. A shard that was never Adopting is Taking. Emptied removes
	// its ids.
	SetState(ctx context.Context, shard string, to ShardState) error
	// Segments is the list of segments of the ids that a shard remembers.
	Segments(ctx context.Context, shard string) (Segments, error)
	// IDs calls f with the ids that a sealed shard remembers, some at a time, until f returns an error. An id may come twice. Times are
	// corrected as those of records. The ids belong to f.
	IDs(ctx context.Context, shard string, f func(ids []KeptID) error) error
	// Adopt stores ids of other shards in a shard that has not begun, which is Adopting then, with a list of segments that has theirs. It can
	// be repeated. It fails with ErrAdopted if the shard has begun otherwise or is Opened.
	Adopt(ctx context.Context, shard string, list Segments, ids []KeptID) error
	// Wait returns nil when the End of one of the shards exceeds the given position, ctx's error when ctx ends, and ErrClosed
	// when the log is closed.
	Wait(ctx context.Context, ends Ends) error
	// Close waits for running calls, ends those in Wait, and releases the storage. Closing again
	// does nothing.
	Close() error
}

// Counting is a Log that knows without counting how many ids it remembers.
type Counting interface {
	Log
	Remembered(ctx context.Context, shard string) (int64, error)
}

// Ends are positions by the name of the shard, of which there is at least one.
type Ends map[string]Position

// Clock returns the log's time. It is time.Now except in simulations. Several goroutines call it
// concurrently.
type Clock func() plan.EventTime
