package ui

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
)

// Origin is how what a page shows was found.
type Origin string

// The origins.
const (
	Served Origin = "served" // unskew parity --served
	Live   Origin = "live"   // unskew serve --parity, since the server was started
	Replay Origin = "replay" // unskew parity --replay: everything is in the comparison compute
)

// Parity is what a page of parity shows.
type Parity struct {
	Project string
	Origin  Origin
	Plan    *plan.Plan
	Reports []*recompute.Report
	Status  *recompute.ShadowStatus // of rounds, with the origin Live; nil: nothing is checked
	// Explained are explanations of differences, by ID.
	Explained map[string]Explained
	Notes     []string // what else is to know of this page, in sentences
}

// Explained is an explanation, or why there is none.
type Explained struct {
	*explain.Explanation
	Failed string
}

// ID identifies a difference among all of a project: it is short, the same in every report, and safe in a URL.
func ID(service string, e *recompute.Example) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %d %q %q %q", service, e.Feature, e.Cause, e.Comparison, e.RequestID, e.Row, e.ReadAt, e.AsOf, e.Keys))
	return fmt.Sprintf("%x", sum[:8])
}

// Find returns the difference with an ID.
func (p *Parity) Find(id string) (*recompute.Report, *recompute.Example) {
	for _, r := range p.Reports {
		for i := range r.Examples {
			if ID(r.Service, &r.Examples[i]) == id {
				return r, &r.Examples[i]
			}
		}
	}
	return nil, nil
}

// ToExplain are the IDs of the newest differences to explain, at most n: first one of each feature and cause, wrong values before others. Derived
// features, and values of which no request is known, are left out: nothing explains them.
func (p *Parity) ToExplain(n int) (ids []string) {
	type kind struct {
		service, feature string
		cause            recompute.Cause
	}
	seen := map[kind]bool{}
	var others []string
	for _, wrong := range []bool{true, false} {
		for _, r := range p.Reports {
			for i := range r.Examples {
				e := &r.Examples[i]
				if (e.Cause == recompute.Compute || e.Cause == recompute.Default) != wrong || e.RequestID == "" || !p.explains(r.Service, e.Feature) {
					continue
				}
				id, k := ID(r.Service, e), kind{r.Service, e.Feature, e.Cause}
				if seen[k] {
					others = append(others, id)
				} else {
					ids = append(ids, id)
				}
				seen[k] = true
			}
		}
	}
	ids = append(ids, others...)
	return ids[:min(n, len(ids))]
}

// explains reports whether an output of a service is a feature of a view, which can be explained, and not a derived one.
func (p *Parity) explains(service, output string) bool {
	return p.Plan != nil && slices.ContainsFunc(p.Plan.Services, func(s *plan.Service) bool {
		return s.Name == service && slices.ContainsFunc(s.Features, func(f plan.ServiceFeature) bool { return f.Name == output })
	})
}

// command is what explains a difference on the command line; "" if nothing does.
func (p *Parity) command(service string, e *recompute.Example) string {
	if e.RequestID == "" || !p.explains(service, e.Feature) {
		return ""
	}
	text := fmt.Sprintf("unskew explain %s --request %s", e.Feature, e.RequestID)
	if e.Row > 0 {
		text += fmt.Sprintf(" --row %d", e.Row)
	}
	return text
}
