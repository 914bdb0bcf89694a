package yamldoc

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestOffsets checks that each character of a value that is not white space is at the
// position that offsets returns, in every style of scalar.
func TestOffsets(t *testing.T) {
	for _, text := range []string{
		"v: a + b\n",
		"v:   a +\n   b\n     c\n",
		"v: a +\n\n   b\n",
		"v: 'it''s ''quoted'' '\n",
		"v: 'a\n  b\n\n  c'\n",
		"v: \"a\\tb \\u00e9 \\x41 \\\"q\\\" \\\\ z\"\n",
		"v: \"a\\\n   b c\"\n",
		"v: |\n  a\n    b\n\n  c\n",
		"v: |2\n    a\n   b\n",
		"v: |-\n\n  a\n  b\n",
		"v: >\n  a\n  b\n\n  c\n",
		"v: >-\n  a\n    more\n  b\n\n\n  c\n",
		"v: > # comment\n  a b\n",
		"x: {y: ü, v: é + 'q'}\nv: 😀 + b\n",
		"v: |\n  a\n  b",
		"k: 1\r\nv: |\r\n  a\r\n  b\r\n",
	} {
		n, _ := parseOne(t, text)
		checkOffsets(t, n)
	}
}

func checkOffsets(t rapid.TB, n *Node) {
	t.Helper()
	places := n.Offsets()
	value := []rune(n.Text)
	if len(places) != len(value)+1 {
		t.Fatalf("%d positions for %d characters", len(places), len(value))
	}
	for i, r := range value {
		if r == ' ' || r == '\n' || r == '\t' {
			continue
		}
		line := []rune(n.file.line(places[i].Line))
		if places[i].Col > len(line) {
			t.Fatalf("character %d (%q) of %q has a position beyond line %d", i, r, n.Text, places[i].Line)
		}
		if got := line[places[i].Col-1]; got != r && got != '\\' {
			t.Fatalf("character %d (%q) of %q has position %d:%d, where the file has %q", i, r, n.Text, places[i].Line, places[i].Col, got)
		}
	}
}

// TestOffsets_Random writes random lines as a scalar of a random style.
func TestOffsets_Random(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "bb", "ü", "x + y", "f(z)", "'q'", "\"d\"", "é😀", "1"})
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(word, 1, 5).Draw(t, "lines")
		indent := strings.Repeat(" ", rapid.IntRange(1, 4).Draw(t, "indent"))
		style := rapid.SampledFrom([]string{"|", ">", "|-", ">+", "'", "\""}).Draw(t, "style")
		blank := rapid.SampledFrom([]string{"\n", "\n\n", "\n\n\n"})
		var b strings.Builder
		for i, l := range lines {
			if i > 0 {
				b.WriteString(blank.Draw(t, "break") + indent)
			}
			b.WriteString(l)
		}
		body := b.String()
		text := ""
		switch style {
		case "'":
			text = "v: '" + strings.ReplaceAll(body, "'", "''") + "'\n"
		case "\"":
			text = "v: \"" + strings.ReplaceAll(body, "\"", "\\\"") + "\"\n"
		default:
			text = "v: " + style + "\n" + indent + body + "\n"
		}
		n, _ := parseOne(t, fmt.Sprintf("k: 1\n%s", text))
		checkOffsets(t, n)
	})
}

// TestOffsets_StayInside: whatever value a node claims to have, its positions are in the
// file and never descend.
func TestOffsets_StayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFile("a.yaml", []byte(rapid.StringOfN(rapid.SampledFrom([]rune("ab' \"\\\n|>:ü")), 0, 40, -1).Draw(t, "file")))
		n := &Node{
			file:  f,
			Pos:   f.Pos(rapid.IntRange(1, 3).Draw(t, "line"), rapid.IntRange(1, 10).Draw(t, "column")),
			style: rapid.SampledFrom([]scalarStyle{plainStyle, singleQuoted, doubleQuoted, literalBlock, foldedBlock}).Draw(t, "style"),
			Text:  rapid.StringOfN(rapid.SampledFrom([]rune("ab' \"\\\nü")), 0, 20, -1).Draw(t, "value"),
		}
		places := n.Offsets()
		for i := 1; i < len(places); i++ {
			a, b := places[i-1], places[i]
			if b.Line < a.Line || b.Line == a.Line && b.Col < a.Col {
				t.Fatalf("position %d is %v, after %v", i, b, a)
			}
		}
	})
}
