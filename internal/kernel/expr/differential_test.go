package expr

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"cel.dev/cel-go/cel"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/vector"
)

// outcome is the result for one row: an error or a value; none and null are both null.
type outcome struct {
	err bool
	val plan.Value
}

func (o outcome) String() string {
	if o.err {
		return "error"
	}
	return o.val.String()
}

func (o outcome) equal(p outcome) bool { return o.err == p.err && (o.err || o.val.Equal(p.val)) }

// reference evaluates row by row with cel-go, from its own checked tree.
func reference(prg cel.Program, t plan.Type, cols []*vector.Vector, row int) outcome {
	vars := map[string]any{}
	for k, in := range testInputs {
		if cols[k].IsErr(row) {
			vars[in.Name] = errInput
			continue
		}
		vars[in.Name] = celenv.ToRef(cols[k].Value(row), in.Type)
	}
	val, _, err := prg.Eval(vars)
	if err != nil {
		return outcome{err: true}
	}
	v, err := celenv.FromRef(val, t)
	if err != nil {
		return outcome{err: true}
	}
	if v.Kind() == plan.Optional && len(v.List()) == 0 {
		v = plan.NullValue()
	} else if v.Kind() == plan.Optional {
		v = v.List()[0]
	}
	return outcome{val: v}
}

func result(v *vector.Vector, row int) outcome {
	if v.IsErr(row) {
		return outcome{err: true}
	}
	return outcome{val: v.Value(row)}
}

// differ compares the program of text with cel-go on random columns of n rows, for all and
// for some of the rows, and describes the first difference.
func differ(env *cel.Env, text string, seed uint64, n int) error {
	src, err := parse(env, text)
	if err != nil || !honest(src.expr.Type) {
		return nil // the generator wrote an invalid expression; TestGenerator limits how often
	}
	prg, err := env.Program(src.checked)
	if err != nil {
		return fmt.Errorf("%s: cel-go cannot plan it: %w", text, err)
	}
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	bias := []int{never, 0, 20, always}[r.IntN(4)]
	p, err := compileFor(src.expr, testInputs, bias)
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	some, err := compileFor(src.expr, testInputs, bias) // evaluated for some rows only
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if r.IntN(2) == 0 {
		starve(r, p)
		starve(r, some)
	}
	for _, n := range []int{n, 0, 1, 0, n} { // scratch memory shrinks and grows, memos are reused
		cols := randomColumns(r, n)
		if err := compareRows(p, prg, src.expr.Type, cols, n, nil); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		need := vector.NewBitmap(n)
		for i := range n {
			need.Put(i, r.IntN(2) == 0)
		}
		if err := compareRows(some, prg, src.expr.Type, cols, n, need); err != nil {
			return fmt.Errorf("%s, some rows: %w", text, err)
		}
	}
	return nil
}

// honest reports whether values of an expression of type t have that type: the
// checker gives `b ? null : s` the type null, and it may be a string.
func honest(t plan.Type) bool {
	return t.Kind != plan.Null && t.Kind != plan.Dyn && (t.Elem == nil || honest(*t.Elem))
}

func compareRows(p *Program, prg cel.Program, t plan.Type, cols []*vector.Vector, n int, need vector.Bitmap) error {
	got := p.Eval(cols, n, need)
	if got.N != n || !got.Type.Equal(t) {
		return fmt.Errorf("%d rows of %v, want %d of %v", got.N, got.Type, n, t)
	}
	for i := range n {
		if need != nil && !need.Get(i) {
			continue
		}
		want := reference(prg, t, cols, i)
		compared.Add(1)
		if have := result(got, i); !have.equal(want) {
			differing.Add(1)
			return fmt.Errorf("row %d of %d is %v, cel-go says %v; %s", i, n, have, want, describe(cols, i))
		}
		if want.err != (p.ErrorText(cols, i) != "") {
			return fmt.Errorf("row %d: error text %q of %v", i, p.ErrorText(cols, i), want)
		}
	}
	return nil
}

func describe(cols []*vector.Vector, row int) string {
	out := "row:"
	for k, in := range testInputs {
		out += fmt.Sprintf(" %s=%v", in.Name, result(cols[k], row))
	}
	return out
}

var sizes = []int{1, 63, 64, 65, 130}

func TestDifferential(t *testing.T) {
	env := testEnv(t)
	rapid.Check(t, func(rt *rapid.T) {
		g := generator{pick: func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }}
		text := g.expr(anyType[g.pick(len(anyType))], 1+g.pick(4))
		seed := rapid.Uint64().Draw(rt, "seed")
		if err := differ(env, text, seed, rapid.SampledFrom(sizes).Draw(rt, "n")); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestGenerator checks that most generated expressions compile; otherwise the differential
// test would compare little.
func TestGenerator(t *testing.T) {
	env := testEnv(t)
	r := rand.New(rand.NewPCG(1, 2))
	g := generator{pick: r.IntN}
	good := 0
	const tries = 300
	for range tries {
		text := g.expr(anyType[g.pick(len(anyType))], 3)
		_, err := parse(env, text)
		if err == nil {
			good++
		} else {
			t.Logf("%s: %v", text, err)
		}
	}
	if good < tries*8/10 {
		t.Errorf("only %d of %d generated expressions compile", good, tries)
	}
}
