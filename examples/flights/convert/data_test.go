package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

const dataDir = "../data"

var dataFiles = []string{"departures.parquet", "arrivals.parquet", "cancellations.parquet", "weather.parquet", "spine.parquet"}

// parquetTable is a file of the example's data read whole.
type parquetTable struct{ arrow.Table }

func readTable(t *testing.T, name string) parquetTable {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir, name))
	if err != nil {
		t.Fatal(err)
	}
	table, err := pqarrow.ReadTable(context.Background(), f, parquet.NewReaderProperties(memory.DefaultAllocator),
		pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(table.Release)
	return parquetTable{table}
}

func columnOf[A arrow.Array](t *testing.T, table parquetTable, name string) []A {
	t.Helper()
	i := table.Schema().FieldIndices(name)
	if len(i) != 1 {
		t.Fatalf("no column %s in %v", name, table.Schema())
	}
	var out []A
	for _, chunk := range table.Column(i[0]).Data().Chunks() {
		out = append(out, chunk.(A))
	}
	return out
}

func (p parquetTable) texts(t *testing.T, name string) []string {
	var out []string
	for _, a := range columnOf[*array.String](t, p, name) {
		for i := range a.Len() {
			out = append(out, a.Value(i))
		}
	}
	return out
}

func (p parquetTable) times(t *testing.T, name string) []time.Time {
	var out []time.Time
	for _, a := range columnOf[*array.Timestamp](t, p, name) {
		for i := range a.Len() {
			out = append(out, a.Value(i).ToTime(arrow.Microsecond))
		}
	}
	return out
}

func (p parquetTable) bools(t *testing.T, name string) []bool {
	var out []bool
	for _, a := range columnOf[*array.Boolean](t, p, name) {
		for i := range a.Len() {
			out = append(out, a.Value(i))
		}
	}
	return out
}

func (p parquetTable) nulls(t *testing.T, name string) int {
	n := 0
	for _, a := range columnOf[arrow.Array](t, p, name) {
		n += a.NullN()
	}
	return n
}

func TestCommittedRowsAddUp(t *testing.T) {
	departures, arrivals, cancellations := readTable(t, "departures.parquet"), readTable(t, "arrivals.parquet"), readTable(t, "cancellations.parquet")
	spine, weather := readTable(t, "spine.parquet"), readTable(t, "weather.parquet")
	if departures.NumRows()+cancellations.NumRows() != spine.NumRows() {
		t.Errorf("%d departures and %d cancellations are not the %d flights of the spine", departures.NumRows(), cancellations.NumRows(), spine.NumRows())
	}
	late := 0
	for _, l := range spine.bools(t, "late_or_cancelled") {
		if l {
			late++
		}
	}
	text, err := os.ReadFile(filepath.Join(dataDir, "DATA.md"))
	if err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]int64{
		"scheduled flights":                                                    spine.NumRows(),
		"– departed":                                                           departures.NumRows(),
		"– cancelled (no departure time)":                                      cancellations.NumRows(),
		"departed flights that arrived":                                        arrivals.NumRows(),
		"cancelled flights without a tail number":                              int64(cancellations.nulls(t, "tailnum")),
		"departed flights without a tail number":                               int64(departures.nulls(t, "tailnum")),
		"departed flights that never reached their destination":                departures.NumRows() - arrivals.NumRows(),
		"arrivals without a delay (diverted), taken from the clock time":       int64(arrivals.nulls(t, "arr_delay")),
		"late or cancelled (the label), flights that never arrived among them": int64(late),
		"hours of weather":                                                     weather.NumRows(),
	} {
		if row := fmt.Sprintf("| %s | %d |\n", what, n); !strings.Contains(string(text), row) {
			t.Errorf("DATA.md does not say %q", row)
		}
	}
}

func TestCommittedEventsAreOrderedAndUnique(t *testing.T) {
	for file, names := range map[string][2]string{
		"departures.parquet": {"event_id", "departed_at"}, "arrivals.parquet": {"event_id", "arrived_at"},
		"cancellations.parquet": {"event_id", "cancelled_at"}, "weather.parquet": {"event_id", "observed_at"}, "spine.parquet": {"flight_id", "as_of"},
	} {
		table := readTable(t, file)
		ids, times := table.texts(t, names[0]), table.times(t, names[1])
		seen := make(map[string]bool, len(ids))
		for i, id := range ids {
			if seen[id] {
				t.Fatalf("%s: id %s twice", file, id)
			}
			seen[id] = true
			if i > 0 && times[i].Before(times[i-1]) {
				t.Fatalf("%s: row %d is earlier than the one before it", file, i)
			}
		}
	}
}

// A flight arrives after it departed, and its outcome was unknown at the time of the
// prediction.
func TestW3_OutcomesAreKnownAfterThePrediction(t *testing.T) {
	spine, arrivals, departures := readTable(t, "spine.parquet"), readTable(t, "arrivals.parquet"), readTable(t, "departures.parquet")
	asOf := timesByID(t, spine, "flight_id", "as_of")
	labelled := timesByID(t, spine, "flight_id", "label_known_at")
	left := timesByID(t, departures, "event_id", "departed_at")
	for id, at := range asOf {
		if !labelled[id].After(at) {
			t.Fatalf("the label of %s is known at %v, the prediction is made at %v", id, labelled[id], at)
		}
		if d, ok := left[id]; ok && !d.After(at) {
			t.Fatalf("flight %s left at %v, before its prediction at %v", id, d, at)
		}
	}
	for id, at := range timesByID(t, arrivals, "event_id", "arrived_at") {
		if !at.After(left[id]) {
			t.Fatalf("flight %s left at %v and arrived at %v", id, left[id], at)
		}
		if !labelled[id].Equal(at) {
			t.Fatalf("flight %s arrived at %v, its label is known at %v", id, at, labelled[id])
		}
	}
}

func timesByID(t *testing.T, table parquetTable, id, at string) map[string]time.Time {
	ids, times := table.texts(t, id), table.times(t, at)
	out := make(map[string]time.Time, len(ids))
	for i := range ids {
		out[ids[i]] = times[i]
	}
	return out
}

func TestCommittedDataIsSmall(t *testing.T) {
	var total int64
	for _, name := range dataFiles {
		info, err := os.Stat(filepath.Join(dataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 9<<20 {
		t.Errorf("the data is %d bytes; it should stay below 9 MiB", total)
	}
}
