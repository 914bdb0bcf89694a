package kernel_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

var freeze = flag.String("freeze", "", "write testdata/frozen/`NAME`, which must not exist, with states as they are encoded now")

// TestFrozenStatesAreRead decodes states that an earlier version wrote, and compares what is
// read from them with what was read then. Before a release, freeze new formats. A format that
// is no longer read must be refused by name, and its file is deleted.
func TestFrozenStatesAreRead(t *testing.T) {
	k := spendingView(t)
	if *freeze != "" {
		freezeStates(t, k, filepath.Join("testdata", "frozen", *freeze))
	}
	files, err := filepath.Glob("testdata/frozen/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no frozen states: %v", err)
	}
	for _, file := range files {
		var format byte
		if _, err := fmt.Sscanf(filepath.Base(file), "format-%d", &format); err != nil {
			t.Fatalf("%s is not named format-N: %v", file, err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			encoded, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			body, err := hex.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			for name, decode := range map[string]func(*kernel.State, []byte) error{"decoded": (*kernel.State).Decode, "loaded": (*kernel.State).Load} {
				s := k.NewState()
				if err := decode(s, sealedAs(k, format, body)); err != nil {
					t.Errorf("%s: %.200s: %v", file, encoded, err)
					continue
				}
				if got := readings(k, s); got != want {
					t.Errorf("%s, %s: from %s\nit reads\n%s\nwant\n%s", file, name, encoded, got, want)
				}
			}
		}
	}
}

// readings are all features right after the state's newest time, an hour and a week later.
func readings(k *kernel.View, s *kernel.State) string {
	var out []string
	newest := max(s.Newest(), 0) + 1
	for _, later := range []plan.Micros{0, plan.Hour, 7 * plan.Day} {
		f := k.Read([]*kernel.State{s}, []plan.EventTime{newest + plan.EventTime(later)})
		for _, c := range f.Cols {
			out = append(out, fmt.Sprintf("%s:%x", c.Status[0], plan.AppendCanonical(nil, c.Vec.Value(0))))
		}
	}
	return strings.Join(out, " ")
}

// freezeStates writes states of few and many events, some of them pending.
func freezeStates(t *testing.T, k *kernel.View, file string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		t.Fatalf("%s is frozen already", file)
	}
	var b strings.Builder
	for _, n := range []int{0, 1, 2, 5, 12, 24} {
		for _, horizon := range []plan.Micros{5 * plan.Day, 30 * plan.Day} {
			s := k.NewState()
			apply(k, s, payments(k, n, uint64(n)), plan.EventTime(horizon))
			encoded := s.Append(nil)
			body := encoded[header : len(encoded)-checksum]
			fmt.Fprintf(&b, "%x\t%s\n", body, readings(k, s))
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
