package explain

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLongTextsAreCut(t *testing.T) {
	for text, want := range map[string]string{
		"short":                           "short",
		strings.Repeat("a", shownBytes):   strings.Repeat("a", shownBytes),
		strings.Repeat("a", shownBytes+1): strings.Repeat("a", shownBytes) + "…",
		"a" + strings.Repeat("é", 1000):   "a" + strings.Repeat("é", (shownBytes-1)/2) + "…",
	} {
		if got := shown(text); got != want || !utf8.ValidString(got) {
			t.Errorf("%d bytes are shown as %q", len(text), got)
		}
	}
}
