package expr

import (
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

func TestCompile_Errors(t *testing.T) {
	env := testEnv(t)
	src, err := parse(env, "1 + i")
	if err != nil {
		t.Fatal(err)
	}
	for want, inputs := range map[string][]Input{
		`test:1:5: the expression reads "i", which is not among its inputs`:  nil,
		`test:1:5: the expression reads "i" as int, but the input is double`: {{"i", plan.T(plan.Double)}},
	} {
		if _, err := Compile(src.expr, inputs); err == nil || err.Error() != want {
			t.Errorf("with inputs %v the error is %v, want %s", inputs, err, want)
		}
	}
	unbound := &plan.Expr{Kind: plan.Local, Name: "x", Type: plan.T(plan.Int)}
	if _, err := Compile(unbound, nil); err == nil || !strings.Contains(err.Error(), "unbound variable") {
		t.Errorf("a free variable gives %v", err)
	}
}

func TestFallbacks_NameTheSmallestSubTree(t *testing.T) {
	for text, want := range map[string]string{
		"d > 1.0 && s.reverse() == 'us'":           "s.reverse()",
		"i + m['a'] * 2":                           `m["a"]`,
		"b ? li.exists(x, x > i) : c":              "li.fold",
		"regex.extract(s, 'a(.)').orValue(t) == t": `regex.extract(s, "a(.)").orValue(t)`,
		"s.matches(t)":                             "s.matches(t)",
		"cel.bind(x, ts + du, x > tu && i == 1)":   "x > tu",
		"size(m) + size(li) + i":                   "size(m)",
		"od.orValue({'a': d}['a'] * 2.0)":          `{"a": d}["a"]`,
	} {
		p := program(t, text)
		f := p.Fallbacks()
		if len(f) == 0 || !strings.Contains(f[0].Text, want) {
			t.Errorf("%s falls back for %v, want %s", text, f, want)
			continue
		}
		if f[0].NsPerRow <= 0 || f[0].Pos.File != "test" {
			t.Errorf("%s: incomplete fallback %+v", text, f[0])
		}
	}
}

// countingNode counts the rows that it is to compute.
type countingNode struct {
	node
	asked int
}

func (x *countingNode) eval(n int, need vector.Bitmap) {
	for w := range vector.Words(n) {
		m := vector.Bitmap{needWord(need, w, n)}
		x.asked += m.Count()
	}
	x.node.eval(n, need)
}

func TestNeed_IsPushedDown(t *testing.T) {
	const n = 100
	cols := tameColumns(n)
	bits := cols[0].Bits
	half := bits.Count()
	for text, want := range map[string]int{
		"b && s.matches('a')":            half,
		"b || s.matches('a')":            n - half,
		"b ? s.matches('a') : c":         half,
		"b ? c : s.matches('a')":         n - half,
		"!b && (c || s.matches('a'))":    -1,
		"cel.bind(x, s.matches('a'), x)": n,
	} {
		p := programFor(t, text, never)
		counter := &countingNode{}
		replaceMatch(p.root, counter)
		if counter.node == nil {
			t.Fatalf("%s has no match node", text)
		}
		p.Eval(cols, n, nil)
		if want >= 0 && counter.asked != want || counter.asked > n {
			t.Errorf("%s computes %d rows of the match, want %d", text, counter.asked, want)
		}
	}
}

// replaceMatch replaces the match node by the counter.
func replaceMatch(x *block, counter *countingNode) {
	for i, n := range x.steps {
		switch n := n.(type) {
		case *matchNode:
			counter.node, x.steps[i] = n, counter
		case branching:
			for _, y := range n.branches() {
				replaceMatch(y, counter)
			}
		}
	}
}

func TestEval_AllocatesNothing(t *testing.T) {
	cols := tameColumns(200)
	for _, text := range []string{
		"d * 1.1 + f / 2.0", "(i + 3) * j - 7", "b && i > 2 || s == 'US'", "s.contains('a') && size(s) > 2",
		"i > 5 ? d : f", "ts.getHours('Europe/Berlin') > 3", "s in ['a', 'b']", "od.orValue(1.0)", "int(d) / (i + 1)",
		"f == null", "cel.bind(x, d + 1.0, x * x)", "s.matches('a') || t.contains('b') && t.contains('c')", "s.reverse()",
	} {
		p := program(t, text)
		p.Eval(cols, 200, nil)
		if n := testing.AllocsPerRun(20, func() { p.Eval(cols, 200, nil) }); n != 0 {
			t.Errorf("%s allocates %v times per batch", text, n)
		}
	}
}

func TestEval_StringsStayValid(t *testing.T) {
	p := program(t, "s + '-' + string(i)")
	first := p.Eval(rows(vars{"s": plan.StringValue("one"), "i": plan.IntValue(1)}), 1, nil).Value(0)
	p.Eval(rows(vars{"s": plan.StringValue("two"), "i": plan.IntValue(2)}), 1, nil)
	if first.Str() != "one-1" {
		t.Errorf("a string changed to %q", first.Str())
	}
}

func TestEval_NoRows(t *testing.T) {
	for _, text := range []string{"d + 1.0", "b ? i : j", "s + t", "s.reverse()", "b && c", "od.orValue(d)"} {
		if out := program(t, text).Eval(rows(), 0, nil); out.N != 0 {
			t.Errorf("%s of no rows has %d", text, out.N)
		}
	}
}

func TestEval_WantsAsManyRowsAsTheBatchHas(t *testing.T) {
	defer func() {
		if r := recover(); r != "expr: a column of 3 rows in a batch of 2" {
			t.Errorf("a column that is too long: %v", r)
		}
	}()
	program(t, "i + 1").Eval(rows(vars{}, vars{}, vars{}), 2, nil)
}

func TestEval_UnreadColumnsMayBeMissing(t *testing.T) {
	cols := rows(vars{"i": plan.IntValue(1)})
	for k, in := range testInputs {
		if in.Name != "i" {
			cols[k] = nil
		}
	}
	p := program(t, "i / (i - 1)")
	if out := p.Eval(cols, 1, nil); !out.IsErr(0) || p.ErrorText(cols, 0) != "division by zero" {
		t.Errorf("1/0 is %v, with the text %q", result(out, 0), p.ErrorText(cols, 0))
	}
}

// TestEval_ForgetsEarlierStrings: the strings of a batch may be in memory that is freed after
// it, so no row of a later batch may refer to them.
func TestEval_ForgetsEarlierStrings(t *testing.T) {
	text := func(s string) vars { return vars{"s": plan.StringValue(s), "b": plan.BoolValue(true)} }
	for _, expr := range []string{"s.trim()", "s + t", "b ? s.trim() : t", "s.reverse()", "string(s)", "os.orValue(s)"} {
		p := program(t, expr)
		p.Eval(rows(text("a"), text("b")), 2, nil)
		out := p.Eval(rows(vars{}, text("b")), 2, vector.Bitmap{2})
		if got := out.Str[0]; got != "" {
			t.Errorf("%s leaves %q in a row that is not needed", expr, got)
		}
	}
}

// TestEval_KeepsLittleText: the memory that texts keep alive does not grow with the total
// size of texts written.
func TestEval_KeepsLittleText(t *testing.T) {
	for text, node := range map[string]func(n node) *arena{
		"(s + '').lowerAscii()": func(n node) *arena { return &n.(*formatNode).text },
		"s.upperAscii()":        func(n node) *arena { return &n.(*formatNode).text },
		"string(d)":             func(n node) *arena { return &n.(*formatNode).text },
		"s + s":                 func(n node) *arena { return &n.(*concatNode).text },
	} {
		p := programFor(t, text, never)
		written := node(p.root.last())
		for size := range 40 {
			v := vars{"s": plan.StringValue(strings.Repeat("A", 25*size)), "d": plan.DoubleValue(1 / 3.0)}
			cols := rows(slices.Repeat([]vars{v}, 100)...)
			for range 20 {
				p.Eval(cols, 100, nil)
			}
			if got, most := cap(written.buf), max(maxArena, 2*100*25*size); got > most {
				t.Fatalf("%s of %d bytes holds %d bytes, want at most %d", text, 25*size, got, most)
			}
		}
	}
}

// TestConcat_IsFlat: nested concatenations are one node, unless another node reads the inner
// one.
func TestConcat_IsFlat(t *testing.T) {
	row := vars{"s": plan.StringValue("a"), "t": plan.StringValue("b")}
	for text, want := range map[string]string{
		"cel.bind(x, s + t, s) + t":     `"ab"`,
		"cel.bind(x, s + t, x + x) + t": `"ababb"`,
		"(s + t) + (t + s)":             `"abba"`,
		"s + (s + (s + t))":             `"aaab"`,
	} {
		wantRow(t, text, row, want)
	}
	if p := program(t, "(s + t) + (t + s)"); len(p.root.steps) != 1 {
		t.Errorf("nested concatenations have %d nodes", len(p.root.steps))
	}
}
