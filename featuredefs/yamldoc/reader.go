package yamldoc

import (
	"regexp"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
)

// Reader reads the files of a project and reports errors in them. The zero Reader is ready to
// use.
type Reader struct {
	diag.Reporter
	unread map[string]bool // names of definitions in documents that could not be read
}

// definedName matches the name of a definition.
var definedName = regexp.MustCompile(`(?m)^name:[ \t]+["']?([A-Za-z_]\w*)`)

// MarkUnread records the names that a text defines, since it could not be read. An error was
// reported for it; a reference to one of the names needs no second error.
func (r *Reader) MarkUnread(text string) {
	for _, m := range definedName.FindAllStringSubmatch(text, -1) {
		if r.unread == nil {
			r.unread = map[string]bool{}
		}
		r.unread[m[1]] = true
	}
}

// Unread reports whether a definition of this name could not be read.
func (r *Reader) Unread(name string) bool { return r.unread[name] }

// File is a file with a text; its name is relative to the project, with slashes.
func (r *Reader) File(name string, text []byte) *File {
	f := newFile(name, text)
	r.Keep(name, f.lines)
	return f
}

// Documents parses the documents of a file. Those with syntax errors are reported and left
// out.
func (r *Reader) Documents(f *File) []*Node {
	if pos, bad := f.invalidUTF8(); bad {
		r.Errorf(pos, RuleYAMLSyntax, "the file is not UTF-8 from here on; save it as UTF-8")
		r.MarkUnread(strings.Join(f.lines, "\n"))
		return nil
	}
	var nodes []*Node
	for _, d := range f.documents() {
		errors := len(r.Found)
		if n := parseDocument(&r.Reporter, d); n != nil {
			nodes = append(nodes, n)
		} else if len(r.Found) > errors {
			r.MarkUnread(d.text())
		}
	}
	return nodes
}
