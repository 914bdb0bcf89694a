package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pitfallRow  = regexp.MustCompile(`(?m)^\| ([a-z][0-9]+) \|.*\|(.*)\|$`)
	namedTest   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)` in `([a-z/]+)`")
	tagsOfATest = regexp.MustCompile(`^Test((?:[BOKNWCP][0-9]+_?)+)`)
	aTag        = regexp.MustCompile(`[A-Z][0-9]+`)
)

// tagsOf lists the tags in the name of a test: b7 and w4 for TestB7_W4_X.
func tagsOf(test string) (tags []string) {
	if m := tagsOfATest.FindStringSubmatch(test); m != nil {
		for _, tag := range aTag.FindAllString(m[1], -1) {
			tags = append(tags, strings.ToLower(tag))
		}
	}
	return tags
}

// Every pitfall of docs/pitfalls.md names tests that exist and have its tag, and every tag in
// the name of a test is on that page.
func TestPitfallsHaveTests(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "pitfalls.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := readSources(root)
	if err != nil {
		t.Fatal(err)
	}
	pitfalls := map[string]string{} // tag → tests
	for _, m := range pitfallRow.FindAllStringSubmatch(string(page), -1) {
		if _, twice := pitfalls[m[1]]; twice {
			t.Errorf("docs/pitfalls.md has two lines %s", m[1])
		}
		pitfalls[m[1]] = m[2]
	}
	if len(pitfalls) < 50 {
		t.Errorf("found %d pitfalls; has docs/pitfalls.md another form?", len(pitfalls))
	}
	tests := testsOf(files)
	for tag, cell := range pitfalls {
		named := namedTest.FindAllStringSubmatch(cell, -1)
		if len(named) == 0 {
			t.Errorf("docs/pitfalls.md: %s names no test; write `TestX` in `package`", tag)
		}
		for _, m := range named {
			if !slices.Contains(tests[m[2]], m[1]) {
				t.Errorf("docs/pitfalls.md: %s names %s, which %s does not have", tag, m[1], m[2])
			}
			if !slices.Contains(tagsOf(m[1]), tag) {
				t.Errorf("docs/pitfalls.md: %s names %s, whose name does not carry it", tag, m[1])
			}
		}
	}
	for pkg, names := range tests {
		for _, name := range names {
			for _, tag := range tagsOf(name) {
				if _, ok := pitfalls[tag]; !ok {
					t.Errorf("%s in %s is about %s, which is not in docs/pitfalls.md", name, pkg, tag)
				}
			}
		}
	}
}

// testsOf lists the test functions of every package.
func testsOf(files []*file) map[string][]string {
	tests := map[string][]string{}
	for _, f := range files {
		if !f.test {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[f.pkg] = append(tests[f.pkg], fn.Name.Name)
			}
		}
	}
	return tests
}

func TestTagsOfNames(t *testing.T) {
	for name, want := range map[string]string{
		"TestB4_Floor": "b4", "TestB7_W4_Back": "b7 w4", "TestK1K2K3_Keys": "k1 k2 k3", "TestN5_K2_N8_Mistakes": "n5 k2 n8",
		"TestBadRows": "", "TestP": "", "TestWindow_B1": "",
	} {
		if got := strings.Join(tagsOf(name), " "); got != want {
			t.Errorf("%s carries %q, want %q", name, got, want)
		}
	}
}
