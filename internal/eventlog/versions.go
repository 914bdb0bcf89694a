package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Late is what a delivery says of an event that later deliveries may fill.
type Late struct {
	Known  plan.EventTime // when it is known at the earliest, whenever it is appended
	First  []Field        // kept of the delivery that comes first; another may have others
	Fields []Field        // what may be filled, as far as this delivery has it; no name twice
}

// Field is a named value of a delivery. Neither part means anything to the log.
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

// Seen is what a log remembers of an id. Versions is nil for an event of which nothing can
// be filled, and for one that was stored before that was possible.
type Seen struct {
	Digest   Digest // of the body
	Position Position
	Versions []Version
}

// FirstSeen is what is remembered of an id that was not seen before.
func FirstSeen(e *Entry, p Position, appended plan.EventTime) Seen {
	s := Seen{Digest: e.bodyDigest(), Position: p}
	if e.Late != nil {
		fields := append(append([]Field(nil), e.Late.First...), e.Late.Fields...)
		s.Versions = []Version{{Position: p, Known: max(e.Late.Known, appended), Fields: fields}}
	}
	return s
}

// Judge says what becomes of a delivery whose id was seen, and what it fills.
func (s *Seen) Judge(e *Entry) (Outcome, []Field) {
	if s.Digest != e.bodyDigest() {
		// Once, all of a payload was the body.
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

// compare finds the fields of a delivery that the event does not have, and whether it has
// one with another value.
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

// before is the versions of the event so far. An event that was stored without any has
// nothing that can be filled, and is known from its record.
func (s *Seen) before() []Version {
	if s.Versions == nil {
		return []Version{{Position: s.Position, Known: plan.Always}}
	}
	return s.Versions
}

// Fill is s once a delivery has filled the given fields.
func (s *Seen) Fill(e *Entry, fields []Field, p Position, appended plan.EventTime) Seen {
	filled := *s
	filled.Versions = append(append([]Version(nil), s.before()...), Version{p, max(e.Late.Known, appended), fields})
	return filled
}

// Register is s once history says that the event is e, and whether that changes it. Fields
// that history has are filled, so that nobody fills them again; an event that history knew
// earlier takes the place of one with another body.
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

// Arrived is when the delivery of the last of the versions arrived: when it is known, and
// not before the event nor before what was pushed earlier to fill it.
func Arrived(versions []Version) plan.EventTime {
	known := versions[len(versions)-1].Known
	for i := range versions {
		if i == 0 || versions[i].Position > 0 {
			known = max(known, versions[i].Known)
		}
	}
	return known
}

// RegisteredKnown is when history said that a field of the event is known, which may be a time
// to come; Always if the event does not have the field from history.
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

// AppendVersions appends the stored form of versions, docs/formats/eventlog.md.
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

// AppendFields appends the last part of a version.
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

// DecodeVersions reads all versions in b, which it keeps; nil for none.
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

// cut splits bytes off the front of b that their length stands before.
func cut(b []byte) (part, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	b = b[used:]
	return b[:n:n], b[n:], true
}
