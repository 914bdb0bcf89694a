package relation

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// markDurations marks the duration columns. Parquet has no duration type: pandas and Arrow
// store durations as 64-bit integers and record the type in an Arrow schema in the footer.
// A schema that cannot be decoded is ignored.
func markDurations(columns []stored, f *parquet.File) {
	encoded, ok := f.Lookup("ARROW:schema")
	if !ok {
		return
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	durations := arrowDurations(raw)
	for i := range columns {
		c := &columns[i]
		if nanos, ok := durations[c.name]; ok && c.kind == storedInt && c.physical == format.Int64 {
			c.kind, c.perNano, c.text = storedDuration, nanos, "duration"
		}
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
	message := raw[arrowPrefix:]
	schema := flatTable{message, int(binary.LittleEndian.Uint32(message))}.child(messageHeader)
	nanos = map[string]int64{}
	vector := schema.child(schemaFields)
	for i := range vector.uint32(0) {
		at := 4 + 4*int(i)
		field := flatTable{message, vector.at + at + int(vector.uint32(at))}
		kind, ok := field.field(fieldTypeType)
		if !ok || message[kind] != typeDuration {
			continue
		}
		unit := uint16(1) // the default, which FlatBuffers does not write
		duration := field.child(fieldType)
		if at, ok := duration.field(durationUnit); ok {
			unit = binary.LittleEndian.Uint16(message[at:])
		}
		name := field.child(fieldName)
		nanos[string(message[name.at+4:][:name.uint32(0)])] = durationUnits[unit]
	}
	return nanos
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
