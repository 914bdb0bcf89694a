package recompute_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/unskew/unskew/internal/recompute"
)

var update = flag.Bool("update", false, "write the tables of docs/parity.md")

// The page that people read and the pages that the program makes say the same of a cause.
func TestCausesAreDocumented(t *testing.T) {
	const path = "../../docs/parity.md"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(old)
	for name, table := range recompute.Documented() {
		begin := fmt.Sprintf("<!-- %s: go test ./internal/recompute -update -->\n", name)
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, "<!-- end -->\n")
		if !ok || !closed {
			t.Fatalf("%s has no place for the %s", path, name)
		}
		text = before + begin + table + "<!-- end -->\n" + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(old) {
		t.Error("docs/parity.md does not say what the program does; run: go test ./internal/recompute -update")
	}
}
