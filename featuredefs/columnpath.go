package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// maxPath bounds how many names a field: has.
const maxPath = 32

// parsePath reads the field: of a column: names joined by dots, or a list of names, which may
// then have dots in them. It is nil without one, and after reporting an error.
func (l *loader) parsePath(decl *sourceDecl, column string, o *yamldoc.Object) []string {
	n := o.Get("field")
	if n == nil {
		return nil
	}
	var path []string
	if n.Kind == yamldoc.Scalar {
		path = strings.Split(n.Text, ".")
	} else if path = o.Texts("field"); n.Kind != yamldoc.Sequence {
		return nil
	}
	switch s := decl.source; {
	case len(path) == 0 || slices.Contains(path, ""):
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "column %s.field has an empty name in it; write the names from the outside in, like merchant.city", column)
	case len(path) > maxPath:
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "column %s.field has %d names; at most %d are allowed", column, len(path), maxPath)
	case s.SQL != "":
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "column %s.field applies to the files of from:; let sql: name the column, such as SELECT %s AS %s", column, sqlPath(path), column)
	case strings.Contains(s.From, "://"):
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "column %s.field applies to files of this machine; copy them here, or name the column in sql:, such as SELECT %s AS %s FROM read_parquet('%s')",
			column, sqlPath(path), column, s.From)
	default:
		return path
	}
	return nil
}

// sqlPath writes a path as SQL does.
func sqlPath(path []string) string {
	quoted := make([]string, len(path))
	for i, name := range path {
		quoted[i] = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ".")
}

// checkPaths refuses two columns of which one lies where the other does, or inside it.
func (l *loader) checkPaths(decl *sourceDecl) {
	type place struct {
		column string
		path   []string
	}
	at := map[string]place{} // by the path, with a zero byte behind each name
	key := func(path []string) string { return strings.Join(path, "\x00") + "\x00" }
	for _, c := range decl.columns {
		p := place{c.Name, decl.source.Paths[c.Name]}
		if p.path == nil {
			p.path = []string{c.Name}
		}
		if other, ok := at[key(p.path)]; ok && other.column != c.Name {
			l.Errorf(c.node.Pos, yamldoc.RuleWrongValue, "columns %s and %s both read %s; keep one", other.column, c.Name, sqlPath(p.path))
			continue
		}
		at[key(p.path)] = p
	}
	for _, c := range decl.columns {
		path := decl.source.Paths[c.Name]
		for n := 1; n < len(path); n++ {
			if outer, ok := at[key(path[:n])]; ok {
				l.Errorf(c.node.Pos, yamldoc.RuleWrongValue, "column %s reads a field of %s, which column %s reads as one value; remove one of the two", c.Name, sqlPath(path[:n]), outer.column)
			}
		}
	}
}
