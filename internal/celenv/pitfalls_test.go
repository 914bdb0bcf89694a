package celenv_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/ext"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const languageFile = "testdata/language.golden"

// language lists every macro and every overload of the environment.
func language(env *cel.Env) string {
	var lines []string
	for _, m := range env.Macros() {
		lines = append(lines, "macro "+m.MacroKey())
	}
	for name, f := range env.Functions() {
		for _, o := range f.OverloadDecls() {
			lines = append(lines, fmt.Sprintf("%s %s: %s", name, o.ID(), signature(o)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func signature(o *decls.OverloadDecl) string {
	args := make([]string, len(o.ArgTypes()))
	for i, a := range o.ArgTypes() {
		args[i] = a.String()
	}
	text := fmt.Sprintf("(%s) -> %s", strings.Join(args, ", "), o.ResultType())
	if o.IsMemberFunction() {
		return "member " + text
	}
	return text
}

// TestC5_LibraryVersionsAreExplicit: the default version of a library depends on how it is
// added. A golden file lists what the pinned versions provide, so that no change goes
// unnoticed.
func TestC5_LibraryVersionsAreExplicit(t *testing.T) {
	env, err := celenv.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	got := language(env)
	if *update {
		if err := os.WriteFile(languageFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(languageFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the language is not what %s says; if that is meant, raise the version in env.go and run go test ./internal/celenv -update\n%s",
			languageFile, firstDifference(string(want), got))
	}
	// The oldest version differs from ours.
	oldest, err := cel.NewEnv(ext.Lists(ext.ListsVersion(0)))
	if err != nil {
		t.Fatal(err)
	}
	if _, iss := oldest.Compile("[1, 1].distinct()"); iss.Err() == nil {
		t.Error("version 0 of lists has distinct(), so this test does not distinguish versions")
	}
	if _, iss := env.Compile("[1, 1].distinct()"); iss.Err() != nil {
		t.Error(iss.Err())
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d was %q and is %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines were %d", len(b), len(a))
}

// TestC5_VersionsEnterFingerprints: Engine names every library with its version.
func TestC5_VersionsEnterFingerprints(t *testing.T) {
	engine := celenv.Engine().Env
	for _, lib := range []string{"unskew", "optional", "strings", "math", "lists", "sets", "regex", "bindings", "tzdata"} {
		if !strings.Contains(" "+engine, " "+lib+".") {
			t.Errorf("%q does not have the version of %s", engine, lib)
		}
	}
}

// TestC8_AggregateNamesAreFree: no library function has the name of an aggregate. For example,
// first() and last() belong to optional types.
func TestC8_AggregateNamesAreFree(t *testing.T) {
	env, err := celenv.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	declare := func(name string) error {
		_, err := env.Extend(cel.Function(name, cel.Overload("aggregate_"+name,
			[]*cel.Type{cel.IntType, cel.StringType}, cel.IntType, cel.LateFunctionBinding())))
		return err
	}
	for _, f := range []plan.AggFunc{
		plan.Count, plan.Sum, plan.Mean, plan.VarPop, plan.VarSamp, plan.StddevPop, plan.StddevSamp, plan.Min, plan.Max,
		plan.Latest, plan.Earliest, plan.LatestN, plan.EarliestN, plan.LatestTime, plan.EarliestTime, plan.MaxBy, plan.MinBy,
		plan.DistinctCount, plan.ApproxDistinct, plan.ApproxQuantile, plan.TopK, plan.Any, plan.All,
	} {
		if env.HasFunction(string(f)) {
			t.Errorf("the libraries have a function %s", f)
		}
		if err := declare(string(f)); err != nil {
			t.Errorf("declare %s: %v", f, err)
		}
	}
	for _, taken := range []string{"last", "first"} {
		if !env.HasFunction(taken) || declare(taken) == nil {
			t.Errorf("no library has a function %s any more", taken)
		}
	}
}

// TestC9_NothingIsTracked: cost tracking would make an evaluation several times slower.
func TestC9_NothingIsTracked(t *testing.T) {
	prg, err := celenv.Plan(call("_+_", "add_int64", intT, column("x", intT), literal(plan.IntValue(1))))
	if err != nil {
		t.Fatal(err)
	}
	out, details, err := prg.Eval(map[string]any{"x": 1})
	if err != nil || out.Value() != int64(2) {
		t.Fatal(out, err)
	}
	if details != nil {
		t.Errorf("an evaluation tracks its cost: %v", details.ActualCost())
	}
}
