package yamldoc

import (
	"regexp"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Inside braces and brackets, YAML ends an unquoted value at the first comma, bracket or
// colon, and so splits expressions: {expr: mean(amount, "7d"), default: 0}. Part of the rest
// is invalid YAML, part is valid but unintended.

// flowPair matches the beginning of a pair in braces or on its own line.
var flowPair = regexp.MustCompile(`(?:^|[{,\[])\s*([A-Za-z_]\w*):\s+`)

// flowMistakes are parts of the parser's messages about values that ended too early.
var flowMistakes = []string{"flow map content", "',' or '}' must be specified", "invalid key for this map"}

// cutValue finds the unquoted value that a syntax error at this position cut short: its key,
// the intended text, and its line and column.
func cutValue(text, message string, line, col int) (key, value string, at plan.Pos, ok bool) {
	for _, m := range flowMistakes {
		ok = ok || strings.Contains(message, m)
	}
	lines := strings.Split(text, "\n")
	if !ok || line < 1 || line > len(lines) {
		return "", "", at, false
	}
	runes := []rune(lines[line-1])
	before := string(runes[:min(max(col-1, 0), len(runes))])
	pairs := flowPair.FindAllStringSubmatchIndex(before, -1)
	if len(pairs) == 0 {
		return "", "", at, false
	}
	last := pairs[len(pairs)-1]
	key, value = before[last[2]:last[3]], wholeValue(lines[line-1][last[1]:])
	if value == "" || strings.ContainsRune("'\"[{&*!|>", rune(value[0])) && !strings.ContainsAny(value[1:], "('\"") {
		return "", "", at, false
	}
	return key, value, plan.Pos{Line: line, Col: len([]rune(before[:last[1]])) + 1}, true
}

// wholeValue returns the expression at the start of text, up to a comma or brace outside of
// the expression's own brackets and strings.
func wholeValue(text string) string {
	depth, quote := 0, rune(0)
	for i, r := range text {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r) && depth > 0:
			depth--
		case depth == 0 && strings.ContainsRune(",]}", r):
			return strings.TrimSpace(text[:i])
		}
	}
	return strings.TrimSpace(text)
}

// cutInBraces reports a pair of a mapping in braces whose value lost its closing parenthesis
// to the next key.
func (c *converter) cutInBraces(n *Node) {
	for i, e := range n.Entries {
		v := e.Value
		if v.Kind != Scalar || v.style != plainStyle || strings.Count(v.Text, "(") <= strings.Count(v.Text, ")") {
			continue
		}
		for _, later := range n.Entries[i+1:] {
			if k := later.Key.Text; strings.Count(k, ")") > strings.Count(k, "(") {
				c.unquoted(e.Key.Text, wholeValue(string([]rune(v.file.line(v.Pos.Line))[v.Pos.Col-1:])), v.Pos)
				return
			}
		}
	}
}

func (c *converter) unquoted(key, value string, pos plan.Pos) {
	c.failed = true
	c.r.Errorf(pos, RuleYAMLSyntax, "quote the expression, because inside braces YAML ends an unquoted value at a comma, bracket or quote: %s: '%s'",
		key, abbreviate(strings.ReplaceAll(value, "'", "''")))
}
