package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cel.dev/expr"
	"cel.dev/expr/conformance/test"
	"google.golang.org/protobuf/encoding/prototext"
)

// suiteDir is the directory of the CEL specification's tests in the module cache.
func suiteDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "cel.dev/expr").Output()
	if err != nil {
		return "", fmt.Errorf("find the module cel.dev/expr: %w; run this inside the module, and `go mod download` first", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "tests", "simple", "testdata"), nil
}

// loadSuite reads the files of the suite in the order of their names.
func loadSuite(dir string) ([]*test.SimpleTestFile, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.textproto"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no *.textproto file in %s", dir)
	}
	var files []*test.SimpleTestFile
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f := &test.SimpleTestFile{}
		if err := prototext.Unmarshal(text, f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// testCase is one test with the names of its file and section.
type testCase struct {
	*test.SimpleTest
	file, section string
}

func (c *testCase) name() string { return c.file + "/" + c.section + "/" + c.GetName() }

// cases lists the tests of a file. A test without an expected result expects true.
func cases(f *test.SimpleTestFile) []*testCase {
	var out []*testCase
	for _, s := range f.GetSection() {
		for _, t := range s.GetTest() {
			if t.GetResultMatcher() == nil {
				t.ResultMatcher = &test.SimpleTest_Value{Value: &expr.Value{Kind: &expr.Value_BoolValue{BoolValue: true}}}
			}
			out = append(out, &testCase{SimpleTest: t, file: f.GetName(), section: s.GetName()})
		}
	}
	return out
}
