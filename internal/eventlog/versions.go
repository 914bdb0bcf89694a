package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Late is the part of a delivery that later deliveries of the same event may fill.
type Late struct {
	Known  plan.EventTime // the delivery is known then, or when it is appended if that is later
	First  []Field        // kept from the first delivery; those of later ones may differ and are ignored
	Fields []Field        // the fillable fields that this delivery has; names are unique
}

// Field is a named value of a delivery. The log does not interpret name or value.
type Field struct {
	Name  string
	Value []byte
}

// Version is what one delivery added to its event.
type Version struct {
	Position Position       // of the delivery's record; 0 if it was registered from history
	Known    plan.EventTime // the later of Late.Known and Appended; perhaps before that of an earlier version
	Fields   []Field
}

// Seen is what a log keeps for an id. Versions is nil for an event with nothing to fill, and for
// one that was stored in format 1.
type Seen struct {
	Digest   Digest // of the body
	Position Position
	Versions []Version
}

// FirstSeen returns the Seen of a new id whose first delivery is e.
func FirstSeen(e *Entry, p Position, appended plan.EventTime) Seen {
	s := Seen{Digest: e.bodyDigest(), Position: p}
	if e.Late != nil {
		fields := append(append([]Field(nil), e.Late.First...), e.Late.Fields...)
		s.Versions = []Version{{Position: p, Known: max(e.Late.Known, appended), Fields: fields}}
	}
	return s
}

// Classify decides the outcome of another delivery with the id, and returns the fields that it
// fills.
func (s *Seen) Classify(e *Entry) (Outcome, []Field) {
	if s.Digest != e.bodyDigest() {
		// In format 1 the body was the whole payload.
		if s.Versions == nil && s.Digest == DigestOf(e.Payload) {
			return Duplicate, nil
		}
		return Conflict, nil
	}
	missing, differs := s.compare(e)
	switch {
	case differs:
		return Conflict, nil
	case missing != nil:
		return Filled, missing
	}
	return Duplicate, nil
}

// compare returns the fields of a delivery that the event lacks, and whether the delivery has
// another value in a field of the event.
func (s *Seen) compare(e *Entry) (missing []Field, differs bool) {
	if e.Late == nil {
		return nil, false
	}
	for _, f := range e.Late.Fields {
		value, ok := s.field(f.Name)
		switch {
		case !ok:
			missing = append(missing, f)
		case !bytes.Equal(value, f.Value):
			differs = true
		}
	}
	return missing, differs
}

func (s *Seen) field(name string) ([]byte, bool) {
	for i := range s.Versions {
		for _, f := range s.Versions[i].Fields {
			if f.Name == name {
				return f.Value, true
			}
		}
	}
	return nil, false
}

// versionsSoFar returns the versions of the event. An event that was stored without versions
// gets one without fields that is known from its record.
func (s *Seen) versionsSoFar() []Version {
	if s.Versions == nil {
		return []Version{{Position: s.Position, Known: plan.Always}}
	}
	return s.Versions
}

// Fill returns s with a version for the fields that a delivery filled.
func (s *Seen) Fill(e *Entry, fields []Field, p Position, appended plan.EventTime) Seen {
	filled := *s
	filled.Versions = append(append([]Version(nil), s.versionsSoFar()...), Version{p, max(e.Late.Known, appended), fields})
	return filled
}

// Register returns s after history has registered the event e, and whether that changes s.
// Fields of e that the event lacks are added, so that a later push of them is a duplicate. If e
// has another body and was known earlier than the event, it replaces the event.
func (s *Seen) Register(e *Entry) (Seen, bool) {
	switch {
	case e.Late == nil:
		return *s, false
	case s.Digest == e.bodyDigest():
		missing, _ := s.compare(e)
		if missing == nil {
			return *s, false
		}
		return s.Fill(e, missing, 0, plan.Always), true
	case s.Versions == nil && s.Digest == DigestOf(e.Payload):
		registered := FirstSeen(e, s.Position, plan.Always)
		return registered, true
	case s.Versions != nil && e.Late.Known < s.Versions[0].Known:
		return FirstSeen(e, 0, plan.Always), true
	}
	return *s, false
}

// Arrived is when the delivery of the last version arrived: when it is known, but not before the
// event or any earlier push that filled the event.
func Arrived(versions []Version) plan.EventTime {
	known := versions[len(versions)-1].Known
	for i := range versions {
		if i == 0 || versions[i].Position > 0 {
			known = max(known, versions[i].Known)
		}
	}
	return known
}

// RegisteredKnown is when a field is known according to history, which may be in the future. It
// is Always if the event does not have the field from history.
func RegisteredKnown(versions []Version, field string) plan.EventTime {
	for i := range versions {
		if v := &versions[i]; v.Position == 0 && slices.ContainsFunc(v.Fields, func(f Field) bool { return f.Name == field }) {
			return v.Known
		}
	}
	return plan.Always
}

// signBit makes the unsigned order of times their order.
const signBit = 1 << 63

// AppendVersions appends the stored form of versions, see docs/formats/eventlog.md.
func AppendVersions(dst []byte, versions []Version) []byte {
	for i := range versions {
		v := &versions[i]
		dst = binary.BigEndian.AppendUint64(dst, uint64(v.Known)^signBit)
		digits := strconv.FormatUint(uint64(v.Position), 10)
		dst = append(append(dst, byte(len(digits))), digits...)
		dst = AppendFields(dst, v.Fields)
	}
	return dst
}

// AppendFields appends the stored form of the fields of a version.
func AppendFields(dst []byte, fields []Field) []byte {
	var b []byte
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f.Name)))
		b = append(b, f.Name...)
		b = binary.AppendUvarint(b, uint64(len(f.Value)))
		b = append(b, f.Value...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// DecodeVersions decodes all versions in b, nil if b is empty. The versions alias b.
func DecodeVersions(b []byte) ([]Version, error) {
	var out []Version
	for len(b) > 0 {
		if len(b) < 9 || len(b) < 9+int(b[8]) {
			return nil, errVersions
		}
		known := plan.EventTime(binary.BigEndian.Uint64(b) ^ signBit)
		digits := string(b[9 : 9+int(b[8])])
		p, err := strconv.ParseUint(digits, 10, 64)
		fields, rest, ok := cut(b[9+len(digits):])
		if err != nil || !ok {
			return nil, errVersions
		}
		v := Version{Position: Position(p), Known: known}
		for len(fields) > 0 {
			var name, value []byte
			if name, fields, ok = cut(fields); !ok {
				return nil, errVersions
			}
			if value, fields, ok = cut(fields); !ok {
				return nil, errVersions
			}
			v.Fields = append(v.Fields, Field{string(name), value})
		}
		out, b = append(out, v), rest
	}
	return out, nil
}

var errVersions = fmt.Errorf("the versions of an event cannot be read: %w", ErrDamaged)

// cut splits a part off the front of b whose length precedes it as a uvarint.
func cut(b []byte) (part, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	b = b[used:]
	return b[:n:n], b[n:], true
}
