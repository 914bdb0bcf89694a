package oracle_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/oracle/gen"
)

// Every aggregate over every type of argument with every window, also filtered and by group:
// replay and online state agree with the oracle. The random definitions of the other tests
// have only some of these combinations.
func TestEveryAggregateEveryWindow(t *testing.T) {
	const together = 60
	dir := t.TempDir()
	fewer(t, 50)
	exprs := gen.Every()
	if len(exprs) < 2000 {
		t.Fatalf("only %d expressions", len(exprs))
	}
	i := 0
	for chunk := range slices.Chunk(exprs, together) {
		i++
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := newScenario(rt, dir, gen.DefinitionsOf(rt, chunk))
				replayAgrees(s)
				onlineAgrees(s)
			})
		})
	}
}

// fewer divides the number of rapid's checks by fraction until the test ends.
func fewer(t *testing.T, fraction int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	n, err := strconv.Atoi(before)
	if err != nil {
		t.Fatal(err)
	}
	set := func(n string) {
		if err := checks.Value.Set(n); err != nil {
			t.Fatal(err)
		}
	}
	set(strconv.Itoa(max(1, n/fraction)))
	t.Cleanup(func() { set(before) })
}
