package flights

import (
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/oracle"
)

// The example's own tests hold according to the oracle, independently of the engine.
func TestExpectationsHoldInTheOracle(t *testing.T) {
	for _, test := range load(t).Tests {
		events := eventsOf(t, test)
		for _, expect := range test.Expect {
			results := ask(t, test, events, expect)
			for _, f := range expect.Features {
				got := results[f.Index]
				if f.HasValue && !got.Value.Equal(f.Value) {
					t.Errorf("%s:%d: %s is %v (%s %s), want %v", f.Pos.File, f.Pos.Line, f.Name, got.Value, got.Status, got.Reason, f.Value)
				}
				if f.Status != "" && string(got.Status) != f.Status {
					t.Errorf("%s:%d: %s is %s, want %s", f.Pos.File, f.Pos.Line, f.Name, got.Status, f.Status)
				}
			}
		}
	}
}

func eventsOf(t *testing.T, test *featuredefs.Test) []oracle.Event {
	t.Helper()
	var events []oracle.Event
	for _, s := range test.Events {
		for _, row := range s.Rows {
			columns := map[string]plan.Value{}
			for i, c := range s.Source.Columns {
				columns[c.Name] = row.Values[i]
			}
			e, err := oracle.NewEvent(s.Source, columns, false)
			if err != nil {
				t.Fatalf("%s:%d: %v", row.Pos.File, row.Pos.Line, err)
			}
			events = append(events, e)
		}
	}
	return events
}

func ask(t *testing.T, test *featuredefs.Test, events []oracle.Event, expect featuredefs.Expectation) []oracle.Result {
	t.Helper()
	naive := oracle.New()
	var results []oracle.Result
	var err error
	if test.View != nil {
		results, err = naive.View(test.View, events, expect.Keys, expect.At)
	} else {
		results, err = naive.Service(test.Service, events, named(test.Service.Keys, expect.Keys), named(test.Service.Request, expect.Request), expect.At)
	}
	if err != nil {
		t.Fatalf("%s:%d: %v", expect.Pos.File, expect.Pos.Line, err)
	}
	return results
}

func named(fields []plan.Field, values []plan.Value) map[string]plan.Value {
	out := map[string]plan.Value{}
	for i, f := range fields {
		out[f.Name] = values[i]
	}
	return out
}
