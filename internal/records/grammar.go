package records

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// syntaxError is malformed JSON (RFC 8259). At the end of the available text it may mean that
// more text is needed.
type syntaxError struct {
	at   int
	what string
}

func (e *syntaxError) Error() string { return e.what }

// in returns the message, with the position in a row that begins at the given index.
func (e *syntaxError) in(row int) string {
	return fmt.Sprintf("malformed JSON at character %d: %s", e.at-row+1, e.what)
}

// ends is the error for text that ends too early.
func ends(p []byte) error { return &syntaxError{len(p), "the line ends before the object does"} }

// spaces skips white space.
func spaces(p []byte, at int) int {
	for at < len(p) && (p[at] == ' ' || p[at] == '\n' || p[at] == '\t' || p[at] == '\r') {
		at++
	}
	return at
}

// follow skips white space; the end of the text after it is an error.
func follow(p []byte, at int) (int, error) {
	if at = spaces(p, at); at == len(p) {
		return at, ends(p)
	}
	return at, nil
}

// expect skips white space and the character c.
func expect(p []byte, at int, c byte, missing string) (int, error) {
	at, err := follow(p, at)
	if err == nil && p[at] != c {
		err = &syntaxError{at, missing}
	}
	return at + 1, err
}

// maxDepth is how deep values may be nested.
const maxDepth = 1000

// value reads a value; its cell has the text of the value, for a string the text between the quotes.
func value(p []byte, at, depth int) (c cell, end int, err error) {
	c.from = at
	switch b := p[at]; {
	case b == '"':
		c.form, c.from = jsonString, at+1
		c.to, c.escaped, err = stringEnd(p, at+1)
		return c, c.to + 1, err
	case b == '-' || b-'0' <= 9:
		c.form = jsonNumber
		c.to, err = numberEnd(p, at)
	case b == '{':
		c.form = jsonObject
		c.to, err = nestedEnd(p, at, depth+1)
	case b == '[':
		c.form = jsonArray
		c.to, err = nestedEnd(p, at, depth+1)
	case b == 't':
		c.form = jsonTrue
		c.to, err = wordEnd(p, at, "true")
	case b == 'f':
		c.form = jsonFalse
		c.to, err = wordEnd(p, at, "false")
	case b == 'n':
		c.form = jsonNull
		c.to, err = wordEnd(p, at, "null")
	case b == 'N' || b == 'I':
		return c, at, &syntaxError{at, "no value; a NaN or an infinity is written in double quotes"}
	default:
		return c, at, &syntaxError{at, "no value"}
	}
	return c, c.to, err
}

func wordEnd(p []byte, at int, word string) (int, error) {
	for i := range len(word) {
		if at+i == len(p) {
			return at + i, ends(p)
		}
		if p[at+i] != word[i] {
			return at, &syntaxError{at, "no value"}
		}
	}
	return at + len(word), nil
}

// nestedEnd finds the end of an object or array. It accepts duplicate names, since the
// value is not read.
func nestedEnd(p []byte, at, depth int) (int, error) {
	if depth > maxDepth {
		return at, &syntaxError{at, fmt.Sprintf("values lie more than %d deep in one another", maxDepth)}
	}
	object, closing := p[at] == '{', byte(']')
	if object {
		closing = '}'
	}
	at, err := follow(p, at+1)
	if err != nil {
		return at, err
	}
	if p[at] == closing {
		return at + 1, nil
	}
	for {
		if object {
			if at, err = nameEnd(p, at); err != nil {
				return at, err
			}
		}
		if _, at, err = value(p, at, depth); err != nil {
			return at, err
		}
		if at, err = follow(p, at); err != nil {
			return at, err
		}
		if p[at] == closing {
			return at + 1, nil
		}
		if at, err = expect(p, at, ',', "neither a comma nor a bracket after a value"); err != nil {
			return at, err
		}
		if at, err = follow(p, at); err != nil {
			return at, err
		}
	}
}

// nameEnd skips a name, its colon and white space.
func nameEnd(p []byte, at int) (int, error) {
	if p[at] != '"' {
		return at, &syntaxError{at, "a name in double quotes is missing"}
	}
	at, _, err := stringEnd(p, at+1)
	if err != nil {
		return at, err
	}
	if at, err = expect(p, at+1, ':', "a colon is missing after a name"); err != nil {
		return at, err
	}
	return follow(p, at)
}

// stringEnd finds the quote that ends a string.
func stringEnd(p []byte, at int) (end int, escaped bool, err error) {
	for ; at < len(p); at++ {
		switch c := p[at]; {
		case c == '"':
			return at, escaped, nil
		case c == '\\':
			escaped = true
			if at, err = escapeEnd(p, at); err != nil {
				return at, escaped, err
			}
		case c < ' ':
			return at, escaped, &syntaxError{at, fmt.Sprintf("a control character, U+%04X, in a string; write it as an escape", c)}
		}
	}
	return at, escaped, ends(p)
}

// escapeEnd finds the last character of an escape.
func escapeEnd(p []byte, at int) (int, error) {
	if at+1 >= len(p) {
		return len(p), ends(p)
	}
	switch p[at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at + 1, nil
	case 'u':
		for i := at + 2; i < at+6; i++ {
			if i == len(p) {
				return len(p), ends(p)
			}
			if _, ok := hexDigit(p[i]); !ok {
				return at, &syntaxError{at, "an escape \\u without four hexadecimal digits"}
			}
		}
		return at + 5, nil
	}
	return at, &syntaxError{at, "an escape that JSON does not have"}
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case c-'0' <= 9:
		return rune(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10, true
	}
	return 0, false
}

// number finds the end of a number and checks its form.
func number(p []byte, at int) (end int, ok bool) {
	if p[at] == '-' {
		at++
	}
	whole := digits(p, at)
	at += whole
	ok = whole == 1 || whole > 1 && p[at-whole] != '0'
	if ok && at < len(p) && p[at] == '.' {
		n := digits(p, at+1)
		at += 1 + n
		ok = n > 0
	}
	if ok && at < len(p) && (p[at] == 'e' || p[at] == 'E') {
		at++
		if at < len(p) && (p[at] == '+' || p[at] == '-') {
			at++
		}
		n := digits(p, at)
		at += n
		ok = n > 0
	}
	return at, ok
}

// numberEnd finds the end of a number that other text must follow.
func numberEnd(p []byte, at int) (int, error) {
	end, ok := number(p, at)
	switch {
	case end == len(p):
		return end, ends(p)
	case !ok:
		return at, &syntaxError{at, "a number that JSON does not have"}
	}
	return end, nil
}

// digits counts the digits from an index on.
func digits(p []byte, at int) int {
	n := 0
	for at+n < len(p) && p[at+n]-'0' <= 9 {
		n++
	}
	return n
}

var errSurrogate = errors.New("the string has an unpaired surrogate, which is not a character")

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape replaces the escapes of a string in place; stringEnd has checked them.
func unescape(s []byte) ([]byte, error) {
	n := 0
	for i := 0; i < len(s); {
		switch {
		case s[i] != '\\':
			s[n] = s[i]
			n++
			i++
		case s[i+1] != 'u':
			s[n] = escapes[s[i+1]]
			n++
			i += 2
		default:
			r, size := escapedRune(s[i:])
			if size == 0 {
				return nil, errSurrogate
			}
			n += utf8.EncodeRune(s[n:], r)
			i += size
		}
	}
	return s[:n], nil
}

// escapedRune reads \uXXXX, or a surrogate pair of two of them; the size of an unpaired
// surrogate is 0.
func escapedRune(s []byte) (r rune, size int) {
	r = fourDigits(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) < 12 || s[6] != '\\' || s[7] != 'u' {
		return 0, 0
	}
	if r = utf16.DecodeRune(r, fourDigits(s[8:])); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

func fourDigits(s []byte) rune {
	r := rune(0)
	for _, c := range s[:4] {
		d, _ := hexDigit(c)
		r = r<<4 | d
	}
	return r
}
