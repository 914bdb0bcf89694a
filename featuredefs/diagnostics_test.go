package featuredefs_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestDiagnostics loads each project of testdata/diagnostics, laid over that of
// testdata/base.txtar, and compares the rendered diagnostics with the file "want".
func TestDiagnostics(t *testing.T) {
	paths, err := filepath.Glob("testdata/diagnostics/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test projects: %v", err)
	}
	covered := map[diag.RuleID]bool{}
	for _, p := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(p), ".txtar"), func(t *testing.T) {
			archive := readArchive(t, p)
			_, diagnostics := load(t, projectOf(t, archive))
			for _, d := range diagnostics {
				covered[d.Rule] = true
			}
			compareWant(t, p, archive, render(t, diagnostics))
		})
	}
	ofData := []diag.RuleID{featuredefs.RuleSchema.ID, featuredefs.RuleLockMismatch.ID, featuredefs.RuleBadRow.ID, featuredefs.RuleLogShards.ID, featuredefs.RuleTimeIn1970.ID}
	for _, r := range featuredefs.Rules() {
		if !covered[r.ID] && !slices.Contains(ofData, r.ID) {
			t.Errorf("no project in testdata/diagnostics shows rule %s", r.ID)
		}
	}
}

func readArchive(t *testing.T, path string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// projectOf writes the files of testdata/base.txtar and then those of a, except
// "want", into a new folder.
func projectOf(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(readArchive(t, "testdata/base.txtar").Files, a.Files...) {
		if f.Name == "want" {
			continue
		}
		writeFile(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	return dir
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, dir string) (*featuredefs.Project, diag.Diagnostics) {
	t.Helper()
	p, diagnostics, err := featuredefs.Load(dir, featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p, diagnostics
}

func render(t testing.TB, ds diag.Diagnostics) string {
	t.Helper()
	var b strings.Builder
	if err := ds.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compareWant(t *testing.T, path string, a *txtar.Archive, got string) {
	t.Helper()
	for i, f := range a.Files {
		if f.Name != "want" {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if got != string(f.Data) {
			t.Errorf("diagnostics differ from %s (go test -update rewrites it)\ngot:\n%s\nwant:\n%s", path, got, f.Data)
		}
		return
	}
	t.Errorf("%s has no file \"want\"", path)
}

func TestDiagnostic_JSON(t *testing.T) {
	dir := projectOf(t, readArchive(t, "testdata/diagnostics/unknown-name.txtar"))
	_, diagnostics := load(t, dir)
	text, err := json.Marshal(diagnostics[0])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"file", "line", "column", "severity", "rule", "message", "source"} {
		if got[key] == nil {
			t.Errorf("no %q in %s", key, text)
		}
	}
}
