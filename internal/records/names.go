package records

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/text"
)

// name is a name that a text has for a column.
type name struct {
	text   string
	column int // of the batch; -1: left out
	row    int // the last row with it, counted over the whole text
}

// names are the names of a text. Two names that differ only in case are an error, since
// other programs do not distinguish them.
type names struct {
	fields []plan.Field
	pushed bool
	byText map[string]*name
	byCase map[string]string
	all    func(text string) int // instead of fields: the column of a name that is new
}

// maxNames limits the number of distinct names; further names are ignored.
const maxNames = 10_000

func newNames(fields []plan.Field, pushed bool) *names {
	return &names{fields: fields, pushed: pushed, byText: map[string]*name{}, byCase: map[string]string{}}
}

// add adds a new name.
func (n *names) add(s string) (*name, error) {
	if !utf8.ValidString(s) {
		return nil, &nameError{fmt.Sprintf("the name of a column, %s, is not valid UTF-8", text.Quote(s))}
	}
	column := slices.IndexFunc(n.fields, func(f plan.Field) bool { return f.Name == s })
	switch {
	case n.all != nil:
		column = n.all(s)
	case column < 0 && n.pushed:
		return nil, &nameError{fmt.Sprintf("unknown column %s%s", text.Quote(s), nearest.Hint(s, fieldNames(n.fields)))}
	}
	if column < 0 && len(n.byText) >= maxNames {
		return &name{column: -1}, nil
	}
	folded := strings.ToLower(s)
	if other, ok := n.byCase[folded]; ok {
		return nil, fmt.Errorf("columns %s and %s differ only in case; rename one", text.Quote(other), text.Quote(s))
	}
	n.byCase[folded] = s
	added := &name{text: s, column: column, row: -1}
	n.byText[s] = added
	return added, nil
}

// nameError is the error for a name that no column has.
type nameError struct{ why string }

func (e *nameError) Error() string { return e.why }

// header adds the names of a header.
func (n *names) header(header []string) ([]int, error) {
	columns := make([]int, len(header))
	for i, s := range header {
		if _, ok := n.byText[s]; ok {
			return nil, fmt.Errorf("column %s occurs twice", text.Quote(s))
		}
		added, err := n.add(s)
		if err != nil {
			return nil, err
		}
		columns[i] = added.column
	}
	if n.pushed {
		return columns, nil
	}
	return columns, n.missing()
}

// missing is the error for the first field that the text lacks.
func (n *names) missing() error {
	for _, f := range n.fields {
		if _, ok := n.byText[f.Name]; ok {
			continue
		}
		var there []string
		for s := range n.byText {
			there = append(there, s)
		}
		slices.Sort(there)
		return &MissingError{f.Name, there}
	}
	return nil
}

// MissingError reports a column that a text lacks.
type MissingError struct {
	Column string
	Has    []string // in order of their bytes
}

func (e *MissingError) Error() string {
	if len(e.Has) == 0 {
		return fmt.Sprintf("no column %q; there is none", e.Column)
	}
	return fmt.Sprintf("no column %q%s; there are %s", e.Column, nearest.Hint(e.Column, e.Has), strings.Join(e.Has, ", "))
}

func fieldNames(fields []plan.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

var errNoHeader = errors.New("no header; the first line names the columns")
