package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Kinds of findings.
const (
	alarmAUC         = "auc"
	alarmInformation = "mutual_information"
	alarmKnownLater  = "known_later"
	alarmAfterLabel  = "changed_after_label"
	noteNoValue      = "no_value"
	noteConstant     = "constant"
	noteErrors       = "errors"
	noteLedger       = "other_than_declared"
	noteShared       = "shared_entities"
	noteColdStart    = "cold_start"
)

// The shares of rows above which there is a note.
const (
	maxWithoutValue = 0.99
	maxErrors       = 0.01
	maxColdStart    = 0.2
	maxShared       = 0.2
	// minConstant is the number of rows from which there is a note about a constant.
	minConstant = 100
)

// Changes counts, for each output of a set of final values or of one as of the ledger, the rows whose value is another one in a set
// that it is compared with; the zero value is for a set of known values.
type Changes struct {
	Later      []int64     // of a final set: as known at the row's time
	AfterLabel []int64     // of a final set: as known Horizon later, when the label was; nil: it is not said when that is
	Horizon    plan.Micros // of labels
	Declared   []int64     // of a set as of the ledger: as known by the declared known times
	Delays     []string    // of a set as of the ledger: how late serving saw what the output reads
}

// note appends the note about output i of a set as of the ledger.
func (c *Changes) note(i int, f *Feature, notes []Finding) []Finding {
	if c.Declared == nil || c.Declared[i] == 0 {
		return notes
	}
	text := fmt.Sprintf("as of the known times that are declared, %s of the rows have another value than serving had", percent(Number(c.Declared[i])/Number(f.Rates.Rows)))
	return append(notes, Finding{noteLedger, f.Name, f.Definition, text + c.Delays[i]})
}

// find appends the alarms about output i.
func (c *Changes) find(i int, f *Feature, alarms []Finding) []Finding {
	share := func(rows int64) string { return percent(Number(rows) / Number(f.Rates.Rows)) }
	if c.Later != nil && c.Later[i] > 0 {
		text := fmt.Sprintf("the value of %s of the rows became known only after the row's time; serving cannot have it", share(c.Later[i]))
		alarms = append(alarms, Finding{alarmKnownLater, f.Name, f.Definition, text})
	}
	if c.AfterLabel != nil && c.AfterLabel[i] > 0 {
		text := fmt.Sprintf("the value of %s of the rows changes only after the label is known, more than %v after the row's time; it may be an effect of the label", share(c.AfterLabel[i]), c.Horizon)
		alarms = append(alarms, Finding{alarmAfterLabel, f.Name, f.Definition, text})
	}
	return alarms
}

// Finish adds the features, alarms and notes. The parts, the label, the times and the entities
// must be set already.
func (r *Report) Finish(c *Counts, changes Changes) {
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
		r.Alarms = changes.find(i, &f, r.Alarms)
		r.Notes = changes.note(i, &f, append(r.Notes, f.notes()...))
	}
	r.Notes = append(r.Notes, r.coldStarts(c)...)
	r.Notes = append(r.Notes, r.sharedEntities()...)
}

func (r *Report) alarm(f *Feature, kind string) Finding {
	text := fmt.Sprintf("this feature alone ranks the rows by %s with an AUC of %.3f (at least %.3f; more than %.2f is too good to be true)", r.Label.Column, f.AUC, f.AUCLower, tooGoodAUC)
	if kind == alarmInformation {
		text = fmt.Sprintf("this feature alone has %.0f %% of the information about %s (at least %.0f %%; more than %.0f %% is too good to be true)",
			100*f.Information, r.Label.Column, 100*f.InformationLower, 100*tooGoodInformation)
	}
	return Finding{kind, f.Name, f.Definition, text + "; check that its inputs are known before the outcome"}
}

// notes lists the reasons why a feature may be of little use to a model.
func (f *Feature) notes() (out []Finding) {
	note := func(kind, text string, a ...any) {
		out = append(out, Finding{kind, f.Name, f.Definition, fmt.Sprintf(text, a...)})
	}
	switch {
	case f.Rates.Rows == 0:
	case f.NullRate > maxWithoutValue:
		note(noteNoValue, "it has no value in %s of the rows", percent(f.NullRate))
	case f.NullRate == 0 && f.constant && f.Rates.Rows >= minConstant:
		note(noteConstant, "it has the same value in every row")
	}
	if f.ErrorRate > maxErrors {
		note(noteErrors, "it fails in %s of the rows", percent(f.ErrorRate))
	}
	return out
}

// coldStarts finds roles whose entities have no event in many rows.
func (r *Report) coldStarts(c *Counts) (out []Finding) {
	seen := map[int]bool{}
	for i, o := range c.shape.Outputs {
		if len(o.Views) != 1 || seen[o.Views[0]] {
			continue
		}
		seen[o.Views[0]] = true
		f := &r.Features[i]
		if n := slices.IndexFunc(f.Cohorts, func(c CohortRows) bool { return c.Cohort == cohortNames[without] }); n >= 0 {
			if share := Number(f.Cohorts[n].Rows) / Number(f.Rates.Rows); share > maxColdStart {
				out = append(out, Finding{Kind: noteColdStart, Text: fmt.Sprintf("the entities of %s of the rows have no event in %s", percent(share), c.shape.Roles[o.Views[0]])})
			}
		}
	}
	return out
}

// sharedEntities finds entities of the first part in many rows of the last one.
func (r *Report) sharedEntities() []Finding {
	if len(r.Parts) < 2 || len(r.Folds) > 0 || r.Holdout != nil || r.Parts[len(r.Parts)-1].Rows.Rows == 0 {
		return nil
	}
	first, last := &r.Parts[0], &r.Parts[len(r.Parts)-1]
	var found []string
	for _, e := range r.Entities {
		for _, s := range e.Shared {
			if share := Number(s.Rows) / Number(last.Rows.Rows); s.Part == last.Name && s.With == first.Name && share > maxShared {
				found = append(found, fmt.Sprintf("%s (%s)", e.name(), percent(share)))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	return []Finding{{Kind: noteShared, Text: fmt.Sprintf("rows of %s have entities that are in %s too: %s; a score on them does not show how well a model works for new entities", last.Name, first.Name, strings.Join(found, ", "))}}
}

func percent(share Number) string { return fmt.Sprintf("%.3g %%", 100*float64(share)) }

// name is the entity and, if their names differ, its key columns.
func (e *EntityRows) name() string {
	if len(e.Keys) == 1 && e.Keys[0] == e.Entity {
		return e.Entity
	}
	return fmt.Sprintf("%s by %s", e.Entity, strings.Join(e.Keys, ", "))
}
