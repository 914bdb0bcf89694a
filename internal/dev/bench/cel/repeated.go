package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/dev/bench"
	"github.com/unskew/unskew/internal/kernel/expr"
	"github.com/unskew/unskew/internal/vector"
)

// onStrings are expressions over one column of strings.
var onStrings = []string{
	`shop.matches("^s.*[37]$")`,
	`shop.matches("^s")`,
	`shop.contains("op 1") && shop.contains("7")`,
	`shop.lowerAscii() in ["shop 1", "shop 2", "shop 3"]`,
	`shop.replace(" ", "") == "shop7"`,
	`shop in ["shop 1", "shop 2", "shop 3", "shop 4", "shop 5", "shop 6", "shop 7"]`,
	`shop == "shop 1"`,
	`shop == "shop 1" && shop.matches("[17]$")`,
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
---
kind: FeatureView
name: visits_of_user
entity: user
source: visits
features:
`

// shops is the number of distinct strings in the column of repeated strings.
const shops, stringBatches = 200, 16

// texts are the columns for each expression: short strings that repeat, short ones that never
// repeat while a dictionary could still have them, and longer ones.
var texts = []struct {
	name   string
	bytes  int
	unique bool
}{
	{name: "repeated"}, {name: "unique", unique: true}, {name: "40 bytes", bytes: 40}, {name: "300 bytes", bytes: 300},
}

// stringRace is one expression over each of the columns.
type stringRace struct {
	text    string
	cel     cel.Program
	kernels []*expr.Program // by column
}

func newStringRaces() ([]*stringRace, error) {
	var b strings.Builder
	b.WriteString(onStringsDefinitions)
	for i, text := range onStrings {
		fmt.Fprintf(&b, "  f%d: 'latest(%s)'\n", i, text)
	}
	v, err := bench.View(b.String(), "visits_of_user")
	if err != nil {
		return nil, err
	}
	races := make([]*stringRace, len(onStrings))
	for i, text := range onStrings {
		x := slotArg(v, i)
		races[i] = &stringRace{text: text}
		if races[i].cel, err = celenv.Plan(x); err != nil {
			return nil, err
		}
		for range texts {
			p, err := expr.Compile(x, []expr.Input{{Name: "shop", Type: plan.T(plan.String)}})
			if err != nil {
				return nil, err
			}
			races[i].kernels = append(races[i].kernels, p)
		}
	}
	return races, nil
}

func slotArg(v *plan.View, feature int) *plan.Expr {
	return v.Slots[v.Aggregates[v.Features[feature].Expr.Index].Slot].Arg
}

// stringColumns are the batches of n rows of each column.
func stringColumns(n int) [][][]*vector.Vector {
	r := rand.New(rand.NewPCG(3, 4))
	columns := make([][][]*vector.Vector, len(texts))
	for k, t := range texts {
		for b := range stringBatches {
			v := vector.New(plan.T(plan.String), n)
			for i := range n {
				shop := b*n + i
				if !t.unique {
					shop = r.IntN(shops)
				}
				v.Str[i] = fmt.Sprintf("shop %0*d", max(0, t.bytes-len("shop ")), shop)
			}
			columns[k] = append(columns[k], []*vector.Vector{v})
		}
	}
	return columns
}

// compare evaluates every row of a batch on both sides, twice: the second time its strings are
// in the dictionary.
func (s *stringRace) compare(n int, columns [][][]*vector.Vector) error {
	for k, batches := range columns {
		visible := &row{vars: []variable{{"shop", batches[0][0]}}}
		for range 2 {
			got := s.kernels[k].Eval(batches[0], n, nil)
			for visible.i = range n {
				want, _, err := s.cel.Eval(visible)
				if err != nil {
					return err
				}
				if v := got.Value(visible.i); got.IsErr(visible.i) || celenv.ToRef(v, got.Type) != want {
					return fmt.Errorf("%s, row %d: the kernels have %v, cel-go %v", texts[k].name, visible.i, v, want)
				}
			}
		}
	}
	return nil
}

// run prints the time per row and returns how many times faster than cel-go the kernels are
// for the first column.
func (s *stringRace) run(n, rounds int, budget time.Duration, columns [][][]*vector.Vector) float64 {
	visible := &row{vars: []variable{{"shop", columns[0][0][0]}}}
	sides := []func(){func() {
		for visible.i = range n {
			if _, _, err := s.cel.Eval(visible); err != nil {
				panic(err) // compare has evaluated every row
			}
		}
	}}
	rows := []int{n}
	for k, batches := range columns {
		rows = append(rows, n*stringBatches)
		sides = append(sides, func() {
			for _, cols := range batches {
				s.kernels[k].Eval(cols, n, nil)
			}
		})
	}
	for i, f := range sides {
		times := int(budget/max(bench.Race(3, f)[0], time.Microsecond)) + 1
		sides[i] = bench.Repeat(times, f)
		rows[i] *= times
	}
	best := bench.Race(rounds, sides...)
	fmt.Printf("%-80s", s.text)
	for i, d := range best {
		fmt.Printf(" %9.2f", float64(d.Nanoseconds())/float64(rows[i]))
	}
	ratio := float64(best[0].Nanoseconds()) / float64(rows[0]) / (float64(best[1].Nanoseconds()) / float64(rows[1]))
	fmt.Printf(" %7.1f\n", ratio)
	return ratio
}

// raceStrings compares expressions over strings that repeat and strings that do not.
func raceStrings(n, rounds int, budget time.Duration) (float64, error) {
	races, err := newStringRaces()
	if err != nil {
		return 0, err
	}
	columns := stringColumns(n)
	fmt.Printf("\nbatches of %d rows with %d distinct strings in total, or with strings that never repeat; x is that of the first column\n\n", n, shops)
	fmt.Printf("%-80s %9s", "expression", "cel-go")
	for _, t := range texts {
		fmt.Printf(" %9s", t.name)
	}
	fmt.Printf(" %7s\n", "x")
	var ratios []float64
	for _, s := range races {
		if err := s.compare(n, columns); err != nil {
			return 0, fmt.Errorf("%s: %w", s.text, err)
		}
		ratios = append(ratios, s.run(n, rounds, budget, columns))
	}
	return bench.Median(ratios), nil
}
