package agg

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

var update = flag.Bool("update", false, "rewrite testdata/partials.golden")

// TestO2_GoldenPartials compares the encoding and value of every aggregate over fixed rows
// with recorded ones. They must be the same on every architecture, at every GOAMD64 level and
// in every later version, because stored partials are read back.
func TestO2_GoldenPartials(t *testing.T) {
	var lines []string
	for _, slot := range everySlot() {
		c := column(t, slot)
		rows := goldenRows(slot)
		got := look(slot, c, addAll(c, input(slot, rows), upTo(len(rows))))
		value := got.value.String()
		if got.fails {
			value = "error"
		}
		lines = append(lines, fmt.Sprintf("%s\n  %x\n  %s\n", name(slot), got.encoded, value))
	}
	slices.Sort(lines)
	text := strings.Join(lines, "")
	const file = "testdata/partials.golden"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("partials differ from %s; if only new aggregates do, run: go test ./internal/kernel/agg -update\n%s", file, text)
	}
}

// goldenRows are seven rows with fixed values of the slot's types.
func goldenRows(slot *plan.Slot) []row {
	rows := make([]row, 7)
	for i := range rows {
		rows[i] = row{
			t:     plan.EventTime(1735689600000000 + int64(i%3)*1_000_000),
			id:    fmt.Sprintf("e%d", i),
			group: string(rune('a' + i%2)),
		}
		if slot.Arg != nil {
			rows[i].arg = goldenValue(slot.Arg.Type, i)
		}
		if slot.By != nil {
			rows[i].by = goldenValue(slot.By.Type, i+2)
		}
	}
	return rows
}

func goldenValue(t plan.Type, i int) plan.Value {
	i %= 5
	switch t.Kind {
	case plan.Bool:
		return plan.BoolValue(i%2 == 0)
	case plan.Int:
		return plan.IntValue(int64(i*i*i) - 20)
	case plan.Uint:
		return plan.UintValue(uint64(i) << 62)
	case plan.Double:
		return plan.DoubleValue([]float64{12.34, -0.1, 1e-7, 99999.99, math.Copysign(0, -1)}[i])
	case plan.String:
		return plan.StringValue(strings.Repeat("né", i))
	case plan.Bytes:
		return plan.BytesValue([]byte{0, byte(i)})
	case plan.Timestamp:
		return plan.TimestampValue(plan.EventTime(i-2) * 86_400_000_000)
	case plan.Duration:
		return plan.DurationValue(time.Duration(i-1) * time.Minute)
	}
	if t.Kind == plan.Map {
		return plan.MapValue([]plan.Value{goldenValue(*t.Key, i)}, []plan.Value{goldenValue(*t.Elem, i)})
	}
	return plan.ListValue([]plan.Value{goldenValue(*t.Elem, i), goldenValue(*t.Elem, i+1)})
}
