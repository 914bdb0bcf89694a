package report

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of findings.
const (
	alarmAUC         = "auc"
	alarmInformation = "mutual_information"
	noteNoValue      = "no_value"
	noteConstant     = "constant"
	noteErrors       = "errors"
	noteShared       = "shared_entities"
	noteColdStart    = "cold_start"
)

// What makes a share of rows worth a note.
const (
	mostWithoutValue = 0.99
	mostErrors       = 0.01
	mostColdStart    = 0.2
	mostShared       = 0.2
	// fewestConstant is on how many rows a constant is worth a note.
	fewestConstant = 100
)

// Finish adds what was counted of the features, and what of all a person should look at. The
// parts, the label, the times and the entities are there already.
func (r *Report) Finish(c *Counts) {
	var parts []string
	for i := range r.Parts {
		parts = append(parts, r.Parts[i].Name)
		r.Rows += r.Parts[i].Rows.Rows
	}
	r.Format, r.Alarms, r.Notes = Format, []Finding{}, []Finding{}
	for i := range c.shape.Outputs {
		f, a := c.feature(i, parts, r.Label != nil && r.Label.Ordered)
		r.Features = append(r.Features, f)
		if kind := a.tooGood(); kind != "" {
			r.Alarms = append(r.Alarms, r.alarm(&f, kind))
		}
		r.Notes = append(r.Notes, f.notes()...)
	}
	r.Notes = append(r.Notes, r.coldStarts(c)...)
	r.Notes = append(r.Notes, r.sharedEntities()...)
}

func (r *Report) alarm(f *Feature, kind string) Finding {
	text := fmt.Sprintf("by itself it ranks the rows by %s with an AUC of %.3f (at least %.3f, where %.2f is too good to be true)", r.Label.Column, f.AUC, f.AUCLower, tooGoodAUC)
	if kind == alarmInformation {
		text = fmt.Sprintf("by itself it gives %.0f %% of the information about %s (at least %.0f %%, where %.0f %% is too good to be true)",
			100*f.Information, r.Label.Column, 100*f.InformationLower, 100*tooGoodInformation)
	}
	return Finding{kind, f.Name, f.Definition, text + "; check that its inputs are known before the outcome is"}
}

// notes are about a feature that is of little use to a model.
func (f *Feature) notes() (out []Finding) {
	note := func(kind, text string, a ...any) {
		out = append(out, Finding{kind, f.Name, f.Definition, fmt.Sprintf(text, a...)})
	}
	switch {
	case f.Rates.Rows == 0:
	case f.NullRate > mostWithoutValue:
		note(noteNoValue, "it has no value on %s of the rows", percent(f.NullRate))
	case f.NullRate == 0 && f.constant && f.Rates.Rows >= fewestConstant:
		note(noteConstant, "it is the same on every row")
	}
	if f.ErrorRate > mostErrors {
		note(noteErrors, "it fails on %s of the rows", percent(f.ErrorRate))
	}
	return out
}

// coldStarts are about roles of whose entities nothing is known on many rows.
func (r *Report) coldStarts(c *Counts) (out []Finding) {
	seen := map[int]bool{}
	for i, o := range c.shape.Outputs {
		if len(o.Views) != 1 || seen[o.Views[0]] {
			continue
		}
		seen[o.Views[0]] = true
		f := &r.Features[i]
		if n := slices.IndexFunc(f.Cohorts, func(c CohortRows) bool { return c.Cohort == cohortNames[without] }); n >= 0 {
			if share := Number(f.Cohorts[n].Rows) / Number(f.Rates.Rows); share > mostColdStart {
				out = append(out, Finding{Kind: noteColdStart, Text: fmt.Sprintf("%s of the rows are of an entity without an event in %s", percent(share), c.shape.Roles[o.Views[0]])})
			}
		}
	}
	return out
}

// sharedEntities is about a last part that is mostly about entities of the first.
func (r *Report) sharedEntities() []Finding {
	if len(r.Parts) < 2 || len(r.Folds) > 0 || r.Holdout != nil || r.Parts[len(r.Parts)-1].Rows.Rows == 0 {
		return nil
	}
	first, last := &r.Parts[0], &r.Parts[len(r.Parts)-1]
	var found []string
	for _, e := range r.Entities {
		for _, s := range e.Shared {
			if share := Number(s.Rows) / Number(last.Rows.Rows); s.Part == last.Name && s.With == first.Name && share > mostShared {
				found = append(found, fmt.Sprintf("%s (%s)", e.name(), percent(share)))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return []Finding{{Kind: noteShared, Text: fmt.Sprintf("rows of %s are of entities that are in %s too: %s; a score on them does not tell how well a model does on new entities", last.Name, first.Name, strings.Join(found, ", "))}}
}

func percent(share Number) string { return fmt.Sprintf("%.3g %%", 100*float64(share)) }

// name is the entity and, where they are called otherwise, its keys.
func (e *EntityRows) name() string {
	if len(e.Keys) == 1 && e.Keys[0] == e.Entity {
		return e.Entity
	}
	return fmt.Sprintf("%s by %s", e.Entity, strings.Join(e.Keys, ", "))
}
