package eventlog

import (
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Trimmed is the last record that was removed from the front of a shard.
type Trimmed struct {
	Position Position
	Mark     Mark // of the record, by which an archive is known to be that of the log
	Appended plan.EventTime
}

// TrimmedError says that records that were to be read are no longer in the log.
type TrimmedError struct {
	Shard string
	Trimmed
}

func (e *TrimmedError) Error() string {
	return fmt.Sprintf("the records of %s up to position %d were trimmed from the log", e.Shard, e.Position)
}

// SetBackError says that a record cannot be trimmed because its time was set back.
type SetBackError struct {
	Shard    string
	Position Position
}

func (e *SetBackError) Error() string {
	return fmt.Sprintf("the time of the record of %s at position %d was set back (unskew log set-back), so this record and those after it stay in the log", e.Shard, e.Position)
}

// CheckSetBack returns an error if times cannot be set back to `to` because a trimmed record is
// of a later time.
func (t *Trimmed) CheckSetBack(shard string, to plan.EventTime) error {
	if t.Position == 0 || to >= t.Appended {
		return nil
	}
	return fmt.Errorf("the records of %s up to position %d were archived and trimmed, the last of which was stored at %v; a log cannot be set back to a time before that, like %v", shard, t.Position, t.Appended, to)
}

const trimmedLen = 8 + 8 + 8

// Encode returns the stored form, see docs/formats/eventlog.md.
func (t *Trimmed) Encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, trimmedLen), uint64(t.Position))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Mark))
	return binary.BigEndian.AppendUint64(b, uint64(t.Appended)^signBit)
}

// DecodeTrimmed decodes what Encode returned.
func DecodeTrimmed(b []byte) (Trimmed, error) {
	if len(b) != trimmedLen {
		return Trimmed{}, fmt.Errorf("the end of what was trimmed has %d bytes: %w", len(b), ErrDamaged)
	}
	return Trimmed{
		Position: Position(binary.BigEndian.Uint64(b)),
		Mark:     Mark(binary.BigEndian.Uint64(b[8:])),
		Appended: plan.EventTime(binary.BigEndian.Uint64(b[16:]) ^ signBit),
	}, nil
}

// TrimmedTo returns what is trimmed when r is the last record that is.
func TrimmedTo(r *Record) Trimmed {
	return Trimmed{Position: r.Position, Mark: r.Mark(), Appended: r.Appended}
}

// CannotTrim is the error for a position that is not before the end of the shard.
func CannotTrim(shard string, to, end Position) error {
	return fmt.Errorf("shard %q cannot be trimmed up to position %d: it ends at %d, and the newest record stays", shard, to, end)
}

// CheckTrim returns a *SetBackError if the corrections change the time of one of the records, which have
// their stored times. Versions of later records may have the time of a trimmed one, and could not be
// corrected.
func (c Corrections) CheckTrim(shard string, records []Record) error {
	for i := range records {
		if r := &records[i]; c.Appended(r.Position, r.Appended) != r.Appended {
			return &SetBackError{Shard: shard, Position: r.Position}
		}
	}
	return nil
}
