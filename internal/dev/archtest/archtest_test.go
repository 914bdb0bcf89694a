package archtest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table into ARCHITECTURE.md")

const root = "../../.."

func TestArchitecture(t *testing.T) {
	files, err := readSources(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			for _, finding := range c.check(files) {
				t.Error(finding)
			}
		})
	}
}

var checks = []struct {
	name  string
	check func([]*file) []string
}{
	{"table", checkTable}, {"rows", checkRows}, {"imports", checkImports}, {"owners", checkOwners}, {"permissions", checkPermissions},
	{"exports", checkExports}, {"unreachable", checkUnreachable},
	{"pure", checkPure}, {"sleeps", checkSleeps}, {"names", checkNames}, {"lengths", checkLengths},
}

func TestDocumentShowsTheTable(t *testing.T) {
	name := filepath.Join(root, "ARCHITECTURE.md")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := embed(string(text))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v", err)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatal("the table in ARCHITECTURE.md differs from that in internal/dev/archtest; run: go test ./internal/dev/archtest -update")
	}
	if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestReadmeNamesEveryDependency(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	direct, _, _ := strings.Cut(string(mod), "// indirect")
	for _, line := range strings.Split(direct, "\n") {
		module, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || !strings.HasPrefix(version, "v") {
			continue
		}
		if !strings.Contains(string(readme), "`"+module+"`") && !strings.HasPrefix(module, "buf.build/gen/") {
			t.Errorf("README.md does not say why the project depends on %s", module)
		}
	}
}

func TestTableIsConsistent(t *testing.T) {
	var paths []string
	for _, p := range Table {
		if slices.Contains(paths, p.Path) {
			t.Errorf("%s has two rows", p.Path)
		}
		paths = append(paths, p.Path)
		if p.Does == "" {
			t.Errorf("%s: the table does not say what it does", p.Path)
		}
	}
	known := func(pattern string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return matches(pattern, p) }) || within(strings.TrimSuffix(pattern, "/*"), "proto")
	}
	for _, p := range Table {
		for _, to := range p.Imports {
			if !known(to) {
				t.Errorf("%s may import %s, which has no row", p.Path, to)
			}
		}
	}
	for _, o := range Owners {
		for _, p := range o.Packages {
			if !known(p) {
				t.Errorf("%s belongs to %s, which has no row", o.Module, p)
			}
		}
	}
	for _, p := range slices.Concat(Pure, TestPackages) {
		if !slices.Contains(paths, p) {
			t.Errorf("%s has no row", p)
		}
	}
}

// Each check finds the violations that it is for.
func TestChecksFindViolations(t *testing.T) {
	for _, c := range []struct {
		rule, file, source, want string
	}{
		{"table", "internal/surprise/x.go", "package surprise", "package internal/surprise has no row"},
		{"imports", "featuredefs/plan/x.go", `package plan; import _ "github.com/unskew/unskew/internal/kernel"`, "featuredefs/plan must not import internal/kernel"},
		{"imports", "internal/kernel/window/x.go", `package window; import _ "github.com/unskew/unskew/internal/kernel/expr"`, "internal/kernel/window must not import internal/kernel/expr"},
		{"imports", "cmd/unskew/x.go", `package main; import _ "github.com/unskew/unskew/internal/redistest"`, "internal/redistest is for tests only"},
		{"owners", "server/x.go", `package server; import _ "github.com/redis/rueidis"`, "server must not import github.com/redis/rueidis"},
		{"owners", "server/x_test.go", `package server; import _ "github.com/duckdb/duckdb-go/v2"`, "server must not import github.com/duckdb/duckdb-go/v2"},
		{"owners", "server/x.go", `package server; import _ "example.com/left/pad"`, "example.com/left/pad has no owner"},
		{"owners", "internal/celenv/x.go", `package celenv; import _ "pgregory.net/rapid"`, "internal/celenv must not import pgregory.net/rapid"},
		{"unreachable", "server/x.go", `package server; import _ "github.com/unskew/unskew/internal/duckdb"`, "server → internal/duckdb"},
		{"exports", "sdk/x.go", `package sdk; import "github.com/unskew/unskew/internal/wire"; func F() (x []wire.Frame)`, "uses internal/wire.Frame, which is internal"},
		{"exports", "sdk/x.go", `package sdk; import w "github.com/unskew/unskew/internal/wire"; type T struct { F map[string]*w.Frame; g w.Frame }`, "uses internal/wire.Frame, which is internal"},
		{"exports", "sdk/x.go", `package sdk; import "github.com/unskew/unskew/internal/wire"; var V wire.Frame`, "uses internal/wire.Frame, which is internal"},
		{"exports", "sdk/x.go", `package sdk; import "github.com/unskew/unskew/internal/wire"; type I interface{ M(wire.Frame) }`, "uses internal/wire.Frame, which is internal"},
		{"pure", "internal/kernel/agg/x.go", `package agg; import _ "net/http"`, "must not import net/http"},
		{"pure", "internal/kernel/x.go", `package kernel; import "time"; var t = time.Now()`, "must not use time.Now"},
		{"pure", "internal/kernel/x.go", `package kernel; import clock "time"; var t = clock.Now()`, "must not use time.Now"},
		{"pure", "internal/kernel/x.go", `package kernel; func f() { go f() }`, "must not start a goroutine"},
		{"sleeps", "server/x_test.go", `package server; import "time"; func f() { time.Sleep(1) }`, "a test must not sleep"},
		{"names", "server/util/x.go", "package util", "name a package after what it does"},
		{"lengths", "server/x.go", "package server" + strings.Repeat("\n", 701), "has 701 lines"},
	} {
		found := run(t, c.rule, c.file, c.source)
		if len(found) != 1 || !strings.Contains(found[0], c.want) {
			t.Errorf("%s of %s: found %q, want %q", c.rule, c.file, found, c.want)
		}
	}
}

func TestChecksAllowWhatIsAllowed(t *testing.T) {
	for _, c := range []struct{ rule, file, source string }{
		{"imports", "internal/kernel/agg/x_test.go", `package agg; import _ "github.com/unskew/unskew/internal/oracle"`},
		{"imports", "cmd/unskew/x.go", `package main; import _ "github.com/unskew/unskew/internal/duckdb"`},
		{"owners", "internal/celenv/x_test.go", `package celenv; import _ "pgregory.net/rapid"`},
		{"owners", "proto/unskew/v1/x.go", `package unskewv1; import _ "google.golang.org/protobuf/proto"`},
		{"table", "proto/unskew/v1/x.go", "package unskewv1"},
		{"exports", "sdk/x.go", `package sdk; import "github.com/unskew/unskew/internal/wire"; type t wire.Frame; func f(wire.Frame) { var V wire.Frame; _ = V }`},
		{"exports", "server/x.go", `package server; import "github.com/unskew/unskew/internal/wire"; func F(wire.Frame) {}`},
		{"pure", "internal/kernel/x.go", `package kernel; import "time"; var d = time.Hour`},
		{"pure", "internal/kernel/x_test.go", `package kernel; import _ "os"`},
		{"lengths", "proto/unskew/v1/x.go", "package gen" + strings.Repeat("\n", 701)},
	} {
		if found := run(t, c.rule, c.file, c.source); len(found) > 0 {
			t.Errorf("%s of %s: found %q", c.rule, c.file, found)
		}
	}
}

func TestRowsWithoutCodeAreFound(t *testing.T) {
	found := run(t, "rows", "server/x.go", "package server")
	if len(found) != len(Table)-1 || slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, "package server ") }) {
		t.Errorf("of %d rows, one with code, found %d without: %q", len(Table), len(found), found)
	}
}

func TestUnusedPermissionsAreFound(t *testing.T) {
	all := func(source string) int { return len(run(t, "permissions", "server/x.go", "package server"+source)) }
	none := all("")
	if got := all(`; import _ "github.com/unskew/unskew/internal/vector"`); got != none-1 {
		t.Errorf("with an import of a package there are %d permissions that nobody uses, without %d", got, none)
	}
	if got := all(`; import _ "connectrpc.com/connect"`); got != none-1 {
		t.Errorf("with an import of a module there are %d permissions that nobody uses, without %d", got, none)
	}
	if found := run(t, "permissions", "server/x_test.go", `package server; import _ "github.com/unskew/unskew/internal/vector"`); len(found) != none {
		t.Errorf("an import of a test is a use")
	}
}

func TestUnreachableFollowsOthers(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "server/x.go", `package server; import _ "github.com/unskew/unskew/materializer/online"`)
	write(t, dir, "materializer/online/x.go", `package online; import _ "github.com/unskew/unskew/internal/ingest"`)
	write(t, dir, "internal/ingest/x.go", `package ingest; import _ "github.com/unskew/unskew/internal/duckdb"`)
	files, err := readSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := checkUnreachable(files)
	want := "server → materializer/online → internal/ingest → internal/duckdb"
	if len(found) != 2 || !strings.Contains(found[0], want) {
		t.Errorf("found %q, want %q", found, want)
	}
}

// run applies one rule to a module of one file.
func run(t *testing.T, rule, name, source string) []string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, name, source)
	files, err := readSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.name == rule {
			return c.check(files)
		}
	}
	t.Fatalf("no rule %s", rule)
	return nil
}

func write(t *testing.T, dir, name, source string) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
}
