package relation

import (
	"bytes"
	"encoding/base64"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// markDurations finds the columns of durations, which Parquet has no type for: pandas and
// Arrow store them as 64-bit integers and keep the type in a schema of their own.
func markDurations(columns []stored, f *parquet.File) {
	encoded, ok := f.Lookup("ARROW:schema")
	if !ok {
		return
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return
	}
	r, err := ipc.NewReader(bytes.NewReader(raw))
	if err != nil {
		return // of a kind that this library does not know; the Parquet schema stands alone
	}
	defer r.Release()
	for i := range columns {
		c := &columns[i]
		fields, _ := r.Schema().FieldsByName(c.name)
		if len(fields) != 1 || c.kind != storedInt || c.physical != format.Int64 {
			continue
		}
		if d, ok := fields[0].Type.(*arrow.DurationType); ok {
			c.kind, c.perNano, c.text = storedDuration, int64(d.Unit.Multiplier()), d.String()
		}
	}
}
