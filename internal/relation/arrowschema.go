package relation

import (
	"encoding/base64"
	"encoding/binary"
	"iter"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// markDurations marks the columns and fields of structs that are durations. Parquet has no duration
// type: pandas and Arrow store durations as 64-bit integers and record the type in an Arrow schema in
// the footer. A schema that cannot be decoded is ignored.
func (t *parquetTable) markDurations(f *parquetFile, in *parquet.File) {
	encoded, ok := in.Lookup("ARROW:schema")
	if !ok {
		return
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	durations := arrowDurations(raw)
	for i := range f.columns {
		c := &f.columns[i]
		c.markDuration(durations[c.name])
	}
	for column, c := range f.fields {
		c.markDuration(arrowDuration(raw, t.rel.Paths[column]))
	}
}

// markDuration makes a duration of an integer, in units of nanos; 0: it is none.
func (s *stored) markDuration(nanos int64) {
	if nanos > 0 && s.kind == storedInt && s.physical == format.Int64 {
		s.kind, s.perNano, s.text = storedDuration, nanos, "duration"
	}
}

// Constants of the Arrow IPC schema format, from Arrow's Message.fbs and Schema.fbs.
const (
	arrowPrefix = 8 // continuation marker and length before a message

	messageHeader = 2 // field index in table Message
	schemaFields  = 1 // field index in table Schema
	fieldName     = 0 // field index in table Field
	fieldTypeType = 2
	fieldType     = 3
	fieldChildren = 5
	durationUnit  = 0 // field index in table Duration

	typeDuration = 18 // value of the union Type
)

// durationUnits are the units in nanoseconds: second, millisecond, microsecond, nanosecond.
var durationUnits = []int64{1e9, 1e6, 1e3, 1}

// arrowDurations maps each duration column to its unit in nanoseconds. It decodes the few
// fields it needs by hand: given a corrupt length, Arrow's reader allocates all memory.
func arrowDurations(raw []byte) (nanos map[string]int64) {
	defer func() {
		if recover() != nil {
			nanos = nil // an offset points outside the buffer
		}
	}()
	nanos = map[string]int64{}
	for name, field := range arrowColumns(raw).fields() {
		if unit := field.duration(); unit > 0 {
			nanos[name] = unit
		}
	}
	return nanos
}

// arrowDuration returns the unit of the duration at a path, 0 if there is none.
func arrowDuration(raw []byte, path []string) (nanos int64) {
	defer func() {
		if recover() != nil {
			nanos = 0
		}
	}()
	list := arrowColumns(raw)
	for depth, name := range path {
		found := flatTable{}
		for other, field := range list.fields() {
			if other == name {
				found = field
				break
			}
		}
		switch {
		case found.buf == nil:
			return 0
		case depth == len(path)-1:
			return found.duration()
		}
		list = found.child(fieldChildren)
	}
	return 0
}

// arrowColumns is the list of the columns of an encoded schema.
func arrowColumns(raw []byte) flatTable {
	message := raw[arrowPrefix:]
	return flatTable{message, int(binary.LittleEndian.Uint32(message))}.child(messageHeader).child(schemaFields)
}

// fields yields the fields of a list with their names.
func (t flatTable) fields() iter.Seq2[string, flatTable] {
	return func(yield func(string, flatTable) bool) {
		for i := range t.uint32(0) {
			at := 4 + 4*int(i)
			field := flatTable{t.buf, t.at + at + int(t.uint32(at))}
			name := field.child(fieldName)
			if !yield(string(t.buf[name.at+4:][:name.uint32(0)]), field) {
				return
			}
		}
	}
}

// duration returns the unit of a field of durations, 0 for another.
func (t flatTable) duration() int64 {
	kind, ok := t.field(fieldTypeType)
	if !ok || t.buf[kind] != typeDuration {
		return 0
	}
	unit := uint16(1) // the default, which FlatBuffers does not write
	if at, ok := t.child(fieldType).field(durationUnit); ok {
		unit = binary.LittleEndian.Uint16(t.buf[at:])
	}
	return durationUnits[unit]
}

// flatTable is a FlatBuffers table, vector or string at an offset in a buffer.
type flatTable struct {
	buf []byte
	at  int
}

// uint32 reads the value at an offset from the table's start.
func (t flatTable) uint32(behind int) uint32 { return binary.LittleEndian.Uint32(t.buf[t.at+behind:]) }

// field returns the offset of a field; ok is false if the field has its default.
func (t flatTable) field(n int) (at int, ok bool) {
	offsets := t.buf[t.at-int(int32(t.uint32(0))):]
	place := 4 + 2*n
	if place+2 > int(binary.LittleEndian.Uint16(offsets)) {
		return 0, false
	}
	at = int(binary.LittleEndian.Uint16(offsets[place:]))
	return t.at + at, at != 0
}

// child returns the object that a field refers to.
func (t flatTable) child(n int) flatTable {
	at, ok := t.field(n)
	if !ok {
		panic("relation: the field is missing")
	}
	return flatTable{t.buf, at + int(binary.LittleEndian.Uint32(t.buf[at:]))}
}
