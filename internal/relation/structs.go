package relation

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/nearest"
)

// path is where the files have a column; see plan.Source.
func (rel *Relation) path(column string) []string {
	if path := rel.Paths[column]; path != nil {
		return path
	}
	return []string{column}
}

// inFiles is the column by its name in the files, if it is not a field of a struct.
func (rel *Relation) inFiles(c plan.Field) plan.Field {
	if path := rel.path(c.Name); len(path) == 1 {
		c.Name = path[0]
	}
	return c
}

// taken reports whether a column of the files is none of the relation's: because a declared column has
// its name and lies elsewhere, or because one with another name is the column or a field of it.
func (rel *Relation) taken(name string) bool {
	if _, ok := rel.Paths[name]; ok {
		return true
	}
	for _, path := range rel.Paths {
		if path[0] == name {
			return true
		}
	}
	return false
}

// structField is what a file has at the path of a column.
type structField struct {
	stored
	problem string // completes "column x of …" if it cannot be read; "" otherwise
	missing bool   // the problem is that there is nothing
}

// place adds names to a path for messages.
func place(path []string) string { return strings.Join(path, ".") }

// findFields finds the fields of structs that are columns of the relation.
func (rel *Relation) findFields(elements []format.SchemaElement) (map[string]*structField, error) {
	found := map[string]*structField{}
	for column, path := range rel.Paths {
		if len(path) == 1 {
			continue
		}
		f, err := rel.findField(elements, path)
		if err != nil {
			return nil, err
		}
		found[column] = f
	}
	return found, nil
}

// findField follows a path of several names.
func (rel *Relation) findField(elements []format.SchemaElement, path []string) (*structField, error) {
	f := &structField{}
	var levels maxLevels
	at, leaf := 0, 0
	for depth, name := range path {
		names, next, err := children(elements, at, name, &leaf)
		if err != nil {
			return nil, err
		}
		if f.problem, f.missing = rel.misread(names, path, depth); f.problem != "" {
			return f, nil
		}
		at = next
		e := &elements[at]
		levels.add(e)
		if depth < len(path)-1 {
			if text := storedType(e).text; text != "STRUCT" {
				f.problem = notAStruct(text, path, depth)
				return f, nil
			}
			continue
		}
		f.stored = storedType(e)
		f.name, f.leaf, f.levels = place(path), leaf, levels
		if f.text == "STRUCT" && e.NumChildren.V > 0 {
			names, _, err := children(elements, at, "", new(int))
			if err != nil {
				return nil, err
			}
			f.problem = fmt.Sprintf("is read from %q, which is a STRUCT; name one of its fields: %s", place(path), some(names))
		} else if f.kind == storedOther {
			f.problem = fmt.Sprintf("is read from %q, which is a %s, and no type of a column holds it; let sql: %s", place(path), f.text, conversion(f.text, sqlPath(path)))
		}
	}
	return f, nil
}

// children lists the names below the element at at. If one of them is name, next is its index, and leaf
// is moved to its first leaf.
func children(elements []format.SchemaElement, at int, name string, leaf *int) (names []string, next int, err error) {
	i, n := at+1, *leaf
	for range elements[at].NumChildren.V {
		if i >= len(elements) {
			return nil, 0, fmt.Errorf("its schema ends early")
		}
		names = append(names, elements[i].Name)
		if elements[i].Name == name && next == 0 {
			next, *leaf = i, n
		}
		if i, err = behind(elements, i, &n); err != nil {
			return nil, 0, err
		}
	}
	return names, next, nil
}

// misread says why the names of the columns, or of the fields of a struct, do not lead to path[depth].
func (rel *Relation) misread(names, path []string, depth int) (problem string, missing bool) {
	begin := fmt.Sprintf("is read from %q, and ", place(path))
	if depth == 0 {
		if slices.Contains(names, path[0]) {
			return "", false // two columns of this name are refused elsewhere
		}
		hint := nearest.Hint(path[0], names)
		if slices.Contains(names, place(path)) {
			hint = fmt.Sprintf(", but one whose name has dots in it; to read it, write field: [%q]", place(path))
		}
		return begin + fmt.Sprintf("there is no column %q%s; there are %s", path[0], hint, some(names)), true
	}
	outer := place(path[:depth])
	if a, b, ok := caseCollision(names); ok && a != b {
		return begin + fmt.Sprintf("%q has fields %q and %q, which differ only in case; let sql: rename one of them", outer, a, b), false
	} else if ok {
		return begin + fmt.Sprintf("%q has two fields %q; let sql: rename one of them", outer, a), false
	}
	if rel.Pushed {
		if extra := rel.extra(names, path[:depth]); extra != "" {
			return begin + fmt.Sprintf("%q has the unknown field %q%s", outer, extra, nearest.Hint(extra, []string{path[depth]})), false
		}
	}
	if !slices.Contains(names, path[depth]) {
		return begin + fmt.Sprintf("%q has no field %q%s; it has %s", outer, path[depth], nearest.Hint(path[depth], names), some(names)), true
	}
	return "", false
}

// extra finds a field of the struct at outer that is no column of the relation, and has none in it.
func (rel *Relation) extra(names, outer []string) string {
	for _, name := range names {
		read := false
		for _, path := range rel.Paths {
			read = read || len(path) > len(outer) && slices.Equal(path[:len(outer)], outer) && path[len(outer)] == name
		}
		if !read {
			return name
		}
	}
	return ""
}

// notAStruct says what is wrong if path[depth] is not a struct but has the type text.
func notAStruct(text string, path []string, depth int) string {
	outer := path[:depth+1]
	begin := fmt.Sprintf("is read from %q, and %q is a %s", place(path), place(outer), text)
	switch text {
	case "LIST":
		return begin + fmt.Sprintf(", whose elements have no names; let sql: say which one, such as SELECT %s[1].%s AS x", sqlPath(outer), sqlPath(path[depth+1:]))
	case "MAP":
		return begin + fmt.Sprintf(", whose keys are not fields; let sql: read one, such as SELECT %s['%s'] AS x", sqlPath(outer), path[depth+1])
	}
	return begin + ", which has no fields"
}

// sqlPath writes a path as SQL does.
func sqlPath(path []string) string {
	quoted := make([]string, len(path))
	for i, name := range path {
		quoted[i] = Ident(name)
	}
	return strings.Join(quoted, ".")
}

// fieldOf writes a path of two names as YAML.
func fieldOf(outer, name string) string {
	if strings.ContainsFunc(outer, func(r rune) bool { return r != '_' && r != ' ' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return fmt.Sprintf("[%q, %s]", outer, name)
	}
	return outer + "." + name
}

// some lists names, at most twenty of them.
func some(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
