// Package defstest writes definitions to project folders and loads them, for tests.
package defstest

import (
	"os"
	"path/filepath"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// T is the part of testing.T that rapid.T also has.
type T interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// TempT is a T that can create folders, as *testing.T can.
type TempT interface {
	T
	TempDir() string
}

// The files of a project that Write writes.
const (
	Definitions = featuredefs.FeaturesDir + "/defs.yaml"
	Tests       = featuredefs.FeaturesDir + "/defs_test.yaml"
)

// Write makes dir a project with the definitions and with FeatureTests, if any.
func Write(t T, dir, definitions string, tests ...string) {
	t.Helper()
	files := map[string]string{featuredefs.ConfigFile: "project: test\n", Definitions: definitions}
	for _, text := range tests {
		files[Tests] += text
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Load loads the project in dir and fails the test if it has errors.
func Load(t T, dir string, opts featuredefs.Options) *featuredefs.Project {
	t.Helper()
	p, found, err := featuredefs.Load(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	if found.HasErrors() {
		text, _ := os.ReadFile(filepath.Join(dir, filepath.FromSlash(Definitions)))
		t.Fatalf("%v\nin\n%s", found, text)
	}
	return p
}

// Compile compiles definitions and fails the test if they have errors.
func Compile(t TempT, definitions string) *plan.Plan {
	t.Helper()
	dir := t.TempDir()
	Write(t, dir, definitions)
	return Load(t, dir, featuredefs.Options{}).Plan
}
