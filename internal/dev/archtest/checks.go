package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// row returns the row of Table for a package; generated packages share one.
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
			found = append(found, fmt.Sprintf("package %s has no row in the table of internal/dev/archtest; add one with its purpose and its permitted imports", f.pkg))
		}
	}
	return found
}

// checkRows finds rows without a package.
func checkRows(files []*file) (found []string) {
	for _, p := range Table {
		exists := func(f *file) bool { return f.pkg == p.Path || p.Path == "proto" && f.generated() }
		if !slices.ContainsFunc(files, exists) {
			found = append(found, fmt.Sprintf("package %s has a row in the table of internal/dev/archtest but no code", p.Path))
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
			if f.test && forTests(s.path) {
				continue
			}
			if i := ownerOf(s.path); i < 0 {
				found = append(found, fmt.Sprintf("%s:%d: %s has no owner; add one in internal/dev/archtest, and the reason for it in README.md", f.path, s.line, s.path))
			} else if owners := Owners[i].Packages; !anyMatches(owners, f.pkg) {
				found = append(found, fmt.Sprintf("%s:%d: %s must not import %s; only %s may", f.path, s.line, f.pkg, s.path, strings.Join(owners, ", ")))
			}
		}
	}
	return found
}

// forTests reports whether every test may import a package.
func forTests(importPath string) bool {
	return slices.ContainsFunc(TestModules, func(m string) bool { return within(importPath, m) })
}

// ownerOf is the index in Owners of the module that an import path belongs to, or -1.
func ownerOf(importPath string) int {
	for i, o := range Owners {
		if within(importPath, o.Module) {
			return i
		}
	}
	return -1
}

// checkPermissions finds permissions of Table and Owners that are not used.
func checkPermissions(files []*file) (found []string) {
	for _, p := range Table {
		for _, pattern := range p.Imports {
			uses := func(f *file) bool {
				r, ok := row(f.pkg)
				return ok && r.Path == p.Path && !f.test && f.importsAny(func(to string) bool { to, ok := own(to); return ok && matches(pattern, to) })
			}
			if !slices.ContainsFunc(files, uses) {
				found = append(found, fmt.Sprintf("%s may import %s but does not; remove the permission from the table of internal/dev/archtest", p.Path, pattern))
			}
		}
	}
	for i, o := range Owners {
		for _, pattern := range o.Packages {
			uses := func(f *file) bool {
				return matches(pattern, f.pkg) && f.importsAny(func(to string) bool { return ownerOf(to) == i && !(f.test && forTests(to)) })
			}
			if !slices.ContainsFunc(files, uses) {
				found = append(found, fmt.Sprintf("%s may import %s but does not; remove it from the owners in internal/dev/archtest", pattern, o.Module))
			}
		}
	}
	return found
}

// checkExports finds exported declarations of Public packages with a type of an internal
// package, which users of the package cannot name.
func checkExports(files []*file) (found []string) {
	for _, f := range files {
		if f.test || !slices.Contains(Public, f.pkg) {
			continue
		}
		internal := map[string]string{}
		for _, s := range f.imports {
			if to, ok := own(s.path); ok && within(to, "internal") {
				internal[s.as()] = to
			}
		}
		for _, node := range exported(f.syntax) {
			ast.Inspect(node, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && internal[x.Name] != "" {
						found = append(found, fmt.Sprintf("%s: an exported declaration of %s uses %s.%s, which is internal", f.at(sel.Pos()), f.pkg, internal[x.Name], sel.Sel.Name))
					}
				}
				return true
			})
		}
	}
	return found
}

// exported lists the types in exported declarations that users of a package see: those of
// parameters, results, constants, variables and exported fields, and methods of interfaces.
func exported(f *ast.File) (nodes []ast.Node) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() {
				nodes = append(nodes, d.Type)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						nodes = append(nodes, s.Type)
					}
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						nodes = append(nodes, visible(s.Type)...)
					}
				}
			}
		}
	}
	return nodes
}

// visible is the type itself, or the types of the exported fields of a struct.
func visible(t ast.Expr) (nodes []ast.Node) {
	s, ok := t.(*ast.StructType)
	if !ok {
		return []ast.Node{t}
	}
	for _, field := range s.Fields.List {
		if len(field.Names) == 0 || slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
			nodes = append(nodes, field.Type)
		}
	}
	return nodes
}

// checkUnreachable finds packages that reach a forbidden one, and the chain of imports.
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

// pathBetween is a shortest chain of imports, nil if there is none.
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

// checkSleeps finds tests that sleep.
func checkSleeps(files []*file) (found []string) {
	for _, f := range files {
		if !f.test && !slices.Contains(TestPackages, f.pkg) {
			continue
		}
		for _, use := range usesOf(f, "time", []string{"Sleep"}) {
			found = append(found, fmt.Sprintf("%s: a test must not sleep; wait for an event instead", f.at(use.Pos())))
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
	name := f.imports[i].as()
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

// checkNames finds packages whose name does not say what they do.
func checkNames(files []*file) (found []string) {
	for _, f := range files {
		if slices.Contains(badNames, strings.TrimSuffix(f.name, "_test")) {
			found = append(found, fmt.Sprintf("%s: package %s; name a package after what it does", f.path, f.name))
		}
	}
	return found
}

// checkLengths finds files that are too long.
func checkLengths(files []*file) (found []string) {
	for _, f := range files {
		if f.lines > maxLines && !f.generated() {
			found = append(found, fmt.Sprintf("%s has %d lines, more than %d; split it by subject", f.path, f.lines, maxLines))
		}
	}
	return found
}
