package parity

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/recompute"
)

// A replay is counted by feature, day and hour; of each feature the newest differences are kept.
func TestDetail(t *testing.T) {
	day := plan.EventTime(plan.Day)
	s := &plan.Service{Name: "s", Keys: []plan.Field{{Name: "id"}}, Features: []plan.ServiceFeature{{Name: "v.a"}, {Name: "v.b"}},
		Views: []plan.ViewRef{{As: "v", View: &plan.View{Features: []*plan.Feature{{Name: "a", Type: plan.Type{Kind: plan.Double}}}}}}}
	d := NewDetail(s)
	one := Cell{plan.DoubleValue(1), kernel.Present}
	for i := range 10 {
		got := []Cell{one, {plan.DoubleValue(float64(1 + i%2)), kernel.Present}}
		d.Observe(Row{Number: i, At: plan.EventTime(i) * day / 4, Keys: []plan.Value{plan.IntValue(int64(i))}, Want: []Cell{one, one}}, got)
	}
	r := d.Report()
	if r.Rows != 10 || r.Compute.Compared != 20 || r.Compute.Different != 5 || r.Compute.Causes[recompute.Compute] != 5 || len(r.Days) != 3 || len(r.Hours) != 10 || r.Days[0].From != "1970-01-01" || r.Days[0].Compute.Compared != 8 {
		t.Errorf("%+v", r)
	}
	if a, b := r.Features[0].Compute, r.Features[1].Compute; a.Different != 0 || b.Different != 5 || b.Compared != 10 {
		t.Errorf("%+v %+v", a, b)
	}
	if len(r.Examples) != examplesOfEach || r.Examples[0].Row != 9 || r.Examples[0].Keys != "id=9" || r.Examples[0].Served.Bits != "4000000000000000" || r.Examples[0].Want.Bits != "3ff0000000000000" {
		t.Errorf("%+v", r.Examples)
	}
	if empty := NewDetail(s).Report(); empty.Rows != 0 || empty.First != "" || len(empty.Features) != 2 {
		t.Errorf("%+v", empty)
	}
}
