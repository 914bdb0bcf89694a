package limits

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"
)

// constants returns the numbers of this package by name.
func constants(t *testing.T) map[string]int64 {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "limits.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	// What other packages define is not known, so constants made of it are left out.
	c := types.Config{Error: func(error) {}}
	p, _ := c.Check("limits", set, []*ast.File{f}, nil)
	found := map[string]int64{}
	for _, name := range p.Scope().Names() {
		if x, ok := p.Scope().Lookup(name).(*types.Const); ok && ast.IsExported(name) {
			if n, exact := constant.Int64Val(constant.ToInt(x.Val())); exact {
				found[name] = n
			}
		}
	}
	return found
}

// written is a number as the table of docs/operations.md has it.
func written(n int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{20, " MiB"}, {10, " KiB"}} {
		if n >= 1<<unit.shift && n%(1<<unit.shift) == 0 {
			return fmt.Sprint(n>>unit.shift) + unit.name
		}
	}
	return fmt.Sprint(n)
}

var row = regexp.MustCompile("^\\| `([A-Z][A-Za-z0-9]+)` \\| ([^|]+) \\|")

// The table in docs/operations.md has every limit, with its number.
func TestTheTableOfLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	want := constants(t)
	for line := range strings.Lines(string(text)) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, ok := want[m[1]]
		if !ok {
			t.Errorf("docs/operations.md has a limit %s, and internal/limits has none", m[1])
			continue
		}
		if counts := strings.ReplaceAll(m[2], ",", ""); counts != written(n) && counts != fmt.Sprint(n) {
			t.Errorf("docs/operations.md says that %s is %s; it is %s", m[1], m[2], written(n))
		}
		delete(want, m[1])
	}
	for name := range want {
		t.Errorf("limit %s (%s) is not in the table of docs/operations.md", name, written(want[name]))
	}
}
