package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// All reads the rows of a JSON array that is in memory as one batch. Cells share the memory of
// p, which is changed where strings have escapes. An array that cannot be divided into rows is
// an error, and so are more rows than most: a *TooManyRows.
func All(p []byte, o Options, most int) (*Rows, error) {
	r := NewReader(nil, o)
	r.buf = &buffer{b: p, to: len(p), line: 1, final: true}
	r.capacity = elements(p, most) + 1
	rows, err := r.Next()
	switch {
	case errors.Is(err, io.EOF):
		r.begin()
		return r.finish(), nil
	case err != nil:
		return nil, err
	case rows.N > most:
		return nil, &TooManyRows{most}
	case !errors.Is(r.err, io.EOF):
		return nil, r.err
	}
	return rows, nil
}

// elements counts the elements of a JSON array, up to a maximum and up to the first malformed
// one.
func elements(p []byte, most int) (n int) {
	at, err := expect(p, 0, '[', "an array begins with a bracket")
	for err == nil && n < most {
		if at, err = follow(p, at); err != nil || p[at] == ']' {
			break
		}
		if _, at, err = value(p, at, 0); err != nil {
			break
		}
		n++
		at, err = expect(p, at, ',', "a comma is missing")
	}
	return n
}

// TooManyRows is the error for a text with more rows than Most.
type TooManyRows struct{ Most int }

func (e *TooManyRows) Error() string { return fmt.Sprintf("more than %d rows", e.Most) }

// Members calls each for the members of the JSON object p, in order, with the value as it
// is written, and stops at its first error. Two members of one name are an error.
func Members(p []byte, each func(name string, value []byte) error) error {
	at, err := expect(p, 0, '{', "a JSON object begins with a brace")
	if err != nil {
		return located(p, err)
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		if at, err = follow(p, at); err != nil {
			return located(p, err)
		}
		if first && p[at] == '}' {
			return nothingAfter(p, at+1)
		}
		name, value, end, err := memberAt(p, at)
		if err != nil {
			return located(p, err)
		}
		if seen[name] {
			return fmt.Errorf("%q occurs twice", name)
		}
		seen[name] = true
		if err := each(name, value); err != nil {
			return err
		}
		switch at = end + 1; {
		case p[end] == '}':
			return nothingAfter(p, at)
		case p[end] != ',':
			return located(p, &syntaxError{end, "neither a comma nor a brace after a value"})
		}
	}
}

// memberAt reads a member of an object and finds what follows it.
func memberAt(p []byte, at int) (name string, raw []byte, end int, err error) {
	colon, err := nameEnd(p, at)
	if err != nil {
		return "", nil, 0, err
	}
	quote, escaped, _ := stringEnd(p, at+1)
	text := bytes.Clone(p[at+1 : quote])
	if escaped {
		if text, err = unescape(text); err != nil {
			return "", nil, 0, &syntaxError{at, err.Error()}
		}
	}
	if _, end, err = value(p, colon, 0); err != nil {
		return "", nil, 0, err
	}
	raw = p[colon:end:end]
	end, err = follow(p, end)
	return string(text), raw, end, err
}

func nothingAfter(p []byte, at int) error {
	if at = spaces(p, at); at < len(p) {
		return located(p, &syntaxError{at, "text after the end of the object"})
	}
	return nil
}

// located adds the position of a syntax error in p.
func located(p []byte, err error) error {
	syntax := (*syntaxError)(nil)
	if !errors.As(err, &syntax) {
		return err
	}
	before := p[:min(syntax.at, len(p))]
	line := 1 + bytes.Count(before, newline)
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	if syntax.at >= len(p) {
		return errors.New("malformed JSON: it ends before the object does")
	}
	return fmt.Errorf("malformed JSON at line %d, character %d: %s", line, column, syntax.what)
}
