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
	column int    // of the batch; -1: left out
	row    int    // the last row with it, counted over the whole text
	inner  *names // of the members of an object; nil: its value is not taken apart
}

// names are the names of a text, or of the objects that a JSON text has under one name. Two names that
// differ only in case are an error, since other programs do not distinguish them.
type names struct {
	path   string // "merchant." of the members of merchant
	read   []member
	pushed bool
	byText map[string]*name
	byCase map[string]string
	infer  func(text string) int // the column of a name that is not in read; nil: names that are not read are left out
	last   []*name               // see jsonScanner
}

// member is a name that is read: a column, or an object whose members are.
type member struct {
	text   string
	column int
	inner  *names
}

// maxNames limits the number of distinct names; further names are ignored.
const maxNames = 10_000

// newNames makes the names of fields, which paths may place elsewhere.
func newNames(fields []plan.Field, paths map[string][]string, pushed bool) *names {
	n := innerNames("", pushed)
	for i, f := range fields {
		path := paths[f.Name]
		if path == nil {
			path = []string{f.Name}
		}
		n.place(path, i)
	}
	return n
}

func innerNames(path string, pushed bool) *names {
	return &names{path: path, pushed: pushed, byText: map[string]*name{}, byCase: map[string]string{}}
}

// place makes a column of what lies at a path.
func (n *names) place(path []string, column int) {
	if len(path) == 1 {
		n.read = append(n.read, member{path[0], column, nil})
		return
	}
	at := slices.IndexFunc(n.read, func(m member) bool { return m.text == path[0] && m.inner != nil })
	if at < 0 {
		at = len(n.read)
		n.read = append(n.read, member{path[0], -1, innerNames(n.path+path[0]+".", n.pushed)})
	}
	n.read[at].inner.place(path[1:], column)
}

// add adds a new name.
func (n *names) add(s string) (*name, error) {
	if !utf8.ValidString(s) {
		return nil, &nameError{fmt.Sprintf("the name of a column, %s, is not valid UTF-8", text.Quote(s))}
	}
	found := member{column: -1}
	switch at := slices.IndexFunc(n.read, func(m member) bool { return m.text == s }); {
	case at >= 0:
		found = n.read[at]
	case n.infer != nil:
		found.column = n.infer(s)
	case n.pushed:
		return nil, &nameError{fmt.Sprintf("unknown column %s%s", text.Quote(n.path+s), nearest.Hint(n.path+s, n.readNames()))}
	}
	if found.column < 0 && found.inner == nil && len(n.byText) >= maxNames {
		return &name{column: -1}, nil
	}
	folded := strings.ToLower(s)
	if other, ok := n.byCase[folded]; ok {
		return nil, fmt.Errorf("columns %s and %s differ only in case; rename one", text.Quote(n.path+other), text.Quote(n.path+s))
	}
	n.byCase[folded] = s
	added := &name{text: s, column: found.column, inner: found.inner, row: -1}
	n.byText[s] = added
	return added, nil
}

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

// missing is the error for the first name that the text, which is CSV, lacks.
func (n *names) missing() error {
	for _, m := range n.read {
		if m.inner != nil {
			return fmt.Errorf("CSV has no objects, so it has no %q; write JSON or Parquet", m.inner.readNames()[0])
		}
		if _, ok := n.byText[m.text]; !ok {
			return &MissingError{m.text, n.all()}
		}
	}
	return nil
}

// has reports whether the text has had what lies at a path.
func (n *names) has(path []string) bool {
	found, ok := n.byText[path[0]]
	return ok && (len(path) == 1 || found.inner != nil && found.inner.has(path[1:]))
}

// all lists the names that the text has had so far, in byte order.
func (n *names) all() []string {
	var all []string
	for _, found := range n.byText {
		if found.inner != nil {
			all = append(all, found.inner.all()...)
		} else {
			all = append(all, n.path+found.text)
		}
	}
	slices.Sort(all)
	return all
}

// readNames lists the names of what is read.
func (n *names) readNames() (all []string) {
	for _, m := range n.read {
		if m.inner != nil {
			all = append(all, m.inner.readNames()...)
		} else {
			all = append(all, n.path+m.text)
		}
	}
	return all
}

// nameError is the error for a name that no column has.
type nameError struct{ why string }

func (e *nameError) Error() string { return e.why }

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

var errNoHeader = errors.New("no header; the first line names the columns")
