// Package golden runs the tests that authors write for their definitions
// (kind: FeatureTest) on every path that computes features: the oracle, the replay
// that builds training sets, and the online path over each store.
package golden

import (
	"context"
	"fmt"
	"strings"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/validate/parity"
)

// Path is a way to compute features. Read returns, for each expectation of a test, a cell for
// each output of the test's service.
type Path struct {
	Name string
	Read func(ctx context.Context, t *Case) ([][]Cell, error)
}

// Cell is a value with its status and, if the path knows it, the reason for an error or the
// events that were left out.
type Cell struct {
	parity.Cell
	Reason string
}

// Case is a test as a test of a service, which all paths take.
type Case struct {
	Test    *featuredefs.Test
	Plan    *plan.Plan
	Service *plan.Service
	Rows    []parity.Row // one per expectation, without Want
}

// Failure is an expectation that a path did not meet.
type Failure struct {
	Path    string `json:"path"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Feature string `json:"feature,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (f Failure) String() string {
	where := fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Path)
	if f.Error != "" {
		return where + ": " + f.Error
	}
	text := fmt.Sprintf("%s: %s is %s, expected %s", where, f.Feature, f.Got, f.Want)
	if f.Reason != "" {
		text += ": " + f.Reason
	}
	return text
}

// Result counts what was checked.
type Result struct {
	Tests    int       `json:"tests"`
	Values   int       `json:"values"` // expected values, counted once per path
	Failures []Failure `json:"failures"`
}

// Run runs the tests on all paths.
func Run(ctx context.Context, p *featuredefs.Project, paths []Path) (*Result, error) {
	r := &Result{Failures: []Failure{}}
	for _, t := range p.Tests {
		r.Tests++
		c := newCase(p.Plan, t)
		for _, path := range paths {
			got, err := path.Read(ctx, c)
			if ctx.Err() != nil {
				return r, ctx.Err()
			}
			if err != nil {
				r.Failures = append(r.Failures, Failure{Path: path.Name, File: t.Pos.File, Line: t.Pos.Line, Error: err.Error()})
				continue
			}
			r.check(path.Name, t, got)
		}
	}
	return r, nil
}

// newCase converts a test to one of a service: a view becomes a service with its features.
func newCase(p *plan.Plan, t *featuredefs.Test) *Case {
	c := &Case{Test: t, Plan: p, Service: t.Service}
	if t.Service == nil {
		c.Service = serviceOf(t.View)
	}
	for i, e := range t.Expect {
		c.Rows = append(c.Rows, parity.Row{Number: i, At: e.At, Keys: e.Keys, Request: e.Request})
	}
	return c
}

func serviceOf(v *plan.View) *plan.Service {
	s := &plan.Service{Name: v.Name, Keys: v.Entity.Keys, Fingerprint: v.Fingerprint}
	ref := plan.ViewRef{View: v, As: v.Name}
	for _, k := range v.Entity.Keys {
		ref.Keys = append(ref.Keys, k.Name)
	}
	s.Views = []plan.ViewRef{ref}
	for i, f := range v.Features {
		s.Features = append(s.Features, plan.ServiceFeature{Name: v.Name + "." + f.Name, Feature: i})
	}
	return s
}

func (r *Result) check(path string, t *featuredefs.Test, got [][]Cell) {
	for i, e := range t.Expect {
		for _, f := range e.Features {
			r.Values++
			cell := got[i][f.Index]
			if want, ok := meets(f, cell.Cell); !ok {
				r.Failures = append(r.Failures, Failure{
					Path: path, File: f.Pos.File, Line: f.Pos.Line, Feature: f.Name, Want: want, Got: cell.String(), Reason: cell.Reason,
				})
			}
		}
	}
}

// meets compares a cell with an expectation, doubles bit by bit. An expected null without a
// status accepts both EMPTY and UNKNOWN_ENTITY.
func meets(f featuredefs.ExpectedFeature, c parity.Cell) (want string, ok bool) {
	var parts []string
	ok = true
	if f.HasValue {
		parts = append(parts, f.Value.String())
		ok = c.Value.Equal(f.Value)
	}
	status := c.Status.String()
	switch {
	case f.Status != "":
		parts = append(parts, "("+f.Status+")")
		ok = ok && status == f.Status
	case f.HasValue && f.Value.IsNull():
		parts = append(parts, "(EMPTY or UNKNOWN_ENTITY)")
		ok = ok && (status == "EMPTY" || status == "UNKNOWN_ENTITY")
	}
	return strings.Join(parts, " "), ok
}
