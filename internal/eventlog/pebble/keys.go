package pebble

import (
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// The byte format of keys and values is docs/formats/eventlog.md.

const format = "unskew eventlog 1"

// The kinds of keys.
const (
	kindEvent = 'e'
	kindID    = 'i'
)

// signBit makes the unsigned order of times their order.
const signBit = 1 << 63

func appendShard(dst []byte, kind byte, shard string) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(shard)))
	return append(dst, shard...)
}

func appendEventKey(dst []byte, shard string, p eventlog.Position) []byte {
	return binary.BigEndian.AppendUint64(appendShard(dst, kindEvent, shard), uint64(p))
}

func appendIDKey(dst []byte, shard, id string) []byte {
	return append(appendShard(dst, kindID, shard), id...)
}

func positionOf(eventKey []byte) eventlog.Position {
	return eventlog.Position(binary.BigEndian.Uint64(eventKey[len(eventKey)-8:]))
}

func appendEvent(dst []byte, appended plan.EventTime, e eventlog.Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(appended)^signBit)
	dst = binary.AppendUvarint(dst, uint64(len(e.ID)))
	dst = append(dst, e.ID...)
	return append(dst, e.Payload...)
}

func appendedOf(event []byte) (plan.EventTime, error) {
	if len(event) < 8 {
		return 0, fmt.Errorf("a record has %d bytes: %w", len(event), eventlog.ErrDamaged)
	}
	return plan.EventTime(binary.BigEndian.Uint64(event) ^ signBit), nil
}

// decodeEvent copies what it returns.
func decodeEvent(p eventlog.Position, event []byte) (eventlog.Record, error) {
	appended, err := appendedOf(event)
	if err != nil {
		return eventlog.Record{}, err
	}
	n, used := binary.Uvarint(event[8:])
	rest := event[8+max(used, 0):]
	if used <= 0 || n > uint64(len(rest)) {
		return eventlog.Record{}, fmt.Errorf("the record at position %d cannot be read: %w", p, eventlog.ErrDamaged)
	}
	return eventlog.Record{
		Position: p,
		Appended: appended,
		ID:       string(rest[:n]),
		Payload:  append([]byte{}, rest[n:]...),
	}, nil
}

// seenID is what the index knows of an id. The position is 0 for a registered one.
type seenID struct {
	digest   eventlog.Digest
	position eventlog.Position
}

func (s seenID) append(dst []byte) []byte {
	dst = append(dst, s.digest[:]...)
	return binary.BigEndian.AppendUint64(dst, uint64(s.position))
}

func decodeSeenID(value []byte) (seenID, error) {
	if len(value) != 24 {
		return seenID{}, fmt.Errorf("an entry of the id index has %d bytes, not 24: %w", len(value), eventlog.ErrDamaged)
	}
	return seenID{
		digest:   eventlog.Digest(value[:16]),
		position: eventlog.Position(binary.BigEndian.Uint64(value[16:])),
	}, nil
}

// answer says what becomes of an entry whose id was seen.
func (s seenID) answer(payload []byte) eventlog.Result {
	if s.digest == eventlog.DigestOf(payload) {
		return eventlog.Result{Outcome: eventlog.Duplicate, Position: s.position}
	}
	return eventlog.Result{Outcome: eventlog.Conflict, Position: s.position}
}
