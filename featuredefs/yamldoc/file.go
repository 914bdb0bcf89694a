package yamldoc

import (
	"strings"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

// File is the text of one file, kept for positions and carets. Lines end only in \n and have
// no byte order mark.
type File struct {
	name  string // relative to the project, with slashes
	lines []string
}

func newFile(name string, text []byte) *File {
	s := strings.TrimPrefix(string(text), "\ufeff")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return &File{name: name, lines: strings.Split(s, "\n")}
}

// line is the n-th line, 1-based; "" outside the file.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return f.lines[n-1]
}

func (f *File) Pos(line, col int) plan.Pos {
	return plan.Pos{File: f.name, Line: line, Col: col}
}

// invalidUTF8 finds the first byte that is not UTF-8.
func (f *File) invalidUTF8() (plan.Pos, bool) {
	for i, l := range f.lines {
		col := 1
		for len(l) > 0 {
			r, n := utf8.DecodeRuneInString(l)
			if r == utf8.RuneError && n == 1 {
				return f.Pos(i+1, col), true
			}
			l = l[n:]
			col++
		}
	}
	return plan.Pos{}, false
}

// document is one YAML document of a file: the lines [first, last).
type document struct {
	file        *File
	first, last int // indexes into file.lines
}

// documents splits f at its "---" and "..." markers, which YAML allows only at the start of a
// line. Empty documents are left out.
func (f *File) documents() []document {
	var docs []document
	start := 0
	flush := func(end int) {
		if d := (document{f, start, end}); d.hasContent() {
			docs = append(docs, d)
		}
	}
	for i, l := range f.lines {
		switch {
		case isMarker(l, "---"):
			flush(i)
			start = i
		case isMarker(l, "..."):
			flush(i)
			start = i + 1
		}
	}
	flush(len(f.lines))
	return docs
}

func isMarker(line, marker string) bool {
	rest, ok := strings.CutPrefix(line, marker)
	return ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t')
}

func (d document) hasContent() bool {
	for _, l := range strings.Split(d.text(), "\n") {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			return true
		}
	}
	return false
}

// text returns the document with its marker replaced by spaces, so that columns are
// unchanged.
func (d document) text() string {
	text := strings.Join(d.file.lines[d.first:d.last], "\n")
	if d.last < len(d.file.lines) {
		text += "\n"
	}
	if line, _, _ := strings.Cut(text, "\n"); isMarker(line, "---") {
		return "   " + text[3:]
	}
	return text
}
