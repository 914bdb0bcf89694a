package yamldoc

import (
	"strings"
	"unicode"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Offsets maps the characters of a scalar's value to positions in the file: entry i is the
// position of character i, the last entry that of the scalar's end.
type Offsets []plan.Pos

// At returns the position of character i of the value; an i out of range is clamped.
func (o Offsets) At(i int) plan.Pos {
	return o[min(max(i, 0), len(o)-1)]
}

// Offsets walks the source text of a scalar and its value in parallel. Where they cannot be
// matched, the rest maps to the last match: the position is then too early, but never in
// another scalar.
func (n *Node) Offsets() Offsets {
	a := &aligner{file: n.file, style: n.style, line: n.Pos.Line, col: n.Pos.Col}
	value := []rune(n.Text)
	switch n.style {
	case literalBlock, foldedBlock:
		a.enterBlock(value)
	case singleQuoted, doubleQuoted:
		a.col++
	}
	out := make(Offsets, 0, len(value)+1)
	last := a.pos()
	for _, r := range value {
		if at, ok := a.match(r); ok {
			last = at
		}
		out = append(out, last)
	}
	if !a.lost {
		last = a.pos()
	}
	return append(out, last)
}

// aligner is a position in a file that advances over the text of one scalar.
type aligner struct {
	file      *File
	style     scalarStyle
	line, col int // 1-based; col counts characters
	indent    int // block styles: characters before the content of each line
	lost      bool

	text   []rune // of line textOf
	textOf int
}

func (a *aligner) pos() plan.Pos { return a.file.Pos(a.line, a.col) }

func (a *aligner) block() bool { return a.style == literalBlock || a.style == foldedBlock }

// rest returns the current line from the current column on.
func (a *aligner) rest() []rune {
	if a.textOf != a.line {
		a.text, a.textOf = []rune(a.file.line(a.line)), a.line
	}
	if a.col > len(a.text) {
		return nil
	}
	return a.text[a.col-1:]
}

// enterBlock moves from the | or > to the first character of the content. The indentation is
// that of the first line that is not blank, minus the spaces with which the value begins.
func (a *aligner) enterBlock(value []rune) {
	breaks := 0
	for breaks < len(value) && value[breaks] == '\n' {
		breaks++
	}
	spaces := 0
	for breaks+spaces < len(value) && value[breaks+spaces] == ' ' {
		spaces++
	}
	a.line++
	first := a.line + breaks
	l := a.file.line(first)
	a.indent = max(len(l)-len(strings.TrimLeft(l, " "))-spaces, 0)
	a.col = a.indent + 1
}

// match consumes the source text of one character of the value and returns where it begins.
func (a *aligner) match(r rune) (at plan.Pos, ok bool) {
	for !a.lost {
		at = a.pos()
		if n := a.width(r); n > 0 {
			a.col += n
			return at, true
		}
		if !a.lineDone() {
			break
		}
		a.nextLine()
		if r == ' ' || r == '\n' {
			return at, true
		}
	}
	a.lost = true
	return plan.Pos{}, false
}

// width returns how many characters at the current position represent r; 0 if they do not.
func (a *aligner) width(r rune) int {
	rest := a.rest()
	if len(rest) == 0 {
		return 0
	}
	switch {
	case a.style == doubleQuoted && rest[0] == '\\':
		return escapeWidth(rest)
	case a.style == singleQuoted && r == '\'' && len(rest) > 1 && rest[0] == '\'' && rest[1] == '\'':
		return 2
	case rest[0] == r && !(r == ' ' && !a.block() && a.lineDone()):
		return 1
	}
	return 0
}

// escapeWidth returns the length of the escape at the start of rest; an escaped line break
// represents no character.
func escapeWidth(rest []rune) int {
	if len(rest) == 1 {
		return 0
	}
	switch rest[1] {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// lineDone reports whether only white space (or an escaped break) is left on the line.
func (a *aligner) lineDone() bool {
	if a.line > len(a.file.lines) {
		return false
	}
	rest := a.rest()
	for i, r := range rest {
		escapedBreak := a.style == doubleQuoted && r == '\\' && i == len(rest)-1
		if !unicode.IsSpace(r) && !escapedBreak {
			return false
		}
	}
	return true
}

// nextLine moves to the start of the next line's content.
func (a *aligner) nextLine() {
	a.line++
	if a.block() {
		a.col = a.indent + 1
		return
	}
	l := a.file.line(a.line)
	a.col = 1 + len(l) - len(strings.TrimLeft(l, " \t"))
}
