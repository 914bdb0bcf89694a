package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Severity says whether a diagnostic keeps the project from being used.
type Severity uint8

// The severities.
const (
	Error   Severity = 0
	Warning Severity = 1
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// RuleID names a rule; it stands in brackets at the end of a diagnostic and is
// stable, so that tools can filter by it.
type RuleID string

// Rule describes one rule for people.
type Rule struct {
	ID       RuleID
	Severity Severity // of its findings; some of an Error are only Warnings
	Purpose  string   // one sentence
}

// Diagnostic is one finding about the definitions: where, which rule, what is
// wrong and how to mend it.
type Diagnostic struct {
	Pos      plan.Pos // File is relative to the project; Line 0: about the file as a whole
	Severity Severity
	Rule     RuleID
	Message  string
	Source   string // the line of the file that Pos points into; "" when there is none
}

// String is the diagnostic in one line, as compilers write it.
func (d Diagnostic) String() string {
	severity := ""
	if d.Severity == Warning {
		severity = "warning: "
	}
	return fmt.Sprintf("%s: %s%s [%s]", FormatPos(d.Pos), severity, d.Message, d.Rule)
}

func FormatPos(p plan.Pos) string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Render is String followed by the source line, or what of a long one is near the
// column, and a caret under the column.
func (d Diagnostic) Render() string {
	if d.Source == "" {
		return d.String() + "\n"
	}
	line, col := excerpt(d.Source, d.Pos.Col)
	return d.String() + "\n  " + line + "\n  " + caretIndent(line, col) + "^\n"
}

// An excerpt has at most excerptWidth characters, and excerptBefore of them before the
// column, unless the line ends soon after.
const (
	excerptWidth  = 160
	excerptBefore = 100
)

// excerpt cuts a long line around col and is where col is in what remains. An ellipsis
// takes the place of a character.
func excerpt(line string, col int) (string, int) {
	text := []rune(line)
	if len(text) <= excerptWidth {
		return line, col
	}
	from := max(0, min(col-1-excerptBefore, len(text)-excerptWidth))
	to := from + excerptWidth
	text, col = slices.Clone(text[from:to]), col-from
	if from > 0 {
		text[0] = '…'
	}
	if to < len([]rune(line)) {
		text[excerptWidth-1] = '…'
	}
	return string(text), col
}

// caretIndent is white space as wide as the first col-1 characters of line; tabs
// stay tabs so that the caret lines up whatever their width.
func caretIndent(line string, col int) string {
	var b strings.Builder
	for _, r := range line {
		if col--; col <= 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

type diagnosticJSON struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	Severity string `json:"severity"`
	Rule     RuleID `json:"rule"`
	Message  string `json:"message"`
	Source   string `json:"source,omitempty"`
}

// MarshalJSON writes an object with file, line, column, severity, rule, message
// and source.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	return json.Marshal(diagnosticJSON{d.Pos.File, d.Pos.Line, d.Pos.Col, d.Severity.String(), d.Rule, d.Message, d.Source})
}

// Diagnostics is a set of diagnostics in the order of their positions. As an
// error it is all of them, one a line.
type Diagnostics []Diagnostic

func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// HasErrors reports whether any diagnostic is an Error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Errors is the set without warnings.
func (ds Diagnostics) Errors() Diagnostics {
	return slices.DeleteFunc(slices.Clone(ds), func(d Diagnostic) bool { return d.Severity != Error })
}

// Render writes every diagnostic with its source line.
func (ds Diagnostics) Render(w io.Writer) error {
	for _, d := range ds {
		if _, err := io.WriteString(w, d.Render()); err != nil {
			return err
		}
	}
	return nil
}

// Sorted orders the set by position and drops repetitions.
func (ds Diagnostics) Sorted() Diagnostics {
	slices.SortFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Rule, b.Rule),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(ds)
}

// Reporter collects diagnostics and knows the lines they point into.
type Reporter struct {
	Found  Diagnostics
	Errors int                 // how many of them are Errors; comparing two counts tells whether a step failed
	lines  map[string][]string // of each file
}

// Keep remembers the lines of a file for the diagnostics that point into it.
func (r *Reporter) Keep(file string, lines []string) {
	if r.lines == nil {
		r.lines = map[string][]string{}
	}
	r.lines[file] = lines
}

// Reportf reports with the severity of the rule.
func (r *Reporter) Reportf(pos plan.Pos, rule Rule, format string, args ...any) {
	if rule.Severity == Error {
		r.Errors++
	}
	r.report(pos, rule.Severity, rule, format, args...)
}

// Errorf reports an Error.
func (r *Reporter) Errorf(pos plan.Pos, rule Rule, format string, args ...any) {
	r.report(pos, Error, rule, format, args...)
}

// Warnf reports a Warning, also of a rule whose findings are mostly Errors.
func (r *Reporter) Warnf(pos plan.Pos, rule Rule, format string, args ...any) {
	r.report(pos, Warning, rule, format, args...)
}

// Add takes a finding that somebody else made, with the line that it points into.
func (r *Reporter) Add(d Diagnostic) {
	if d.Severity == Error {
		r.Errors++
	}
	if lines := r.lines[d.Pos.File]; d.Source == "" && d.Pos.Line >= 1 && d.Pos.Line <= len(lines) {
		d.Source = lines[d.Pos.Line-1]
	}
	r.Found = append(r.Found, d)
}

func (r *Reporter) report(pos plan.Pos, s Severity, rule Rule, format string, args ...any) {
	r.Add(Diagnostic{Pos: pos, Severity: s, Rule: rule.ID, Message: fmt.Sprintf(format, args...)})
}
