package diag

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/unskew/unskew/featuredefs/plan"
)

func TestRender_LongLines(t *testing.T) {
	for _, c := range []struct {
		name        string
		length, col int
		first, last rune // of the excerpt
	}{
		{"fits", 160, 160, 'x', 'x'},
		{"at the beginning", 5000, 2, 'x', '…'},
		{"in the middle", 5000, 2500, '…', '…'},
		{"at the end", 5000, 5000, '…', 'x'},
		{"behind the end", 5000, 5001, '…', 'x'},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := []rune(strings.Repeat("x", c.length))
			if c.col <= c.length && c.col > 1 && c.col < c.length {
				source[c.col-1] = '→'
			}
			d := Diagnostic{Pos: plan.Pos{File: "f", Line: 1, Col: c.col}, Source: string(source)}
			lines := strings.Split(d.Render(), "\n")
			text, caret := []rune(lines[1])[2:], utf8.RuneCountInString(lines[2])-3
			if len(text) > excerptWidth || text[0] != c.first || text[len(text)-1] != c.last {
				t.Errorf("the excerpt is %q", string(text))
			}
			if caret > len(text) || caret < len(text) && strings.ContainsRune(string(text), '→') && text[caret] != '→' {
				t.Errorf("the caret is under column %d of %q", caret, string(text))
			}
		})
	}
}

func TestRender_CaretStandsUnderTabsAndWideCharacters(t *testing.T) {
	var r Reporter
	r.Keep("a.yaml", []string{"\tü: x"})
	r.Warnf(plan.Pos{File: "a.yaml", Line: 1, Col: 5}, Rule{ID: "unknown-name"}, "no %s", "x")
	want := "a.yaml:1:5: warning: no x [unknown-name]\n  \tü: x\n  \t   ^\n"
	if got := r.Found[0].Render(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := r.Found.Error(); got+"\n" != strings.SplitAfter(want, "\n")[0] {
		t.Errorf("as an error: %s", got)
	}
}
