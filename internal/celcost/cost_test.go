package celcost

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// priced compiles an expression over some columns and bounds its cost.
func priced(t *testing.T, text string) (uint64, Size, *plan.Expr) {
	t.Helper()
	env, err := celenv.NewEnv(
		cel.Variable("i", cel.IntType), cel.Variable("d", cel.DoubleType), cel.Variable("s", cel.StringType), cel.Variable("p", cel.StringType),
		cel.Variable("ts", cel.TimestampType), cel.Variable("l", cel.ListType(cel.IntType)), cel.Variable("words", cel.ListType(cel.StringType)),
		cel.Variable("m", cel.MapType(cel.StringType, cel.DoubleType)), cel.Variable("o", cel.OptionalType(cel.StringType)))
	if err != nil {
		t.Fatal(err)
	}
	checked, iss := env.Compile(text)
	if iss.Err() != nil {
		t.Fatalf("%s: %v", text, iss.Err())
	}
	tree := checked.NativeRep()
	e := celenv.FromAST(&celenv.Checked{
		Tree: tree, Pos: func(ast.Expr) plan.Pos { return plan.Pos{} },
		Variable: func(out *plan.Expr, name string) (*plan.Expr, error) {
			out.Kind, out.Name = plan.Column, name
			return out, nil
		},
		Fail: func(_ plan.Pos, err error) { t.Fatalf("%s: %v", text, err) },
	}, tree.Expr())
	cost, size := Of(e, func(leaf *plan.Expr) Size { return SizeOfType(leaf.Type) })
	return cost.Units, size, e
}

// affordable are expressions that are cheap for any column or request field.
var affordable = []string{
	"i + i", "d * 2.0 > 1.0 && s.startsWith('a')", "s.size()", "ts.getHours('Europe/Berlin')", "o.orValue('x').size()", "m.map(k, m[k])",
	"regex.replace(s, '[0-9]', '#')", "regex.extractAll(s, '[a-z]+')", "regex.extract(s, '(a*)b').orValue('')", "s.matches('^a.*z$')", `regex.replace(s, '^\\s+|\\s+$', '')`, `regex.replace(s, '/\\*.*?\\*/', '')`, "regex.replace(s, '(?m)^#.*$', '')",
	`regex.extractAll(s, '\\b[A-Z]{2,}\\b').size()`, `regex.extractAll(s, '[A-Z0-9._%+-]+@[A-Z0-9.-]+\\.[A-Z]{2,4}')`, `regex.extractAll(s, '[\\pL]{1,100}')`,
	"regex.extractAll(s, r'" + webAddress + "')",
	"regex.replace(s, '<.*?>', '')",
	"['a', 'b+'].exists(q, s.matches(q))", "s.replace(',', ';')", "s.replace('', s)", "s.split(',').map(x, x.trim())", "s.split('').map(x, x.upperAscii())",
	"s.split(',').map(x, x.upperAscii()).sort()", "s.split(',').distinct().size()", "s.split(',').map(x, x.split(';').map(y, y.trim()).size())",
	"s.split(' ').map(w, regex.replace(w, '[0-9]+', '#')).join(' ')", "s.indexOf(p)", "s.contains(p)", "strings.quote(s)", "'%s %d'.format([s, i])", "s.reverse()", "s + p",
	"words.sort()", "words.distinct()", "words.filter(w, w in words)", "words.map(w, w.upperAscii())", "words.join(',')", "words.sortBy(w, w.size())", "sets.intersects(words, words)",
	"l.sort()", "l.distinct()", "l.map(x, x * x).filter(x, x > 3)", "l + l", "(l + l + l).sort()", "l.map(x, [x, x]).flatten()", "lists.range(i).map(x, x + 1)", "math.greatest(l)",
	"lists.range(20).map(x, lists.range(20).map(y, (x * y)))", "lists.range(24).filter(x, lists.range(60).exists(y, x * y == i))",
	"lists.range(7).map(x, l.filter(y, y % 7 == x).size())", "lists.range(math.least(20, i)).map(x, l.filter(y, y == x).size())",
	"s.split(' ', 20).filter(w, w in p.split(' ', 20))", "s.split(' ', 20).map(w, p.split(' ', 20).size())", "s.split(',', 0)", "s.split(',', -1)",
	"words.slice(0, 10).map(x, words.slice(0, 10).filter(y, y == x).size())", "words.slice(2, 3)", "(l + l).slice(0, math.least(9, i, 7)).map(x, l.filter(y, y == x).size())",
	"s.substring(0, 50).split(' ').filter(w, w in p.split(' '))", "s.substring(2, 5)", "s.substring(3)",
	"l.map(x, words.size()).size()", "words.map(w, m.size() + words.size())", "m.map(k, '%s=%s'.format([k, string(m[k])])).join(';')", "m.map(k, '%x %f %d %X'.format([k, m[k], i, i]))",
	"m.filter(k, k.startsWith('a')).size()", "words.slice(0, 5).filter(x, s.indexOf(x) >= 0)", "'%s %s'.format([s, words])", "s.split(' ').exists(w, p.contains(w.lowerAscii()))",
	"l.map(x, {'a': x})", "l.slice(0, 3)", "l.first().orValue(0)", "cel.bind(x, s.upperAscii(), x + x)", "{s: 1.0}", "i in l", "s in words",
}

// costly are expressions that a caller could make slow, or whose values could become large.
var costly = []string{
	"lists.range(i).map(x, lists.range(i).map(y, x)).size()", "l.map(a, l.exists(b, b > a))", "l.map(a, l.map(b, b)).flatten()",
	"lists.range(math.greatest(20, i)).map(x, l.filter(y, y == x).size())", "l.slice(0, i).map(x, l.filter(y, y == x).size())", "s.split(' ', -1).filter(w, w in p.split(' '))",
	"s.matches(p)", "regex.replace(s, p, '')", "words.exists(w, s.matches(w))", "regex.extractAll(s, 'a.*b|a')", "s.matches('.{1000}.{1000}b')",
	"s.replace('', s).replace('', s)", "s.split('').map(x, s.split(''))", "s.split('').map(x, s.replace('', s))", "s.split('').map(x, s).join(s).split('')",
	"words.map(w, words.map(v, w + v))", "s.split('').map(x, s.indexOf(s))", "l.map(x, s.replace('', s).size())", "l.map(x, s.replace('', s))",
}

func TestCost_Affordable(t *testing.T) {
	for _, text := range affordable {
		if cost, _, _ := priced(t, text); cost > Limit {
			t.Errorf("%s costs %d", text, cost)
		}
	}
	if cost, _, _ := priced(t, "i + i"); cost == 0 || cost > 20 {
		t.Errorf("a sum of two columns costs %d", cost)
	}
}

func TestCost_Costly(t *testing.T) {
	for _, text := range costly {
		if cost, _, _ := priced(t, text); cost <= Limit {
			t.Errorf("%s costs %d", text, cost)
		}
	}
}

// TestCost_DeepLoopsAreBounded: computing the bound does not take long.
func TestCost_DeepLoopsAreBounded(t *testing.T) {
	text := "'x'"
	for range 40 {
		text = "[p].map(x, " + text + ")[0]"
	}
	if cost, _, _ := priced(t, text); cost != Unknown {
		t.Errorf("40 nested loops cost %d", cost)
	}
}

// TestCost_EveryFunctionHasAPrice: no expression could call a function without a price, because
// its cost would have no bound.
func TestCost_EveryFunctionHasAPrice(t *testing.T) {
	all, err := celenv.Signatures()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if len(f.Overloads) > 0 && prices[f.Name] == nil && f.Name != "optional.none" {
			t.Errorf("%s has no price", f.Name)
		}
	}
}

// TestCost_ValuesAreNoLargerThanTheirBounds evaluates the affordable expressions on inputs of
// the largest sizes.
func TestCost_ValuesAreNoLargerThanTheirBounds(t *testing.T) {
	var numbers strings.Builder
	for i := 0; numbers.Len() < MaxText-8; i++ {
		fmt.Fprintf(&numbers, "%x,", i)
	}
	ints, words := make([]plan.Value, maxItems), make([]plan.Value, maxItems)
	for i := range ints {
		ints[i], words[i] = plan.IntValue(int64(i)), plan.StringValue(strings.Repeat("x", 250)+strconv.Itoa(i))
	}
	str, list := plan.T(plan.String), plan.ListOf(plan.T(plan.Int))
	for _, s := range []string{"", numbers.String(), strings.Repeat(",", MaxText), strings.Repeat(`"\`, MaxText/2), strings.Repeat("7", MaxText), strings.Repeat("€", MaxText/3)} {
		vars := map[string]any{
			"i": maxItems, "d": 1.5, "s": s, "p": s, "ts": time.Unix(0, 0), "l": celenv.ToRef(plan.ListValue(ints), list), "words": celenv.ToRef(plan.ListValue(words), plan.ListOf(str)),
			"m": celenv.ToRef(plan.MapValue(words, ints), plan.MapOf(str, plan.T(plan.Int))), "o": celenv.ToRef(plan.StringValue(s), plan.OptionalOf(str)),
		}
		for _, text := range affordable {
			_, bound, e := priced(t, text)
			prg, err := celenv.Plan(e)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			out, _, err := prg.Eval(vars)
			if err != nil {
				continue
			}
			v, err := celenv.FromRef(out, e.Type)
			if err != nil {
				continue
			}
			if got := SizeOf(v); got.items > bound.items || got.nodes > bound.nodes || got.text > bound.text {
				t.Errorf("%s of %.10q… has %d items, %d values and %d bytes, bounded by %d, %d and %d",
					text, s, got.items, got.nodes, got.text, bound.items, bound.nodes, bound.text)
			}
		}
	}
}

// TestPattern_Lookahead: the number of characters that a search may read beyond a match, if
// other matches may end there; -1: the whole rest.
func TestPattern_Lookahead(t *testing.T) {
	for text, want := range map[string]int64{
		"a": 0, "[0-9]+": 0, "a*": 0, "(.*)": 0, `\s+$`: 0, `\bfoo\b`: 0, "(?i)foo|bar": 0, "(a+)+b": 0, "x*y*z": 0,
		"<[^>]*>": 0, "<.*?>": 0, `"[^"]*"`: 0, `\w+@\w+`: 0, `\d+(\.\d+)?`: 0, `\d{4}-\d{2}-\d{2}(T\d{2}:\d{2})?`: 0, `\pL+`: 0, "(": 0, ".*;": 0,
		`^\s+|\s+$`: 0, "^ +| +$": 0, `\+.*@`: 0, `/\*.*?\*/`: 0, "(?m)^#.*$": 0, `\b[A-Z]{2,}\b`: 0, `[A-Z0-9._%+-]+@[A-Z0-9.-]+\.[A-Z]{2,4}`: 0,
		`\+?\d[\d -]{7,}\d`: 0, `[\pL]{1,100}`: 0, `https?://[^\s]{1,256}`: 0, webAddress: 0, `(?i)\b(foo|bar)\b.*$`: 0,
		"a.*b|a": -1, "ab.*c|b": -1, "(a|b|aa)*?c|a": -1, "(a.*b)?": -1, "a(?s:.*)b|a": -1, `\b.*;|\w`: -1, "a(b{1,5}c)?|b": 6, `a(\d{3}x)?|\d`: 4,
	} {
		p := pattern{text: text}
		began := time.Now()
		p.analyze()
		if int64(p.lookahead) != want {
			t.Errorf("%s looks %d ahead, want %d", text, int64(p.lookahead), want)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("%s took %v", text, d)
		}
	}
}

const webAddress = `https?:\/\/(www\.)?[-a-zA-Z0-9@:%._\+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-a-zA-Z0-9()@:%_\+.~#?&//=]*)`
