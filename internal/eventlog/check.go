package eventlog

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/unskew/unskew/internal/limits"
)

// ErrClosed is returned by every method of a closed log.
var ErrClosed = errors.New("the event log is closed")

// ErrOutcomeUnknown is wrapped by the error of an Append or Register whose
// request may or may not have taken effect: it was sent and no answer came.
var ErrOutcomeUnknown = errors.New("whether it took effect is unknown; entries with an id can safely be sent again")

// ErrUnavailable is wrapped by errors of a log that cannot be reached, does not answer in time or
// cannot do its work at present.
var ErrUnavailable = errors.New("the event log is not available")

// ErrDamaged is wrapped when acknowledged records or ids are missing, because something removed
// them from the storage (eviction, trimming, a restored backup). Nothing more is appended to a
// damaged shard, since positions would be assigned twice.
var ErrDamaged = errors.New("records that were acknowledged are missing")

// Limits of what Append and Register take.
const (
	MaxShardBytes  = limits.ShardBytes  // the shard's name
	MaxIDBytes     = limits.IDBytes     // one id
	MaxAppendBytes = limits.AppendBytes // all ids and payloads of one call
)

// Check returns an error if a call exceeds a limit. Logs call it before they store anything.
func Check(shard string, entries []Entry) error {
	if err := CheckShard(shard); err != nil {
		return err
	}
	total := 0
	for i, e := range entries {
		if len(e.ID) > MaxIDBytes {
			return fmt.Errorf("entry %d of shard %q: the id has %d bytes, at most %d are allowed", i, shard, len(e.ID), MaxIDBytes)
		}
		total += len(e.ID) + len(e.Payload)
	}
	if total > MaxAppendBytes {
		return fmt.Errorf("shard %q: the entries of one call have %d bytes, at most %d are allowed: send them in several calls", shard, total, MaxAppendBytes)
	}
	return nil
}

// CheckShard returns an error unless the name has 1 to MaxShardBytes bytes.
func CheckShard(shard string) error {
	if shard == "" {
		return errors.New("the shard has no name")
	}
	if len(shard) > MaxShardBytes {
		return fmt.Errorf("the shard's name has %d bytes, at most %d are allowed", len(shard), MaxShardBytes)
	}
	return nil
}

// Digest identifies a body in the index of ids: the first half of its SHA-256. It is only used
// to tell a redelivery from a conflict, never to identify an event.
type Digest [16]byte

// DigestOf returns the digest of a body.
func DigestOf(payload []byte) Digest {
	sum := sha256.Sum256(payload)
	return Digest(sum[:16])
}
