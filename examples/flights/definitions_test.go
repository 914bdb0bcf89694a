package flights

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// Newcomers read this example, so it must show the properties below.
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

// README.md shows a shortened definition; it compiles over the same data.
func TestReadmeDefinitionLoads(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```yaml\n")
	shown, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("README.md shows no definition")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, featuredefs.FeaturesDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		featuredefs.ConfigFile:                                 "project: readme\n",
		filepath.Join(featuredefs.FeaturesDir, "airport.yaml"): shown,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	project := load(t)
	columns := func(source *plan.Source) ([]featuredefs.Column, error) {
		same, ok := project.Plan.Source(source.Name)
		if !ok {
			return nil, fmt.Errorf("the example has no source %s", source.Name)
		}
		var fields []featuredefs.Column
		for _, c := range same.Columns {
			fields = append(fields, featuredefs.Column{Field: c.Field})
		}
		return fields, nil
	}
	_, found, err := featuredefs.Load(dir, featuredefs.Options{Schemas: columns})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		t.Error(d)
	}
}
