package featuredefs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs"
)

// TestJunk_NeverPanics damages a good project at random. Loading still ends, and every
// diagnostic has a position in a file.
func TestJunk_NeverPanics(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "features", "a.yaml")
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	good := []rune(identity + "---\n" + testedProject)
	pieces := []string{"", " ", "\n", "\t", ":", ": ", "- ", "[", "]", "{", "}", "'", "\"", "|\n", ">", "&a ", "*a", "<<: ", "!!str ", "---\n", "...",
		"#", "%", "@", "?", "\\", "\x00", "ü", "null", "sum(", ")", ".where(", "count()", "1", "\r\n", "\"7d\"", ".by(qty)", "now", "spend."}
	rapid.Check(t, func(t *rapid.T) {
		text := good
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			from := rapid.IntRange(0, len(text)).Draw(t, "from")
			to := min(len(text), from+rapid.IntRange(0, 12).Draw(t, "length"))
			piece := []rune(rapid.SampledFrom(pieces).Draw(t, "piece"))
			text = append(append(append([]rune{}, text[:from]...), piece...), text[to:]...)
		}
		checkLoads(t, dir, path, string(text))
	})
}

func TestJunk_ArbitraryBytes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "features", "a.yaml")
	writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
	rapid.Check(t, func(t *rapid.T) {
		checkLoads(t, dir, path, string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")))
	})
}

func checkLoads(t rapid.TB, dir, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, diagnostics, err := featuredefs.Load(dir, featuredefs.Options{Schemas: inferred})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for _, d := range diagnostics {
		if d.Pos.Line < 1 || d.Pos.Line > len(lines)+1 || d.Pos.Col < 1 || d.Message == "" || d.Rule == "" {
			t.Fatalf("diagnostic %+v", d)
		}
	}
}

// TestJunk_Hostile: input that would exhaust a naive reader is refused quickly.
func TestJunk_Hostile(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 30; i++ {
		prev, name := "*a"+string(rune('A'+i-1)), "a"+string(rune('A'+i))
		if i == 1 {
			prev = "*a0"
		}
		laughs.WriteString(name + ": &" + name + " [" + strings.Repeat(prev+", ", 9) + prev + "]\n")
	}
	for _, c := range []struct{ name, text string }{
		{"aliases", laughs.String()},
		{"brackets", "a: " + strings.Repeat("[", 100_000)},
		{"indentation", deepIndent(500)},
		{"long expression", strings.Replace(identity, "sum(qty)", strings.Repeat("1 + ", 10_000)+"1", 1)},
		{"nested expression", strings.Replace(identity, "sum(qty)", strings.Repeat("(", 5_000)+"1"+strings.Repeat(")", 5_000), 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: p\n")
			writeFile(t, filepath.Join(dir, "features", "a.yaml"), c.text)
			if _, diagnostics := load(t, dir); !diagnostics.HasErrors() {
				t.Error("no error")
			}
		})
	}
}

func deepIndent(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
