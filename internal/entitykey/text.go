package entitykey

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// shownBytes is how much is shown of a key that cannot be decoded.
const shownBytes = 32

// Text is a key of e for people, as user_id=42 country=DE; "" for an empty key, and the first bytes of a key that was truncated.
func Text(e *plan.Entity, key []byte) string {
	if len(key) == 0 {
		return ""
	}
	values, err := Decode(key, e.Keys)
	if err != nil {
		return "key " + hex.EncodeToString(key[:min(len(key), shownBytes)]) + "…"
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = fmt.Sprintf("%s=%v", e.Keys[i].Name, v)
	}
	return strings.Join(parts, " ")
}
