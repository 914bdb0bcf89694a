package oracle

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
)

// The limits of §2, in bytes; not those of package limits, so that each is written twice.
const (
	maxKey  = 65_536
	maxID   = 65_536
	maxText = 16_777_216
)

// beyond says which limit of §2 an event exceeds, and in which column; "" for none.
func beyond(src *plan.Source, e Event) (column, what string) {
	if src.MinTime != nil && e.Time < *src.MinTime {
		return src.EventTime, fmt.Sprintf("before %v", *src.MinTime)
	}
	for _, c := range src.Columns {
		if v := e.Columns[c.Name]; (v.Kind() == plan.String || v.Kind() == plan.Bytes) && len(v.Str()) > maxText {
			return c.Name, fmt.Sprintf("longer than %d bytes", maxText)
		}
	}
	if len(e.ID) > maxID {
		return src.EventID, fmt.Sprintf("an id of more than %d bytes", maxID)
	}
	for _, key := range src.Keys {
		var encoded []byte
		for _, column := range key {
			if e.Columns[column].IsNull() {
				encoded = nil
				break
			}
			encoded = plan.AppendCanonical(encoded, e.Columns[column])
		}
		if len(encoded) > maxKey {
			return key[0], fmt.Sprintf("a key of more than %d bytes", maxKey)
		}
	}
	return "", ""
}
