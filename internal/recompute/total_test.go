package recompute

import (
	"fmt"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

// A sum has all counts of its parts, which stay as they were, and of examples the newest of each kind; a wrong value is not
// displaced by others.
func TestReportsAddUp(t *testing.T) {
	tally := func(compared, different int64, cause Cause) Tally {
		return Tally{Compared: compared, Different: different, Causes: map[Cause]int64{cause: different}}
	}
	part := func(at int, n int64) *Report {
		day, hour := fmt.Sprintf("2025-03-%02d", at), fmt.Sprintf("2025-03-%02dT07:00:00Z", at)
		r := &Report{
			Service: "s", Fingerprint: fmt.Sprint(at), Rows: n, OneIn: at, First: hour, Last: hour, NotInData: 1, NotComputed: map[Reason]int64{trimmed: n},
			Compute: tally(n, 0, Compute), Data: tally(n, 2, Lag), Days: []Period{{From: day, Data: tally(n, 2, Lag)}}, Hours: []Period{{From: hour, Data: tally(n, 2, Lag)}},
			Features: []Feature{{Name: "f", Data: tally(n, 2, Lag), Statuses: map[string]int64{"A → B": 2}, Distance: &Distance{Values: 2, Mean: 1, Max: 3, sum: 2}, Days: []Period{{From: day, Data: tally(n, 2, Lag)}}}},
		}
		for i := range 5 {
			r.Examples = append(r.Examples, Example{Feature: fmt.Sprint("f", i), Cause: Lag, Comparison: "data", at: plan.EventTime(at)})
		}
		return r
	}
	a, b := part(1, 10), part(2, 20)
	a.Examples = append(a.Examples, Example{Feature: "f", Cause: Compute, Comparison: "compute", at: 0})
	for i := range 60 {
		b.Examples = append(b.Examples, Example{Feature: fmt.Sprint("g", i), Cause: Lag, Comparison: "data", at: 2})
	}
	for range 2 { // the parts are as they were
		got := a.plus(b)
		if got.Rows != 30 || got.OneIn != 2 || got.Fingerprint != "2" || got.First != a.First || got.Last != b.Last || got.NotInData != 2 || got.NotComputed[trimmed] != 30 {
			t.Errorf("%+v", got)
		}
		if got.Data.Compared != 30 || got.Data.Causes[Lag] != 4 || len(got.Days) != 2 || len(got.Hours) != 2 || got.Days[1].Data.Compared != 20 {
			t.Errorf("%+v", got)
		}
		f := got.Features[0]
		if len(got.Features) != 1 || f.Data.Causes[Lag] != 4 || f.Statuses["A → B"] != 4 || f.Distance.Values != 4 || f.Distance.Mean != 1 || len(f.Days) != 2 {
			t.Errorf("%+v", f)
		}
		if n := len(got.Examples); n != shownExamples || got.Examples[n-1].Cause != Compute || got.Examples[0].at != 2 {
			t.Errorf("%d examples, the last %+v", n, got.Examples[n-1])
		}
	}
	all := a
	for range 2 * keptFeatureDays {
		all = all.plus(b)
	}
	if len(all.Examples) > shownExamples || len(all.Days) != 2 || all.Data.Compared != 10+20*2*keptFeatureDays {
		t.Errorf("%+v", all)
	}
	for i := range 2 * keptFeatureDays {
		next := part(1, 1)
		next.Features[0].Days[0].From = fmt.Sprintf("2025-04-%03d", i)
		all = all.plus(next)
	}
	if days := all.Features[0].Days; len(days) != keptFeatureDays || days[len(days)-1].From != fmt.Sprintf("2025-04-%03d", 2*keptFeatureDays-1) {
		t.Errorf("%d days", len(days))
	}
}
