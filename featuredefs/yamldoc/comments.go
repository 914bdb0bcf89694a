package yamldoc

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Comment is a comment and the lines it applies to: at the end of a line, that line; on its
// own line, the next one, or the whole document if it is the document's first line.
type Comment struct {
	Pos         plan.Pos // of the #
	Text        string   // after the #, trimmed
	First, Last int      // counted from 1
}

// Comments lists the comments of a file; in a document with a syntax error, those before the
// error.
func (f *File) Comments() []Comment {
	var comments []Comment
	for _, d := range f.documents() {
		if !strings.Contains(d.text(), "#") {
			continue
		}
		for _, at := range commentPlaces(d.text()) {
			comments = append(comments, d.comment(d.first+at.Line, at.Col))
		}
	}
	return comments
}

// commentPlaces returns where the comments of a document begin.
func commentPlaces(text string) (places []plan.Pos) {
	defer func() { _ = recover() }() // the lexer panics on some malformed input, which the parser reports
	lines := strings.Split(text, "\n")
	for _, t := range lexer.Tokenize(text) {
		if t.Type != token.CommentType || t.Position.Line < 1 || t.Position.Line > len(lines) {
			continue
		}
		// The column may be that of the # or of the text after it.
		line := []rune(lines[t.Position.Line-1])
		for col := min(t.Position.Column, len(line)); col >= 1; col-- {
			if line[col-1] == '#' {
				places = append(places, plan.Pos{Line: t.Position.Line, Col: col})
				break
			}
		}
	}
	return slices.Compact(places)
}

func (d document) comment(line, col int) Comment {
	text := []rune(d.file.line(line))
	c := Comment{Pos: d.file.Pos(line, col), Text: strings.TrimSpace(string(text[col:])), First: line, Last: line}
	if strings.TrimSpace(string(text[:col-1])) == "" {
		c.First, c.Last = d.below(line)
	}
	return c
}

// below returns the first line with content below a line, or all lines of the document if
// that line is its first.
func (d document) below(line int) (first, last int) {
	above := false
	for i, text := range strings.Split(d.text(), "\n") {
		n := d.first + 1 + i
		text = strings.TrimSpace(text)
		switch {
		case text == "" || text[0] == '#':
		case n < line:
			above = true
		case above:
			return n, n
		default:
			return d.first + 1, d.last
		}
	}
	return line, line
}
