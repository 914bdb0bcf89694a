package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/report"
)

// printTrained prints the summary of a training set, with what needs attention near the end.
func printTrained(w io.Writer, m *offline.Manifest, out string) {
	for _, s := range m.Sources {
		fmt.Fprintf(w, "source %s: %s\n", s.Name, sourceSummary(s.Rows, s.Skipped, s.Filled, s.Redelivered, s.Conflicts))
	}
	rows := int64(0)
	for _, f := range m.Files {
		rows += f.Rows
	}
	for _, v := range m.Views {
		fmt.Fprintf(w, "view %s: %s of %s with an event\n", v.Role, count(v.RowsWithEvents), quantity(rows, "row"))
		if v.NullKeys > 0 {
			fmt.Fprintf(w, "view %s: %s without a key\n", v.Role, quantity(v.NullKeys, "event"))
		}
	}
	for _, f := range m.Outputs {
		printFailures(w, f)
	}
	printDropped(w, m)
	printFolds(w, m)
	for _, f := range m.Files {
		fmt.Fprintf(w, "%s: %s, %s\n", filepath.Join(out, f.Name), quantity(f.Rows, "row"), quantity(f.Size, "byte"))
		if f.Labels != nil && f.Rows > 0 {
			fmt.Fprintf(w, "  %s\n", labelSummary(m, f.Labels))
		}
	}
	printServedRows(w, m)
	printFindings(w, m, out)
	fmt.Fprintf(w, "%s of service %s, version %s\n", quantity(int64(len(m.Outputs)), "feature"), m.Service, short(m.ServiceFingerprint))
}

// printServedRows says which values are those that were served, and which rows were left out.
func printServedRows(w io.Writer, m *offline.Manifest) {
	s := m.Spine.Served
	if s == nil {
		return
	}
	var computed []string
	for i := range m.Outputs {
		switch n := m.Spine.Rows - s.Outputs[m.Outputs[i].Name]; {
		case n == m.Spine.Rows:
			computed = append(computed, m.Outputs[i].Name)
		case n > 0:
			computed = append(computed, fmt.Sprintf("%s in %s", m.Outputs[i].Name, quantity(n, "row")))
		}
	}
	if len(computed) == 0 {
		fmt.Fprintf(w, "all values are those that were served\n")
	} else {
		fmt.Fprintf(w, "values are those that were served, except for what is computed: %s\n", strings.Join(computed, ", "))
	}
	for _, out := range []struct {
		n   int64
		why string
	}{
		{s.Unlabelled, "without an outcome"}, {s.Repeated, "that answered a request again"}, {s.OtherFields, "of versions with other keys or request fields"},
	} {
		if out.n > 0 {
			fmt.Fprintf(w, "served rows %s: %s\n", out.why, count(out.n))
		}
	}
}

// maxNotes is how many notes of a report are printed.
const maxNotes = 5

// printFindings prints what needs attention, the most serious last.
func printFindings(w io.Writer, m *offline.Manifest, out string) {
	for _, f := range m.Notes[:min(maxNotes, len(m.Notes))] {
		fmt.Fprintf(w, "note: %s\n", findingText(&f))
	}
	if more := len(m.Notes) - maxNotes; more > 0 {
		fmt.Fprintf(w, "note: %s more in the report\n", count(int64(more)))
	}
	for _, text := range m.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
	for _, f := range m.Alarms {
		fmt.Fprintf(w, "too good to be true: %s\n", findingText(&f))
	}
	if len(m.ReportFiles) > 0 {
		fmt.Fprintf(w, "report: %s\n", filepath.Join(out, report.HTMLName))
	}
}

// strictly counts what --strict refuses.
func strictly(m *offline.Manifest) string {
	var what []string
	if n := len(m.Warnings); n > 0 {
		what = append(what, quantity(int64(n), "warning"))
	}
	if n := len(m.Alarms); n > 0 {
		what = append(what, quantity(int64(n), "feature")+" too good to be true")
	}
	return strings.Join(what, " and ")
}

func findingText(f *report.Finding) string {
	if f.Feature == "" {
		return f.Text
	}
	return fmt.Sprintf("%s: feature %s: %s", f.Definition, f.Feature, f.Text)
}

// printDropped prints how many rows a split dropped, by reason and label.
func printDropped(w io.Writer, m *offline.Manifest) {
	if m.Split == nil {
		return
	}
	horizon := "0d"
	if l := m.Label; l != nil && l.Horizon != "" {
		horizon = fmt.Sprintf("%s (%s)", l.Horizon, l.HorizonFrom)
		if l.SlowerThanHorizon != nil && l.SlowerThanHorizon.Rows > 0 {
			fmt.Fprintf(w, "label %s: %s known later than the horizon of %s, up to %s\n", m.Spine.Label, quantity(l.SlowerThanHorizon.Rows, "row"), horizon, l.LongestDelay)
		}
	}
	why := map[string]string{
		offline.DroppedByHorizon: "younger than the label horizon of " + horizon + " at a boundary",
		offline.DroppedAtEnd:     "younger than the label horizon of " + horizon + " at the end of the data",
		offline.DroppedByEmbargo: "within the embargo of " + m.Split.Embargo,
	}
	for _, d := range m.Split.Dropped {
		if d.Rows == 0 {
			continue
		}
		fmt.Fprintf(w, "split: %s dropped, %s\n", quantity(d.Rows, "row"), why[d.Why])
		if m.Label != nil && len(m.Label.Classes) > 0 {
			fmt.Fprintf(w, "  %s\n", labelSummary(m, &d.LabelCounts))
		}
	}
}

// printFolds prints the size of each fold.
func printFolds(w io.Writer, m *offline.Manifest) {
	if m.Split == nil {
		return
	}
	for _, f := range m.Split.Folds {
		fmt.Fprintf(w, "fold %d, from %s: %s to train on, %s to validate on\n", f.Fold, f.From, quantity(f.Train.Rows, "row"), quantity(f.Validation.Rows, "row"))
	}
	if h := m.Split.Holdout; h != nil {
		fmt.Fprintf(w, "holdout: %g of the entities %s, whose rows are only in holdout.parquet\n", h.Fraction, h.Entity)
	}
}

// labelSummary formats the shares of the labels among some rows.
func labelSummary(m *offline.Manifest, c *offline.LabelCounts) string {
	var parts []string
	for _, class := range m.Label.Classes {
		n := c.ByLabel[class]
		parts = append(parts, fmt.Sprintf("%s %s (%.1f %%)", class, count(n), 100*float64(n)/float64(max(1, c.Rows-c.Unlabelled))))
	}
	if c.Unlabelled > 0 {
		parts = append(parts, "null "+count(c.Unlabelled))
	}
	return m.Spine.Label + ": " + strings.Join(parts, ", ")
}

// printFailures prints how often an output failed, and the first reasons.
func printFailures(w io.Writer, f offline.OutputManifest) {
	if f.RowErrors > 0 {
		fmt.Fprintf(w, "feature %s: %s left out because the filter or argument failed\n", f.Name, quantity(f.RowErrors, "event"))
	}
	for _, e := range f.RowErrorSamples {
		event := "event"
		if e.EventID != "" {
			event = fmt.Sprintf("event %q", e.EventID)
		}
		fmt.Fprintf(w, "  %s at %s: %s\n", event, e.EventTime, e.Error)
	}
	if n := f.Statuses[kernel.Failed.String()]; n > 0 {
		fmt.Fprintf(w, "feature %s: %s on which its expression failed\n", f.Name, quantity(n, "row"))
	}
	for _, r := range f.ErrorSamples {
		fmt.Fprintf(w, "  row %d as of %s: %s\n", r.Row, r.AsOf, r.Error)
	}
}

// sourceSummary formats the counts of a source's rows; every dropped row is counted.
func sourceSummary(rows int64, skipped map[string]int64, filled, redelivered, conflicts int64) string {
	text := quantity(rows, "row")
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		text += fmt.Sprintf(", %s skipped (%s)", count(skipped[reason]), reason)
	}
	if filled > 0 {
		text += fmt.Sprintf(", of which %s filled late columns of an event", count(filled))
	}
	if redelivered > 0 {
		text += fmt.Sprintf(", %s ignored (%s in conflict)", quantity(redelivered, "redelivery"), count(conflicts))
	}
	return text
}
