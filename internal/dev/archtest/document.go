package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// The lines between which ARCHITECTURE.md shows the table.
const (
	tableBegin = "<!-- table: go test ./internal/dev/archtest -update -->"
	tableEnd   = "<!-- end of table -->"
)

// document is the table as ARCHITECTURE.md shows it.
func document() string {
	var b strings.Builder
	b.WriteString("| package | does | never | imports |\n| --- | --- | --- | --- |\n")
	for _, p := range Table {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Path, p.Does, p.Never, shortNames(p.Imports))
	}
	b.WriteString("\n| from elsewhere | only in |\n| --- | --- |\n")
	for _, o := range Owners {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.Module, shortNames(o.Packages))
	}
	return b.String()
}

// shortNames lists packages without the prefix internal/.
func shortNames(packages []string) string {
	var names []string
	for _, p := range packages {
		names = append(names, strings.TrimPrefix(p, "internal/"))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// embed replaces the text between the markers by the table.
func embed(text string) (string, error) {
	before, rest, ok := strings.Cut(text, tableBegin+"\n")
	_, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return "", fmt.Errorf("the lines %q and %q are missing", tableBegin, tableEnd)
	}
	return before + tableBegin + "\n" + document() + tableEnd + after, nil
}
