package parity_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/validate/parity"
)

// flightsDir is the example project whose definitions are replayed.
const flightsDir = "../../examples/flights"

// slice is the part of the year that is replayed: the events of two weeks, and a third
// of the flights of the last four days.
var slice = struct{ from, ask, to string }{"2013-06-22", "2013-07-02", "2013-07-06"}

// flights is the example over the slice.
func flights(t *testing.T) *project {
	t.Helper()
	data, err := filepath.Abs(filepath.Join(flightsDir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]string{"departures": "departed_at", "arrivals": "arrived_at", "cancellations": "cancelled_at", "weather": "observed_at"}
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(flightsDir, "features", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var text []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.yaml") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := string(b)
		for source, column := range times {
			s = strings.Replace(s, "from: data/"+source+".parquet", fmt.Sprintf(
				`sql: "SELECT * FROM '%s' WHERE %s >= TIMESTAMP '%s' AND %s < TIMESTAMP '%s'"`, filepath.Join(data, source+".parquet"), column, slice.from, column, slice.to), 1)
		}
		s = strings.Replace(s, "from: data/spine.parquet", fmt.Sprintf(
			`sql: "SELECT * FROM '%s' WHERE as_of >= TIMESTAMP '%s' AND as_of < TIMESTAMP '%s' AND flight %% 3 = 0 ORDER BY flight_id"`,
			filepath.Join(data, "spine.parquet"), slice.ask, slice.to), 1)
		text = append(text, s)
	}
	all := strings.Join(text, "\n---\n")
	if strings.Contains(all, "from: data/") {
		t.Fatal("a file of the example is not restricted to the slice")
	}
	defstest.Write(t, dir, all)
	return open(t, dir)
}

// For real flights and over each store, served values are equal to those in training: with some
// days of history materialized and the rest pushed event by event, and with all events pushed. With -short,
// each store has one of the two, so that both are tried.
func TestFlightsAreServedAsTrained(t *testing.T) {
	p := flights(t)
	out, m := p.train(t, true)
	set := p.plan.Training[0]
	ask, err := plan.ParseTime(slice.ask + "T00:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parity.ReadTrainingSet(t.Context(), out, m, set, ask, 0)
	if err != nil {
		t.Fatal(err)
	}
	begins, kinds := []plan.EventTime{ask, plan.Always}, 0
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		these := begins
		if testing.Short() {
			these = begins[kinds%2:][:1]
		}
		kinds++
		for _, from := range these {
			r, err := parity.Replay(t.Context(), parity.Config{Plan: p.plan, Service: set.Service, Rows: rows, History: p.history, Open: open, From: from})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range r.Differences {
				t.Errorf("%+v", d)
			}
			t.Logf("from %v: %d values compared, %+v, %v", from, r.Compared, r.Stats, r.Statuses)
			if r.Different != 0 || r.Compared < 20000 || r.Rows != len(rows) || r.Pushed == 0 || (r.Materialized == 0) != (from == plan.Always) {
				t.Errorf("%d rows, %d values compared, %d different, %+v", r.Rows, r.Compared, r.Different, r.Stats)
			}
			for _, status := range []string{"PRESENT", "EMPTY", "UNKNOWN_ENTITY", "DEFAULTED"} {
				if r.Statuses[status] == 0 {
					t.Errorf("no value is %s: %v", status, r.Statuses)
				}
			}
		}
	})
}
