package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/vector"
)

// payloadVersion begins every payload.
const payloadVersion = 1

// AppendPayload appends row i of b as the event log stores it. b has all columns of
// the source. Rows with equal values have equal payloads, whatever the order of the
// source's columns; a null column leaves no trace, so adding a column to a source
// does not change the payload of events without it.
//
// A payload is a version byte, then for each column that is not null, in the byte
// order of their names: the name's length (uvarint), the name, the value's
// canonical encoding (plan.AppendCanonical).
func (s *Source) AppendPayload(dst []byte, b *vector.Batch, i int) []byte {
	return s.appendPayload(dst, b, i, func(string) bool { return true })
}

// appendPayload is AppendPayload for the columns for which kept is true.
func (s *Source) appendPayload(dst []byte, b *vector.Batch, i int, kept func(column string) bool) []byte {
	dst = append(dst, payloadVersion)
	for _, c := range s.payload {
		name := s.fields[c].Name
		if !kept(name) {
			continue
		}
		col := b.Cols[c]
		if b.Fields[c].Name != name {
			col = b.Col(name)
		}
		if !col.Valid(i) {
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = plan.AppendCanonical(dst, col.Value(i))
	}
	return dst
}

// Rows decodes payloads into a batch with all columns of the source. A column that a
// payload does not have is null, one that the source no longer has is left out, one
// whose type has changed is an error.
func (s *Source) Rows(payloads [][]byte) (*vector.Batch, error) {
	b := vector.NewBatch(s.fields, len(payloads))
	s.lost, s.lostOf = s.lost[:0], b
	for i, p := range payloads {
		for _, col := range b.Cols {
			col.SetNull(i)
		}
		if eventlog.IsLost(p) {
			s.lost = append(s.lost, i)
			continue
		}
		if err := s.decodeRow(b, i, p); err != nil {
			return nil, fmt.Errorf("source %s: logged event %d of %d: %w", s.plan.Name, i+1, len(payloads), err)
		}
	}
	return b, nil
}

var errMalformed = errors.New("its payload is malformed")

func (s *Source) decodeRow(b *vector.Batch, i int, p []byte) error {
	if len(p) == 0 {
		return errMalformed
	}
	if p[0] != payloadVersion {
		return fmt.Errorf("its payload has format %d, this program reads %d", p[0], payloadVersion)
	}
	for p = p[1:]; len(p) > 0; {
		n, used := binary.Uvarint(p)
		if used <= 0 || n > uint64(len(p)-used) {
			return errMalformed
		}
		name := string(p[used : used+int(n)])
		v, rest, err := plan.DecodeCanonical(p[used+int(n):])
		if err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
		p = rest
		if err := set(b, i, name, v); err != nil {
			return err
		}
	}
	return nil
}

// set sets a column of row i to a pushed value. It ignores columns that the source no longer
// has.
func set(b *vector.Batch, i int, name string, v plan.Value) error {
	col := b.Col(name)
	if col == nil {
		return nil
	}
	if !v.HasType(col.Type) {
		return fmt.Errorf("column %q is declared as %v but was pushed as %v", name, col.Type, v.Kind())
	}
	if !v.IsNull() {
		col.Null.Clear(i)
		col.Set(i, v)
	}
	return nil
}
