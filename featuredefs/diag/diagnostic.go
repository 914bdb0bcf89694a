package diag

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Severity says whether a diagnostic makes the project unusable.
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

// RuleID identifies a rule. It is printed in brackets at the end of a diagnostic and is
// stable, so that tools can filter by it.
type RuleID string

// Rule describes a rule for people.
type Rule struct {
	ID       RuleID
	Severity Severity // of its findings; a rule of severity Error may also report Warnings
	Purpose  string   // one sentence
}

// Diagnostic is a finding about the definitions: position, rule, what is wrong and how to fix
// it.
type Diagnostic struct {
	Pos      plan.Pos // File is relative to the project; Line 0: the whole file
	Severity Severity
	Rule     RuleID
	Message  string
	Source   string // the line of the file that Pos points into; "" when there is none
}

// String formats the diagnostic on one line, as compilers do.
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

// Render returns String, the source line (for a long one the part near the column), and a
// caret under the column.
func (d Diagnostic) Render() string {
	if d.Source == "" {
		return d.String() + "\n"
	}
	line, col := excerpt(d.Source, d.Pos.Col)
	return d.String() + "\n  " + line + "\n  " + caretIndent(line, col) + "^\n"
}

// An excerpt has at most excerptWidth characters, with excerptBefore of them before the
// column unless the line ends soon after it.
const (
	excerptWidth  = 160
	excerptBefore = 100
)

// excerpt shortens a long line around col and returns col's position in the result. An
// ellipsis replaces one character.
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

// caretIndent returns white space as wide as the first col-1 characters of line. Tabs stay
// tabs, so that the caret lines up at any tab width.
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

// Diagnostics is a list of diagnostics in order of position. As an error, it prints all of
// them, one per line.
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

// Errors returns the list without warnings.
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

// Sorted returns the list sorted by position, without duplicates.
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

// Reporter collects diagnostics and attaches the source lines.
type Reporter struct {
	Found  Diagnostics
	Errors int                 // number of Errors; comparing two counts tells whether a step failed
	lines  map[string][]string // of each file
}

// Keep stores the lines of a file for later diagnostics.
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

// Warnf reports a Warning, even for a rule of severity Error.
func (r *Reporter) Warnf(pos plan.Pos, rule Rule, format string, args ...any) {
	r.report(pos, Warning, rule, format, args...)
}

// Add adds a finding from elsewhere and attaches its source line.
func (r *Reporter) Add(d Diagnostic) {
	if d.Severity == Error {
		r.Errors++
	}
	if lines := r.lines[d.Pos.File]; d.Source == "" && d.Pos.Line >= 1 && d.Pos.Line <= len(lines) {
		d.Source = lines[d.Pos.Line-1]
	}
	d.Message, d.Source = withoutPasswords(d.Message), withoutPasswords(d.Source)
	r.Found = append(r.Found, d)
}

func (r *Reporter) report(pos plan.Pos, s Severity, rule Rule, format string, args ...any) {
	r.Add(Diagnostic{Pos: pos, Severity: s, Rule: rule.ID, Message: fmt.Sprintf(format, args...)})
}

// passwords matches those in a URL, in a connection string and as the value of a key.
var passwords = regexp.MustCompile(`(?i)(?:://[^\s:/@]*:|(?:password|passwd|pwd)["']?\s*[:=]\s*["']?)([^\s"',;}@{\[]+)`)

// withoutPasswords replaces each character of a password by an asterisk. Passwords do not belong into
// definitions, but findings about definitions go into the logs of CI.
func withoutPasswords(text string) string {
	var out strings.Builder
	end := 0
	for _, at := range passwords.FindAllStringSubmatchIndex(text, -1) {
		out.WriteString(text[end:at[2]])
		end = at[3]
		out.WriteString(strings.Repeat("*", utf8.RuneCountInString(text[at[2]:end])))
	}
	return out.String() + text[end:]
}
