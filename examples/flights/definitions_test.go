package flights

import (
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

func load(t *testing.T) *featuredefs.Project {
	t.Helper()
	project, found, err := featuredefs.Load(".", featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
	return project
}

func TestDefinitionsLoad(t *testing.T) {
	project := load(t)
	for _, c := range []struct {
		what string
		got  int
		want int
	}{
		{"entities", len(project.Plan.Entities), 4},
		{"sources", len(project.Plan.Sources), 4},
		{"views", len(project.Plan.Views), 8},
		{"services", len(project.Plan.Services), 1},
		{"training sets", len(project.Plan.Training), 1},
		{"tests", len(project.Tests), 7},
	} {
		if c.got != c.want {
			t.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
}

// Newcomers read this example; the properties below are what it promises to show.
func TestDefinitionsShowTheLanguage(t *testing.T) {
	project := load(t)
	service, ok := project.Plan.Service("delay_v1")
	if !ok {
		t.Fatal("no service delay_v1")
	}
	if n := len(service.Outputs()); n != 70 {
		t.Errorf("the service has %d features; README.md says 70", n)
	}
	used := map[plan.AggFunc]bool{}
	optional, defaulted, grouped, filtered := 0, 0, 0, 0
	for _, v := range project.Plan.Views {
		for _, s := range v.Slots {
			used[s.Func] = true
			if s.Group != nil {
				grouped++
			}
			if s.Filter != nil {
				filtered++
			}
		}
		for _, f := range v.Features {
			if f.Default != nil {
				defaulted++
			} else if f.Expr.Type.Kind == plan.Optional {
				optional++
			}
		}
	}
	for _, f := range []plan.AggFunc{
		plan.Count, plan.Sum, plan.Mean, plan.StddevSamp, plan.Min, plan.Max, plan.Latest, plan.Earliest, plan.LatestN,
		plan.LatestTime, plan.MaxBy, plan.DistinctCount, plan.ApproxQuantile, plan.TopK, plan.Any,
	} {
		if !used[f] {
			t.Errorf("no feature uses %s", f)
		}
	}
	if optional == 0 || defaulted == 0 || grouped == 0 || filtered == 0 {
		t.Errorf("%d optional features, %d with a default, %d grouped and %d filtered slots; want some of each", optional, defaulted, grouped, filtered)
	}
}
