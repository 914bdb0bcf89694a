package celenv_test

import (
	"testing"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/internal/celenv"
)

func TestEngine_NamesTheLinkedVersion(t *testing.T) {
	if linked := celenv.LinkedCEL(); linked != "" && linked != celenv.Engine().CEL {
		t.Errorf("the binary links CEL %s, fingerprints say %s", linked, celenv.Engine().CEL)
	}
}

func newEnv(t *testing.T) *cel.Env {
	t.Helper()
	env, err := celenv.NewEnv(
		cel.Variable("d", cel.NullableType(cel.DoubleType)),
		cel.Variable("s", cel.NullableType(cel.StringType)),
		cel.Variable("ts", cel.TimestampType),
		cel.Variable("dur", cel.DurationType),
		cel.Variable("m", cel.MapType(cel.StringType, cel.IntType)),
		cel.Variable("l", cel.ListType(cel.IntType)),
	)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestEnv_Accepts(t *testing.T) {
	env := newEnv(t)
	for _, src := range []string{
		"d == null", "s != null && s.startsWith('a')", "ts == null", "d + 1.0 > 2.0",
		"ts.getMilliseconds()", "ts.getHours('Europe/Berlin')", "dur.getHours()",
		"[1, 2].map(x, x + 1)", "m.map(k, m[k])", "optional.of(1).orValue(2)",
		"l.distinct()", "l.sort()", "l.first().orValue(1)", "math.greatest(1, 2)", "math.sqrt(4.0)",
		"s.split(',')", "'%d'.format([1])", "sets.contains(l, [1])", "cel.bind(x, 1, x + x)",
		"regex.extract(s, 'a(.)')", "optional.of(1).hasValue(1)", "m[?'a'].optMap(v, v + 1)",
	} {
		if _, iss := env.Compile(src); iss.Err() != nil {
			t.Errorf("%s: %v", src, iss.Err())
		}
	}
}

func TestEnv_Rejects(t *testing.T) {
	env := newEnv(t)
	for _, src := range []string{"dyn(1)", "dur.getMilliseconds()", "1 < 2.0", "1 + 1u", "@sortedMap(m)"} {
		if _, iss := env.Compile(src); iss.Err() == nil {
			t.Errorf("%s: compiled", src)
		}
	}
}

// lists.range fails instead of making a list that is longer than a feature can hold.
func TestEnv_RangesAreBounded(t *testing.T) {
	env, err := celenv.NewEnv(cel.Variable("n", cel.IntType))
	if err != nil {
		t.Fatal(err)
	}
	ast, iss := env.Compile("lists.range(n).size()")
	if iss.Err() != nil {
		t.Fatal(iss.Err())
	}
	prg, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	for n, fails := range map[int64]bool{0: false, 1000: false, 1001: true, 1 << 40: true, -1: true} {
		if _, _, err := prg.Eval(map[string]any{"n": n}); (err != nil) != fails {
			t.Errorf("lists.range(%d): %v", n, err)
		}
	}
}
