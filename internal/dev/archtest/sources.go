// Package archtest checks the architecture: which package may import which, which packages
// may use a dependency, and what pure packages must not do.
//
// It reads the imports of every source file, whatever its build tags, and compares
// them with the tables in table.go. ARCHITECTURE.md shows the same tables.
package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module whose sources are read.
const Module = "github.com/unskew/unskew"

// file is one parsed source file.
type file struct {
	path    string // from the module root, with slashes
	pkg     string // its directory, as in Table
	name    string // in its package clause
	test    bool
	lines   int
	imports []importSpec
	syntax  *ast.File
	fset    *token.FileSet
}

type importSpec struct {
	path string
	name string // the name in the import declaration, "" if there is none
	line int
}

// as is the name by which the file refers to the package.
func (s importSpec) as() string {
	if s.name != "" {
		return s.name
	}
	return s.path[strings.LastIndexByte(s.path, '/')+1:]
}

// importsAny reports whether fits is true for an import path of the file.
func (f *file) importsAny(fits func(importPath string) bool) bool {
	return slices.ContainsFunc(f.imports, func(s importSpec) bool { return fits(s.path) })
}

func (f *file) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(pos).Line)
}

// generated reports whether the file belongs to the generated code.
func (f *file) generated() bool { return within(f.pkg, "proto") }

// skippedDirs contain no sources of the module: data, other modules, outputs.
var skippedDirs = []string{"testdata", "tools", "bin", "demo-out", "node_modules"}

// readSources parses every Go file of the module under root.
func readSources(root string) ([]*file, error) {
	var files []*file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains(skippedDirs, d.Name())) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f, err := readSource(fset, p, filepath.ToSlash(rel))
		files = append(files, f)
		return err
	})
	return files, err
}

func readSource(fset *token.FileSet, name, rel string) (*file, error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	syntax, err := parser.ParseFile(fset, rel, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &file{
		path:   rel,
		pkg:    path.Dir(rel),
		name:   syntax.Name.Name,
		test:   strings.HasSuffix(rel, "_test.go"),
		lines:  bytes.Count(src, []byte("\n")),
		syntax: syntax,
		fset:   fset,
	}
	for _, s := range syntax.Imports {
		spec := importSpec{line: fset.Position(s.Pos()).Line}
		if spec.path, err = strconv.Unquote(s.Path.Value); err != nil {
			return nil, err
		}
		if s.Name != nil {
			spec.name = s.Name.Name
		}
		f.imports = append(f.imports, spec)
	}
	return f, nil
}

// own converts an import path of this module to a path from its root.
func own(importPath string) (string, bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

// standard reports whether an import path belongs to the standard library.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// within reports whether p is dir or below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// matches reports whether a pattern matches p: it is p, or "dir/*", which matches everything
// below dir.
func matches(pattern, p string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, dir+"/")
	}
	return pattern == p
}

func anyMatches(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}
