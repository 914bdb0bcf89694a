package pebble

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// The byte format of keys and values is docs/formats/eventlog.md.

const (
	format = "unskew eventlog 4"
	// The older ones lack keys that this one may have, and are otherwise the same, so Open only
	// changes the marker: 3 has no states of shards, 2 no segments of ids, 1 no records that fill either, and ids without
	// versions.
	format3 = "unskew eventlog 3"
	format2 = "unskew eventlog 2"
	format1 = "unskew eventlog 1"
)

// The kinds of keys.
const (
	kindEvent    = 'e'
	kindID       = 'i' // that is never forgotten
	kindSegment  = 'j' // an id in a segment
	kindSegments = 's' // the list of segments
	kindTrimmed  = 't' // the last record that was trimmed
	kindVersions = 'v' // of the event that a record filled
	kindBack     = 'c' // a correction of times
	kindState    = 'x' // which entries a shard takes
)

func appendVersionsKey(dst []byte, shard string, p eventlog.Position) []byte {
	return binary.BigEndian.AppendUint64(appendShard(dst, kindVersions, shard), uint64(p))
}

func appendBackKey(dst []byte, shard string, p eventlog.Position) []byte {
	return binary.BigEndian.AppendUint64(appendShard(dst, kindBack, shard), uint64(p))
}

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

func appendIDKey(dst []byte, shard string, segment uint32, id string) []byte {
	return append(appendSegment(dst, shard, segment), id...)
}

// appendSegment appends the prefix of the keys of ids in a segment.
func appendSegment(dst []byte, shard string, segment uint32) []byte {
	if segment == 0 {
		return appendShard(dst, kindID, shard)
	}
	return binary.BigEndian.AppendUint32(appendShard(dst, kindSegment, shard), segment)
}

// positionOf is the position in the key of a record, or of its versions.
func positionOf(key []byte) eventlog.Position {
	return eventlog.Position(binary.BigEndian.Uint64(key[len(key)-8:]))
}

func appendEvent(dst []byte, appended plan.EventTime, e *eventlog.Entry) []byte {
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

func appendSeen(dst []byte, s *eventlog.Seen) []byte {
	dst = append(dst, s.Digest[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Position))
	return eventlog.AppendVersions(dst, s.Versions)
}

// decodeSeen copies what it returns.
func decodeSeen(value []byte) (eventlog.Seen, error) {
	if len(value) < 24 {
		return eventlog.Seen{}, fmt.Errorf("an entry of the id index has %d bytes, not 24 or more: %w", len(value), eventlog.ErrDamaged)
	}
	versions, err := eventlog.DecodeVersions(bytes.Clone(value[24:]))
	return eventlog.Seen{
		Digest:   eventlog.Digest(value[:16]),
		Position: eventlog.Position(binary.BigEndian.Uint64(value[16:])),
		Versions: versions,
	}, err
}
