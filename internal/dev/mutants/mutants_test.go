package main

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// Every mutant changes exactly one place in the current sources, and the result parses.
func TestMutantsApply(t *testing.T) {
	for _, m := range slices.Concat(tables...) {
		text, err := m.apply(root)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if m.old == m.new {
			t.Errorf("%s changes nothing", m.name)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, text, parser.SkipObjectResolution); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestMutantsAreDescribed(t *testing.T) {
	tag := regexp.MustCompile(`^[boknwcp][0-9]+$`)
	name := regexp.MustCompile(`^[a-z0-9-]+$`)
	pitfalls, err := os.ReadFile(filepath.Join(root, "docs", "pitfalls.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range slices.Concat(tables...) {
		if seen[m.name] || !name.MatchString(m.name) {
			t.Errorf("%q is the name of two mutants, or not a valid file name", m.name)
		}
		seen[m.name] = true
		if !tag.MatchString(m.tag) || !bytes.Contains(pitfalls, fmt.Appendf(nil, "| %s |", m.tag)) {
			t.Errorf("%s: docs/pitfalls.md has no line %q", m.name, m.tag)
		}
		if !strings.HasSuffix(m.breaks, ".") || len(m.tests) == 0 && m.compiled == "" {
			t.Errorf("%s: describe in a sentence what it breaks, and name the packages that test it", m.name)
		}
		for _, pkg := range m.tests {
			if found, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go")); err != nil || len(found) == 0 {
				t.Errorf("%s: %s has no tests", m.name, pkg)
			}
		}
	}
	if len(seen) < 25 {
		t.Errorf("there are only %d mutants", len(seen))
	}
}

func TestApplyWantsOnePlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte("a b a"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, want string }{{"b", "a c a"}, {"a", ""}, {"d", ""}} {
		got, err := (&mutant{file: "x.go", old: tc.old, new: "c"}).apply(dir)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: %q, %v", tc.old, got, err)
		}
	}
}

func TestVerdictsOfGoTest(t *testing.T) {
	for _, tc := range []struct {
		out        string
		unfinished bool
		failure    string
	}{
		{"--- FAIL: TestB1_Edges (0.00s)\n    --- FAIL: TestB1_Edges/tail (0.00s)\nFAIL\n", false, "TestB1_Edges"},
		{"panic: runtime error: index out of range\n\ngoroutine 7\nFAIL\tx\t0.1s\n", false, "a panic"},
		{"# x\n./x.go:3:2: undefined: y\nFAIL\tx [build failed]\nFAIL\n", true, "a failure"},
		{"panic: test timed out after 2m0s\nrunning tests:\n\tTestX (2m0s)\n", true, "a panic"},
	} {
		if got := unfinished.MatchString(tc.out); got != tc.unfinished {
			t.Errorf("unfinished(%q) = %v", tc.out, got)
		}
		if got := firstFailure([]byte(tc.out)); got != tc.failure {
			t.Errorf("firstFailure(%q) = %q", tc.out, got)
		}
	}
}

func TestMissedMutantsAreAnError(t *testing.T) {
	for _, tc := range []struct {
		verdicts []verdict
		ok       bool
	}{{[]verdict{isCaught, isCaught}, true}, {[]verdict{isCaught, isMissed}, false}, {[]verdict{isBroken}, false}} {
		outcomes := make(chan outcome, len(tc.verdicts))
		for _, v := range tc.verdicts {
			outcomes <- outcome{mutant: mutant{name: "x", breaks: "y."}, verdict: v}
		}
		close(outcomes)
		if err := report(outcomes); (err == nil) != tc.ok {
			t.Errorf("%v: %v", tc.verdicts, err)
		}
	}
}
