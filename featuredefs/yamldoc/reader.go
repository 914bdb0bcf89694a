package yamldoc

import "github.com/unskew/unskew/featuredefs/diag"

// Reader reads the files of a project and reports errors in them. The zero Reader is ready to
// use.
type Reader struct{ diag.Reporter }

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
		return nil
	}
	var nodes []*Node
	for _, d := range f.documents() {
		if n := parseDocument(&r.Reporter, d); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
