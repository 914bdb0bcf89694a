package relation

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// markDurations finds the columns of durations, which Parquet has no type for: pandas and
// Arrow store them as 64-bit integers and keep the type in a schema of their own. Of a
// schema that cannot be read nothing is taken.
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

// Numbers of the format that Arrow writes schemas in, by its Message.fbs and Schema.fbs.
const (
	arrowPrefix = 8 // before a message: a mark and a length

	messageHeader = 2 // fields of the table Message
	schemaFields  = 1 // of Schema
	fieldName     = 0 // of Field
	fieldTypeType = 2
	fieldType     = 3
	durationUnit  = 0 // of Duration

	typeDuration = 18 // a member of the union Type
)

// durationUnits are the ns of the units: seconds, milliseconds, microseconds, nanoseconds.
var durationUnits = []int64{1e9, 1e6, 1e3, 1}

// arrowDurations lists the ns of the unit of each column of durations. It reads the few
// fields that it needs by itself, since Arrow's reader takes all memory where damage has
// written a length.
func arrowDurations(raw []byte) (nanos map[string]int64) {
	defer func() {
		if recover() != nil {
			nanos = nil // an offset points outside
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
		unit := uint16(1) // what is not written
		duration := field.child(fieldType)
		if at, ok := duration.field(durationUnit); ok {
			unit = binary.LittleEndian.Uint16(message[at:])
		}
		name := field.child(fieldName)
		nanos[string(message[name.at+4:][:name.uint32(0)])] = durationUnits[unit]
	}
	return nanos
}

// flatTable is a table of FlatBuffers, or a vector or a string, at a place in a buffer.
type flatTable struct {
	buf []byte
	at  int
}

// uint32 reads behind the place.
func (t flatTable) uint32(behind int) uint32 { return binary.LittleEndian.Uint32(t.buf[t.at+behind:]) }

// field is where a field of a table lies; ok is false if it has the default.
func (t flatTable) field(n int) (at int, ok bool) {
	offsets := t.buf[t.at-int(int32(t.uint32(0))):]
	place := 4 + 2*n
	if place+2 > int(binary.LittleEndian.Uint16(offsets)) {
		return 0, false
	}
	at = int(binary.LittleEndian.Uint16(offsets[place:]))
	return t.at + at, at != 0
}

// child is what a field refers to.
func (t flatTable) child(n int) flatTable {
	at, ok := t.field(n)
	if !ok {
		panic("relation: the field is not there")
	}
	return flatTable{t.buf, at + int(binary.LittleEndian.Uint32(t.buf[at:]))}
}
