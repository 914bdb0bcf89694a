package records

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/unskew/unskew/internal/text"
)

// jsonScanner splits JSON into objects and their members: one object per line, or the
// elements of one array. Objects of one text mostly have the same names in the same order, so
// names.last holds those of the previous object.
type jsonScanner struct {
	names *names
	state jsonState
	rows  int // objects begun so far
	cells []cell
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
	end, wrong, err := s.members(p, at, 0, s.names)
	if err != nil {
		return end, err
	}
	return end, wrong
}

// members reads the members of the object that begins at at. wrong is as for member.
func (s *jsonScanner) members(p []byte, at, depth int, n *names) (end int, wrong, err error) {
	if at, err = follow(p, at+1); err != nil {
		return at, nil, err
	}
	if p[at] == '}' {
		return at + 1, nil, nil
	}
	for j := 0; ; j++ {
		end, bad, err := s.member(p, at, depth, n, j)
		if err != nil {
			return end, nil, err
		}
		if wrong == nil {
			wrong = bad
		}
		at = end + 1
		if p[end] == '}' {
			return at, wrong, nil
		}
		if at, err = follow(p, at); err != nil {
			return at, nil, err
		}
	}
}

// member reads a name and its value, and finds the comma or brace after them. wrong is an
// error in the row that does not violate the grammar.
func (s *jsonScanner) member(p []byte, at, depth int, n *names, j int) (end int, wrong, err error) {
	if p[at] != '"' {
		return at, nil, &syntaxError{at, "a name in double quotes is missing"}
	}
	to, escaped, err := stringEnd(p, at+1)
	if err != nil {
		return to, nil, err
	}
	name, err := s.name(n, p[at+1:to], escaped, j)
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
	if at, wrong, err = s.value(p, at, depth, name, wrong); err != nil {
		return at, nil, err
	}
	if at, err = follow(p, at); err != nil {
		return at, nil, err
	}
	if p[at] != ',' && p[at] != '}' {
		return at, nil, &syntaxError{at, "neither a comma nor a brace after a value"}
	}
	return at, wrong, nil
}

// value reads the value of a name, which is nil if wrong says what is wrong with it.
func (s *jsonScanner) value(p []byte, at, depth int, of *name, wrong error) (int, error, error) {
	if wrong == nil && of.inner != nil && p[at] == '{' {
		return s.members(p, at, depth+1, of.inner)
	}
	c, end, err := value(p, at, depth)
	switch {
	case err != nil || wrong != nil:
	case of.inner != nil && c.form != jsonNull:
		wrong = &rowError{fmt.Sprintf("%s is not an object, so it has no %s", of.text, of.inner.readNames()[0])}
	case of.column >= 0:
		c.column = of.column
		s.cells = append(s.cells, c)
	}
	return end, wrong, err
}

// name looks up the j-th name of an object.
func (s *jsonScanner) name(all *names, raw []byte, escaped bool, j int) (n *name, err error) {
	if escaped {
		if raw, err = unescape(bytes.Clone(raw)); err != nil {
			return nil, &rowError{"the name of a column: " + err.Error()}
		}
	}
	if j < len(all.last) && all.last[j].text == string(raw) {
		n = all.last[j]
	} else if n, err = all.lookUp(raw, j); err != nil {
		return nil, err
	}
	if n.row == s.rows {
		return nil, &rowError{fmt.Sprintf("column %s occurs twice", text.Quote(all.path+n.text))}
	}
	n.row = s.rows
	return n, nil
}

func (n *names) lookUp(raw []byte, j int) (found *name, err error) {
	found, ok := n.byText[string(raw)]
	if !ok {
		found, err = n.add(string(raw))
		if wrong := (*nameError)(nil); errors.As(err, &wrong) {
			return nil, &rowError{wrong.why}
		}
		if err != nil {
			return nil, err
		}
	}
	if j < len(n.last) {
		n.last[j] = found
	} else if j == len(n.last) && j < maxNames {
		n.last = append(n.last, found)
	}
	return found, nil
}
