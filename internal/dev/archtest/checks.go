package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// row is the row of Table for a package; generated packages share one.
func row(pkg string) (Package, bool) {
	if within(pkg, "proto") {
		pkg = "proto"
	}
	i := slices.IndexFunc(Table, func(p Package) bool { return p.Path == pkg })
	if i < 0 {
		return Package{}, false
	}
	return Table[i], true
}

// checkTable finds packages without a row.
func checkTable(files []*file) (found []string) {
	missing := map[string]bool{}
	for _, f := range files {
		if _, ok := row(f.pkg); !ok && !missing[f.pkg] {
			missing[f.pkg] = true
			found = append(found, fmt.Sprintf("package %s has no row in the table of internal/dev/archtest; say there what it does and what it may import", f.pkg))
		}
	}
	return found
}

// checkRows finds rows without a package.
func checkRows(files []*file) (found []string) {
	for _, p := range Table {
		exists := func(f *file) bool { return f.pkg == p.Path || p.Path == "proto" && f.generated() }
		if !slices.ContainsFunc(files, exists) {
			found = append(found, fmt.Sprintf("package %s has a row in the table of internal/dev/archtest and no code", p.Path))
		}
	}
	return found
}

// checkImports finds imports of this module's packages that the table does not allow.
func checkImports(files []*file) (found []string) {
	for _, f := range files {
		p, ok := row(f.pkg)
		if !ok || f.test {
			continue
		}
		for _, s := range f.imports {
			to, ok := own(s.path)
			if !ok {
				continue
			}
			if !anyMatches(p.Imports, to) {
				found = append(found, fmt.Sprintf("%s:%d: %s must not import %s", f.path, s.line, f.pkg, to))
			}
			if slices.Contains(TestPackages, to) && !slices.Contains(TestPackages, f.pkg) {
				found = append(found, fmt.Sprintf("%s:%d: %s is for tests only", f.path, s.line, to))
			}
		}
	}
	return found
}

// checkOwners finds imports of modules by packages that do not own them.
func checkOwners(files []*file) (found []string) {
	for _, f := range files {
		for _, s := range f.imports {
			if _, ok := own(s.path); ok || standard(s.path) {
				continue
			}
			if f.test && slices.ContainsFunc(TestModules, func(m string) bool { return within(s.path, m) }) {
				continue
			}
			if owners, ok := ownersOf(s.path); !ok {
				found = append(found, fmt.Sprintf("%s:%d: nobody owns %s; say in internal/dev/archtest who may import it, and in README.md why", f.path, s.line, s.path))
			} else if !anyMatches(owners, f.pkg) {
				found = append(found, fmt.Sprintf("%s:%d: %s must not import %s, which belongs to %s", f.path, s.line, f.pkg, s.path, strings.Join(owners, ", ")))
			}
		}
	}
	return found
}

func ownersOf(importPath string) ([]string, bool) {
	for _, o := range Owners {
		if within(importPath, o.Module) {
			return o.Packages, true
		}
	}
	return nil, false
}

// checkUnreachable finds packages that reach a forbidden one, and how.
func checkUnreachable(files []*file) (found []string) {
	edges := map[string][]string{}
	for _, f := range files {
		for _, s := range f.imports {
			if to, ok := own(s.path); ok && !f.test && !slices.Contains(edges[f.pkg], to) {
				edges[f.pkg] = append(edges[f.pkg], to)
			}
		}
	}
	for _, u := range Unreachable {
		if way := pathBetween(edges, u.From, u.To); way != nil {
			found = append(found, fmt.Sprintf("%s must not depend on %s, but does: %s", u.From, u.To, strings.Join(way, " → ")))
		}
	}
	return found
}

// pathBetween is a shortest chain of imports, nil when there is none.
func pathBetween(edges map[string][]string, from, to string) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range edges[queue[0]] {
			if _, seen := cameFrom[next]; seen {
				continue
			}
			cameFrom[next] = queue[0]
			queue = append(queue, next)
		}
	}
	if _, ok := cameFrom[to]; !ok {
		return nil
	}
	var way []string
	for p := to; p != ""; p = cameFrom[p] {
		way = append(way, p)
	}
	slices.Reverse(way)
	return way
}

// checkPure finds I/O, clocks and goroutines in the pure packages.
func checkPure(files []*file) (found []string) {
	for _, f := range files {
		if f.test || !slices.Contains(Pure, f.pkg) {
			continue
		}
		for _, s := range f.imports {
			if standard(s.path) && slices.ContainsFunc(impure, func(p string) bool { return within(s.path, p) }) {
				found = append(found, fmt.Sprintf("%s:%d: %s is pure and must not import %s", f.path, s.line, f.pkg, s.path))
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				found = append(found, fmt.Sprintf("%s: %s is pure and must not start a goroutine", f.at(g.Pos()), f.pkg))
			}
			return true
		})
		for _, use := range usesOf(f, "time", clocks) {
			found = append(found, fmt.Sprintf("%s: %s is pure and must not use %s", f.at(use.Pos()), f.pkg, "time."+use.Sel.Name))
		}
	}
	return found
}

// checkSleeps finds tests that wait for a time instead of an event.
func checkSleeps(files []*file) (found []string) {
	for _, f := range files {
		if !f.test && !slices.Contains(TestPackages, f.pkg) {
			continue
		}
		for _, use := range usesOf(f, "time", []string{"Sleep"}) {
			found = append(found, fmt.Sprintf("%s: a test must not sleep; wait for what it waits for", f.at(use.Pos())))
		}
	}
	return found
}

// usesOf finds uses of the named members of an imported package.
func usesOf(f *file, importPath string, members []string) (uses []*ast.SelectorExpr) {
	i := slices.IndexFunc(f.imports, func(s importSpec) bool { return s.path == importPath })
	if i < 0 {
		return nil
	}
	name := f.imports[i].name
	if name == "" {
		name = importPath[strings.LastIndexByte(importPath, '/')+1:]
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(members, sel.Sel.Name) {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name {
				uses = append(uses, sel)
			}
		}
		return true
	})
	return uses
}

// checkNames finds packages whose name says nothing.
func checkNames(files []*file) (found []string) {
	for _, f := range files {
		if slices.Contains(badNames, strings.TrimSuffix(f.name, "_test")) {
			found = append(found, fmt.Sprintf("%s: package %s; name a package after what it does", f.path, f.name))
		}
	}
	return found
}

// checkLengths finds files too long to be read at once.
func checkLengths(files []*file) (found []string) {
	for _, f := range files {
		if f.lines > maxLines && !f.generated() {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d; a file is about one subject", f.path, f.lines, maxLines))
		}
	}
	return found
}
