package agg

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

var freeze = flag.String("freeze", "", "write testdata/frozen/`NAME`, which must not exist, with partials as they are encoded now")

// TestFrozenPartialsAreRead decodes partials that an earlier version wrote: each has the
// value that it had then and, as long as its layout has not been replaced, is encoded to the
// same bytes. Before a release, freeze new aggregates.
func TestFrozenPartialsAreRead(t *testing.T) {
	if *freeze != "" {
		freezePartials(t, filepath.Join("testdata", "frozen", *freeze))
	}
	files, err := filepath.Glob("testdata/frozen/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no frozen partials: %v", err)
	}
	slots := map[string]*plan.Slot{}
	for _, s := range everySlot() {
		slots[name(s)] = s
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			slot, encoded, value := cutLine(t, line)
			if slots[slot] == nil {
				t.Fatalf("%s: there is no aggregate %s any more", file, slot)
			}
			checkFrozen(t, slots[slot], encoded, value)
		}
	}
}

func cutLine(t *testing.T, line string) (slot string, encoded []byte, value string) {
	t.Helper()
	parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
	if len(parts) != 3 {
		t.Fatalf("not a frozen partial: %q", line)
	}
	b, err := hex.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return parts[0], b, parts[2]
}

func checkFrozen(t *testing.T, slot *plan.Slot, encoded []byte, value string) {
	t.Helper()
	c := column(t, slot)
	c.Grow(1)
	rest, err := c.Decode(0, encoded)
	if err != nil || len(rest) != 0 {
		t.Errorf("%s: %d bytes of %x are left, %v", name(slot), len(rest), encoded, err)
		return
	}
	got := look(slot, c, 0)
	if shown(got) != value {
		t.Errorf("%s: %x has become %s, it was %s", name(slot), encoded, shown(got), value)
	}
	if hex.EncodeToString(got.encoded) != hex.EncodeToString(encoded) {
		t.Errorf("%s: %x is written again as %x", name(slot), encoded, got.encoded)
	}
}

// shown is a value as one line.
func shown(o outcome) string {
	if o.fails {
		return "error"
	}
	return fmt.Sprintf("%x", plan.AppendCanonical(nil, o.value))
}

// freezePartials writes empty partials, partials of random rows that include edge cases, and
// partials of many rows.
func freezePartials(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		t.Fatalf("%s is frozen already", file)
	}
	var b strings.Builder
	for _, slot := range everySlot() {
		c := column(t, slot)
		for seed := range 6 {
			rows := rowsOf(slot, 16).Example(seed)
			if seed == 0 {
				rows = nil
			}
			got := look(slot, c, addAll(c, input(slot, rows), upTo(len(rows))))
			fmt.Fprintf(&b, "%s\t%x\t%s\n", name(slot), got.encoded, shown(got))
		}
		if (slot.Func == plan.ApproxDistinct || slot.Func == plan.ApproxQuantile) && slot.Arg.Type.Kind == plan.Int {
			got := look(slot, c, manyRows(c))
			fmt.Fprintf(&b, "%s\t%x\t%s\n", name(slot), got.encoded, shown(got))
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// manyRows adds 6,000 different ints, so many that a sketch is no longer a list.
func manyRows(c Column) int {
	slot := slotOf(plan.ApproxDistinct, plan.T(plan.Int))
	rows := make([]row, 6000)
	for i := range rows {
		rows[i].arg = plan.IntValue(int64(mix(uint64(i)) >> 20))
	}
	return addAll(c, input(slot, rows), upTo(len(rows)))
}
