package eventlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// Mark identifies a record of a shard beyond its position. A log that was replaced by another,
// or that lost records and went on, has a record with another mark at that position, because
// it was appended at another time. As records are only appended, equal marks at a
// position mean that the logs are equal up to there.
type Mark uint64

// Mark is the first 8 bytes of the SHA-256 of everything about the record but the versions of
// its event. A corrected time (Log.SetBack) changes it.
func (r *Record) Mark() Mark {
	h := sha256.New()
	b := binary.BigEndian.AppendUint64(nil, uint64(r.Position))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Appended))
	b = binary.AppendUvarint(b, uint64(len(r.ID)))
	b = append(b, r.ID...)
	h.Write(b)
	h.Write(r.Payload)
	return Mark(binary.BigEndian.Uint64(h.Sum(b[:0])))
}

// At returns the record at a position of the shard, nil if there is none.
func At(ctx context.Context, log Log, shard string, p Position) (*Record, error) {
	if p == 0 {
		return nil, nil
	}
	records, err := log.Read(ctx, shard, p-1, 1)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return &records[0], nil
}
