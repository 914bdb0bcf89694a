package ui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/recompute"
)

// page is the data of the templates.
type page struct {
	Title, Project string
	Origin         Origin
	Style, Script  asset
	Policy         string // of the content, if the page says it itself
	File           bool   // one file, without other pages

	Service  string // "": all
	Services []*recompute.Report
	Status   *recompute.ShadowStatus
	Notes    []string
	Findings []finding
	Total    total
	By       string // "hour" or "day"
	Periods  []recompute.Period
	Causes   []causeCount
	Features []featureRow
	Pager    pager
	Missing  []missing
	Entities []recompute.Entity

	Differences []*difference
	One         *difference // the only one that the page is about
}

// total is what all services have together.
type total struct {
	Rows          int64
	Compute, Data recompute.Tally
}

// finding is a sentence at the top.
type finding struct{ Class, Title, Text string }

type causeCount struct {
	Cause   recompute.Cause
	N       int64
	Meaning *recompute.Meaning
}

type missing struct {
	recompute.Missing
	N int64
}

type featureRow struct {
	Service string
	*recompute.Feature
}

// main is the tally that says most of a feature: with training, or the only one there is.
func (p *page) main(compute, data *recompute.Tally) *recompute.Tally {
	if p.Origin == Replay {
		return compute
	}
	return data
}

// difference is a value that differs, with all that is known of it.
type difference struct {
	ID, Service string
	*recompute.Example
	Meaning *recompute.Meaning
	Command string
	Live    bool // the server can explain it
	*Explained
}

// meaningOf is what a cause means.
func meaningOf(c recompute.Cause) *recompute.Meaning {
	i := slices.IndexFunc(recompute.Meanings, func(m recompute.Meaning) bool { return m.Cause == c })
	if i < 0 {
		return &recompute.Meaning{Cause: c}
	}
	return &recompute.Meanings[i]
}

// overview is the data of a page about all, or one, of the services.
func (p *Parity) overview(service string) *page {
	out := &page{Title: "Parity", Project: p.Project, Origin: p.Origin, Status: p.Status, Notes: p.Notes, Service: service}
	left := map[recompute.Reason]int64{}
	hours := true
	for _, r := range p.Reports {
		hours = hours && (len(r.Hours) > 0 || r.Rows == 0)
	}
	var periods []recompute.Period
	for _, r := range p.Reports {
		if service != "" && r.Service != service {
			continue
		}
		out.Services = append(out.Services, r)
		out.Total.Rows += r.Rows
		out.Total.Compute.Add(&r.Compute)
		out.Total.Data.Add(&r.Data)
		for why, n := range r.NotComputed {
			left[why] += n
		}
		of := r.Days
		if hours {
			of = r.Hours
		}
		periods = recompute.AddPeriods(periods, of)
		for i := range r.Features {
			out.Features = append(out.Features, featureRow{r.Service, &r.Features[i]})
		}
		for i := range r.Examples {
			out.Differences = append(out.Differences, p.difference(r, &r.Examples[i]))
		}
		out.Entities = append(out.Entities, r.Entities...)
	}
	out.Periods, out.By = periods[max(0, len(periods)-shownPeriods):], "day"
	if hours {
		out.By = "hour"
	}
	slices.SortStableFunc(out.Features, func(a, b featureRow) int {
		return cmp.Or(-cmp.Compare(a.wrong(), b.wrong()), cmp.Compare(out.main(&a.Compute, &a.Data).Rate(), out.main(&b.Compute, &b.Data).Rate()), cmp.Compare(a.Compute.Rate(), b.Compute.Rate()), cmp.Compare(a.Service, b.Service))
	})
	slices.SortStableFunc(out.Differences, func(a, b *difference) int { return cmp.Compare(b.ReadAt, a.ReadAt) })
	for _, why := range slices.Sorted(maps.Keys(left)) {
		m := recompute.Missing{Reason: why}
		if i := slices.IndexFunc(recompute.Missings, func(m recompute.Missing) bool { return m.Reason == why }); i >= 0 {
			m = recompute.Missings[i]
		}
		out.Missing = append(out.Missing, missing{m, left[why]})
	}
	out.Causes = sorted(mostOf(&out.Total.Compute, &out.Total.Data))
	out.Findings = out.findings()
	return out
}

// shownPeriods bounds the rows of the table over time.
const shownPeriods = 400

func (f *featureRow) wrong() int64 {
	return f.Compute.Causes[recompute.Compute] + f.Compute.Causes[recompute.Default]
}

func (p *Parity) difference(r *recompute.Report, e *recompute.Example) *difference {
	d := &difference{ID: ID(r.Service, e), Service: r.Service, Example: e, Meaning: meaningOf(e.Cause), Command: p.command(r.Service, e)}
	if x, ok := p.Explained[d.ID]; ok {
		d.Explained = &x
	}
	return d
}

// findings says in a few sentences what was found.
func (p *page) findings() (out []finding) {
	t := &p.Total
	wrong := t.Compute.Causes[recompute.Compute] + t.Compute.Causes[recompute.Default]
	switch {
	case t.Compute.Compared+t.Data.Compared == 0:
		return nil
	case p.Origin == Replay && t.Compute.Different > 0:
		return []finding{{"alarm", "Served values are not those of the training set", fmt.Sprintf("%s of %s values that were served in the replay differ. Nothing explains that: it is a bug.", count(t.Compute.Different), count(t.Compute.Compared))}}
	case p.Origin == Replay:
		return []finding{{"good", "Equal in every bit", fmt.Sprintf("All %s values that were served in the replay are those of the training set.", count(t.Compute.Compared))}}
	case wrong > 0:
		out = append(out, finding{"alarm", "Wrong values were served", fmt.Sprintf("%s of %s values cannot be had from the events behind them. This is a bug or damage, not late data: open one below.", count(wrong), count(t.Compute.Compared))})
	case t.Compute.Different > 0:
		out = append(out, finding{"warning", "Compute parity has differences", fmt.Sprintf("%s of %s values are not those of the events that had been applied, for a reason outside of the program: %s.", count(t.Compute.Different), count(t.Compute.Compared), listed(&t.Compute))})
	case t.Compute.Compared > 0:
		out = append(out, finding{"good", "Compute parity holds", fmt.Sprintf("All %s values are, bit for bit, those of exactly the events that had been applied.", count(t.Compute.Compared))})
	}
	switch {
	case t.Data.Compared == 0:
	case t.Data.Different == 0:
		out = append(out, finding{"good", "Training sees the same", fmt.Sprintf("All %s served values are those that training sees.", count(t.Data.Compared))})
	default:
		out = append(out, finding{"warning", t.Data.Percent() + " of the served values are what training sees", fmt.Sprintf("%s of %s are not: %s. This is the skew that a model meets.", count(t.Data.Different), count(t.Data.Compared), listed(&t.Data))})
	}
	return out
}

// listed lists the causes of a tally, the most frequent first.
func listed(t *recompute.Tally) string {
	var parts []string
	for _, c := range sorted(t) {
		parts = append(parts, fmt.Sprintf("%s %s", c.Cause, count(c.N)))
	}
	return strings.Join(parts, ", ")
}

// sorted are the causes of a tally, the most frequent first.
func sorted(t *recompute.Tally) (out []causeCount) {
	for c, n := range t.Causes {
		out = append(out, causeCount{c, n, meaningOf(c)})
	}
	slices.SortFunc(out, func(a, b causeCount) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Cause, b.Cause)) })
	return out
}

// mostOf is, of each cause, the larger number of two tallies: a wrong value is in both.
func mostOf(a, b *recompute.Tally) *recompute.Tally {
	out := &recompute.Tally{Causes: maps.Clone(a.Causes)}
	if out.Causes == nil {
		out.Causes = map[recompute.Cause]int64{}
	}
	for c, n := range b.Causes {
		out.Causes[c] = max(out.Causes[c], n)
	}
	return out
}

// pager is which rows of the table of features are shown.
type pager struct {
	Query       string
	Page, Pages int // from 1
	Rows, All   int
}

// Limits of the table of features.
const (
	pageRows = 100
	fileRows = 5000
)

// features leaves a page of the features whose names have a text.
func (p *page) features(query string, number, rows int) {
	all := len(p.Features)
	if query != "" {
		want := strings.ToLower(query)
		p.Features = slices.DeleteFunc(p.Features, func(f featureRow) bool { return !strings.Contains(strings.ToLower(f.Name), want) })
	}
	pages := max(1, (len(p.Features)+rows-1)/rows)
	number = min(max(number, 1), pages)
	p.Pager = pager{query, number, pages, len(p.Features), all}
	p.Features = p.Features[(number-1)*rows : min(number*rows, len(p.Features))]
}
