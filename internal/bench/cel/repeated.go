package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/bench"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/kernel/vector"
)

// onStrings are expressions of one column of strings, %s.
var onStrings = []string{
	`%s.matches("^s.*[37]$")`,
	`%s.contains("op 1") && %s.contains("7")`,
	`%s.lowerAscii() in ["shop 1", "shop 2", "shop 3"]`,
	`%s.replace(" ", "") == "shop7"`,
	`%s in ["shop 1", "shop 2", "shop 3", "shop 4", "shop 5", "shop 6", "shop 7"]`,
	`%s == "shop 1"`,
}

const onStringsDefinitions = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: visits
stream: true
event_time: at
columns:
  user: {type: int}
  at: {type: timestamp}
  shop: {type: string}
  receipt: {type: string}
---
kind: FeatureView
name: visits_of_user
entity: user
source: visits
features:
`

// shops is the number of distinct strings in one of the two columns; those of the other
// never come again while the kernels could remember them.
const shops, stringBatches = 200, 16

// stringRace is one expression over both columns.
type stringRace struct {
	text             string
	cel              cel.Program
	repeated, unique *expr.Program
}

func newStringRaces() ([]*stringRace, error) {
	var b strings.Builder
	b.WriteString(onStringsDefinitions)
	for i, text := range onStrings {
		for _, column := range []string{"shop", "receipt"} {
			fmt.Fprintf(&b, "  f%d_%s: 'latest(%s)'\n", i, column, strings.ReplaceAll(text, "%s", column))
		}
	}
	v, err := bench.View(b.String(), "visits_of_user")
	if err != nil {
		return nil, err
	}
	races := make([]*stringRace, len(onStrings))
	for i, text := range onStrings {
		r := &stringRace{text: strings.ReplaceAll(text, "%s", "shop")}
		shop, receipt := slotArg(v, 2*i), slotArg(v, 2*i+1)
		if r.cel, err = celenv.Plan(shop); err != nil {
			return nil, err
		}
		if r.repeated, err = expr.Compile(shop, []expr.Input{{Name: "shop", Type: plan.T(plan.String)}}); err != nil {
			return nil, err
		}
		if r.unique, err = expr.Compile(receipt, []expr.Input{{Name: "receipt", Type: plan.T(plan.String)}}); err != nil {
			return nil, err
		}
		races[i] = r
	}
	return races, nil
}

func slotArg(v *plan.View, feature int) *plan.Expr {
	return v.Slots[v.Aggregates[v.Features[feature].Expr.Index].Slot].Arg
}

// stringColumns are batches of one column of n rows.
func stringColumns(n int, text func(row int) string) [][]*vector.Vector {
	batches := make([][]*vector.Vector, stringBatches)
	for b := range batches {
		v := vector.New(plan.T(plan.String), n)
		for i := range n {
			v.Str[i] = text(b*n + i)
		}
		batches[b] = []*vector.Vector{v}
	}
	return batches
}

// compare evaluates every row of a batch on both sides.
func (s *stringRace) compare(n int, cols []*vector.Vector) error {
	visible := &row{vars: []variable{{"shop", cols[0]}}}
	got := s.repeated.Eval(cols, n, nil)
	for visible.i = range n {
		want, _, err := s.cel.Eval(visible)
		if err != nil {
			return err
		}
		if v := got.Value(visible.i); got.IsErr(visible.i) || celenv.ToRef(v, got.Type) != want {
			return fmt.Errorf("row %d: the kernels have %v, cel-go %v", visible.i, v, want)
		}
	}
	return nil
}

// run prints what one row takes and returns how many times faster than cel-go the
// kernels are on the strings that come again.
func (s *stringRace) run(n, rounds int, budget time.Duration, repeated, unique [][]*vector.Vector) float64 {
	visible := &row{vars: []variable{{"shop", repeated[0][0]}}}
	runCEL := func() {
		for visible.i = range n {
			if _, _, err := s.cel.Eval(visible); err != nil {
				panic(err) // compare has evaluated every row
			}
		}
	}
	kernels := func(p *expr.Program, batches [][]*vector.Vector) func() {
		return func() {
			for _, cols := range batches {
				p.Eval(cols, n, nil)
			}
		}
	}
	var contestants []func()
	rows := []int{n, n * stringBatches, n * stringBatches}
	for i, f := range []func(){runCEL, kernels(s.repeated, repeated), kernels(s.unique, unique)} {
		times := int(budget/max(bench.Race(3, f)[0], time.Microsecond)) + 1
		contestants = append(contestants, bench.Repeat(times, f))
		rows[i] *= times
	}
	best := bench.Race(rounds, contestants...)
	ns := func(i int) float64 { return float64(best[i].Nanoseconds()) / float64(rows[i]) }
	fmt.Printf("%-76s %8.1f %8.2f %7.1f %8.2f %7.1f\n", s.text, ns(0), ns(1), ns(0)/ns(1), ns(2), ns(0)/ns(2))
	return ns(0) / ns(1)
}

// raceStrings races expressions of strings that come again and of strings that do not.
func raceStrings(n, rounds int, budget time.Duration) (float64, error) {
	races, err := newStringRaces()
	if err != nil {
		return 0, err
	}
	r := rand.New(rand.NewPCG(3, 4))
	repeated := stringColumns(n, func(int) string { return fmt.Sprint("shop ", r.IntN(shops)) })
	unique := stringColumns(n, func(row int) string { return fmt.Sprint("shop ", row) })
	fmt.Printf("\nbatches of %d rows with %d distinct strings in all, and with strings that never come again\n\n", n, shops)
	fmt.Printf("%-76s %8s %8s %7s %8s %7s\n", "expression", "cel-go", "repeated", "x", "unique", "x")
	var ratios []float64
	for _, s := range races {
		if err := s.compare(n, repeated[0]); err != nil {
			return 0, fmt.Errorf("%s: %w", s.text, err)
		}
		ratios = append(ratios, s.run(n, rounds, budget, repeated, unique))
	}
	return bench.Median(ratios), nil
}
