package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/unskew/unskew/internal/text"
)

// jsonScanner splits JSON into objects and their members: one object per line, or the
// elements of one array.
type jsonScanner struct {
	names *names
	state jsonState
	rows  int // objects begun so far
	cells []cell
	// Objects of one text mostly have the same names in the same order: last holds those of
	// the previous object.
	last []*name
}

type jsonState uint8

const (
	jsonBegin   jsonState = iota
	jsonLines             // every line is an object
	jsonFirst             // in an array, before its first element or its end
	jsonElement           // behind a comma
	jsonBehind            // behind an element
	jsonDone              // behind the array
)

var (
	errOpenArray = errors.New("the array is never closed")
	errAfterEnd  = errors.New("text after the end of the array")
	errNoComma   = errors.New("neither a comma nor a bracket after an element of the array")
)

func newJSONScanner(n *names) *jsonScanner { return &jsonScanner{names: n} }

// missing: objects may lack any name.
func (s *jsonScanner) missing() error { return nil }

func (s *jsonScanner) next(p []byte, final bool) (found, error) {
	f := found{at: spaces(p, 0)}
	f.skip = bytes.Count(p[:f.at], newline)
	f.size, f.lines = f.at, f.skip
	if f.at == len(p) {
		if final && s.inArray() {
			return f, errOpenArray
		}
		return f, nil
	}
	if s.state == jsonBegin {
		s.state = jsonLines
		if p[f.at] == '[' {
			return s.take(f, jsonFirst), nil
		}
	}
	if s.state == jsonLines {
		return s.line(p, f, final)
	}
	return s.inArrayAt(p, f, final)
}

func (s *jsonScanner) inArray() bool {
	return s.state == jsonFirst || s.state == jsonElement || s.state == jsonBehind
}

// take consumes one character and sets the state.
func (s *jsonScanner) take(f found, to jsonState) found {
	s.state = to
	f.kind = foundHeader
	f.size++
	return f
}

// line reads an object on a line of its own.
func (s *jsonScanner) line(p []byte, f found, final bool) (found, error) {
	end := bytes.IndexByte(p[f.at:], '\n')
	switch {
	case end >= 0:
		end += f.at
		f.size = end + 1
		f.lines++
	case final:
		end = len(p)
		f.size = end
	default:
		return f, nil
	}
	if p[f.at] != '{' {
		f.kind, f.why = foundBadRow, notAnObject
		return f, nil
	}
	at, err := s.object(p[:end], f.at)
	if err == nil || errors.As(err, new(*rowError)) {
		if at = spaces(p[:end], at); at < end {
			err = &syntaxError{at, "more than one JSON value; each event has a line of its own"}
		}
	}
	f.kind, f.cells = foundRow, s.cells
	if syntax := (*syntaxError)(nil); errors.As(err, &syntax) {
		f.kind, f.why = foundBadRow, syntax.in(f.at)
		return f, nil
	}
	return s.judged(f, err)
}

// judged makes a bad row of what is wrong with a row whose end is known.
func (s *jsonScanner) judged(f found, err error) (found, error) {
	if bad := (*rowError)(nil); errors.As(err, &bad) {
		f.kind, f.why = foundBadRow, bad.why
		return f, nil
	}
	return f, err
}

func (s *jsonScanner) inArrayAt(p []byte, f found, final bool) (found, error) {
	c := p[f.at]
	switch {
	case s.state == jsonDone:
		return f, errAfterEnd
	case c == ']' && s.state != jsonElement:
		return s.take(f, jsonDone), nil
	case s.state != jsonBehind:
		return s.element(p, f, final)
	case c == ',':
		return s.take(f, jsonElement), nil
	}
	return f, errNoComma
}

// element reads an element of the array. A syntax error ends the reading, because the
// start of the next element is unknown.
func (s *jsonScanner) element(p []byte, f found, final bool) (found, error) {
	end, err := s.object(p, f.at)
	syntax := (*syntaxError)(nil)
	switch {
	case !errors.As(err, &syntax):
	case syntax.at < len(p):
		f.skip += bytes.Count(p[f.at:syntax.at], newline)
		return f, fmt.Errorf("malformed JSON: %s", syntax.what)
	case final:
		return f, errOpenArray
	default:
		return f, nil
	}
	s.state = jsonBehind
	f.kind, f.cells, f.size = foundRow, s.cells, end
	f.lines += bytes.Count(p[f.at:end], newline)
	return s.judged(f, err)
}

// rowError is an error within an object whose end is known.
type rowError struct{ why string }

func (e *rowError) Error() string { return e.why }

const notAnObject = "not a JSON object, like {\"user_id\": 1, \"ts\": \"2025-01-31T10:00:00Z\"}"

// object reads an object into cells and returns where it ends. A violation of the grammar,
// and an object that p does not hold completely, are a *syntaxError.
func (s *jsonScanner) object(p []byte, at int) (end int, err error) {
	s.cells = s.cells[:0]
	s.rows++
	if p[at] != '{' {
		_, end, err := value(p, at, 0)
		if err != nil {
			return end, err
		}
		return end, &rowError{notAnObject}
	}
	if at, err = follow(p, at+1); err != nil {
		return at, err
	}
	if p[at] == '}' {
		return at + 1, nil
	}
	var bad error
	for j := 0; ; j++ {
		end, wrong, err := s.member(p, at, j)
		if err != nil {
			return end, err
		}
		if bad == nil {
			bad = wrong
		}
		at = end + 1
		if p[end] == '}' {
			return at, bad
		}
		if at, err = follow(p, at); err != nil {
			return at, err
		}
	}
}

// member reads a name and its value, and finds the comma or brace after them. wrong is an
// error in the row that does not violate the grammar.
func (s *jsonScanner) member(p []byte, at, j int) (end int, wrong, err error) {
	if p[at] != '"' {
		return at, nil, &syntaxError{at, "a name in double quotes is missing"}
	}
	to, escaped, err := stringEnd(p, at+1)
	if err != nil {
		return to, nil, err
	}
	name, err := s.name(p[at+1:to], escaped, j)
	if err != nil && !errors.As(err, new(*rowError)) {
		return to, nil, err
	}
	wrong = err
	if at, err = expect(p, to+1, ':', "a colon is missing after a name"); err != nil {
		return at, nil, err
	}
	if at, err = follow(p, at); err != nil {
		return at, nil, err
	}
	c, at, err := value(p, at, 0)
	if err != nil {
		return at, nil, err
	}
	if wrong == nil && name.column >= 0 {
		c.column = name.column
		s.cells = append(s.cells, c)
	}
	if at, err = follow(p, at); err != nil {
		return at, nil, err
	}
	if p[at] != ',' && p[at] != '}' {
		return at, nil, &syntaxError{at, "neither a comma nor a brace after a value"}
	}
	return at, wrong, nil
}

// name looks up the j-th name of an object.
func (s *jsonScanner) name(raw []byte, escaped bool, j int) (n *name, err error) {
	if escaped {
		if raw, err = unescape(bytes.Clone(raw)); err != nil {
			return nil, &rowError{"the name of a column: " + err.Error()}
		}
	}
	if j < len(s.last) && s.last[j].text == string(raw) {
		n = s.last[j]
	} else if n, err = s.lookUp(raw, j); err != nil {
		return nil, err
	}
	if n.row == s.rows {
		return nil, &rowError{fmt.Sprintf("column %s occurs twice", text.Quote(n.text))}
	}
	n.row = s.rows
	return n, nil
}

func (s *jsonScanner) lookUp(raw []byte, j int) (n *name, err error) {
	n, ok := s.names.byText[string(raw)]
	if !ok {
		n, err = s.names.add(string(raw))
		if wrong := (*nameError)(nil); errors.As(err, &wrong) {
			return nil, &rowError{wrong.why}
		}
		if err != nil {
			return nil, err
		}
	}
	if j < len(s.last) {
		s.last[j] = n
	} else if j == len(s.last) && j < maxNames {
		s.last = append(s.last, n)
	}
	return n, nil
}
