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

// kind is the type of values that an expression mostly works on.
type kind string

const (
	number kind = "numbers"
	str    kind = "strings"
	mixed  kind = "mixed"
)

// expressions are typical of those in features.
var expressions = []struct {
	kind kind
	text string
}{
	{number, `amount * 1.1 + fee / 2.0 - 3.0`},
	{number, `(qty + 3) * cents - 7`},
	{number, `amount > 10.0`},
	{number, `qty > 5 ? amount * 0.9 : amount`},
	{number, `discount != null ? amount - discount : amount`},
	{number, `qty != 0 && 100 / qty > 3`},
	{number, `at.getHours() >= 22 || at.getHours() < 6`},
	{number, `at.getHours("America/New_York") >= 22`},
	{number, `amount > 10.0 && qty >= 2 && fee < 1.5`},
	{str, `merchant.startsWith("ama") && merchant.contains("zon")`},
	{str, `size(merchant) > 5`},
	{str, `country in ["GB", "CA", "DE", "FR", "US"]`},
	{str, `country == "US" || country == "CA"`},
	{str, `country + ":" + merchant`},
	{str, `merchant.matches("^a.*n$")`},
	{mixed, `amount > 10.0 && qty >= 2 && country == "US"`},
	{mixed, `(country in ["US", "CA"] || at.getHours() < 6) && amount > 100.0 ? double(qty) * 1.5 : amount`},
}

const definitions = `kind: Entity
name: user
keys: [{name: user, type: int}]
---
kind: Source
name: orders
stream: true
event_time: at
columns:
  user: {type: int}
  at: {type: timestamp}
  amount: {type: double}
  fee: {type: double}
  discount: {type: double}
  qty: {type: int}
  cents: {type: int}
  country: {type: string}
  merchant: {type: string}
---
kind: FeatureView
name: orders_of_user
entity: user
source: orders
features:
`

// contest is one expression and the columns that it is evaluated over.
type contest struct {
	kind    kind
	text    string
	kernels *expr.Program
	cel     cel.Program
	row     *row
	cols    []*vector.Vector   // inputs of the kernels
	singles [][]*vector.Vector // the first rows, each as a batch of one
	n       int
}

// singleRows is small, because the row of a request is in the cache: it has just been made.
const singleRows = 32

// newContests compiles every expression, as the argument of an aggregate, for both sides.
func newContests(n int) ([]*contest, error) {
	var b strings.Builder
	b.WriteString(definitions)
	for i, e := range expressions {
		fmt.Fprintf(&b, "  f%d: 'latest(%s)'\n", i, e.text)
	}
	v, err := bench.View(b.String(), "orders_of_user")
	if err != nil {
		return nil, err
	}
	data := columns(v.Source, n)
	contests := make([]*contest, len(expressions))
	for i := range v.Features {
		if contests[i], err = newContest(v.Source, slotArg(v, i), data, n); err != nil {
			return nil, fmt.Errorf("%s: %w", expressions[i].text, err)
		}
		contests[i].kind, contests[i].text = expressions[i].kind, expressions[i].text
	}
	return contests, nil
}

func newContest(src *plan.Source, x *plan.Expr, data *vector.Batch, n int) (*contest, error) {
	c := &contest{row: &row{}, n: n}
	var inputs []expr.Input
	for _, name := range plan.Columns(x) {
		col, _ := src.Column(name)
		inputs = append(inputs, expr.Input{Name: name, Type: col.Type})
		c.cols = append(c.cols, data.Col(name))
		c.row.vars = append(c.row.vars, variable{name, data.Col(name)})
	}
	for i := range min(n, singleRows) {
		one := make([]*vector.Vector, len(c.cols))
		for k, col := range c.cols {
			one[k] = vector.Of(col.Type, col.Value(i))
		}
		c.singles = append(c.singles, one)
	}
	var err error
	if c.kernels, err = expr.Compile(x, inputs); err != nil {
		return nil, err
	}
	c.cel, err = celenv.Plan(x)
	return c, err
}

// columns are typical values; a third of the discounts are null.
func columns(src *plan.Source, n int) *vector.Batch {
	fields := make([]plan.Field, len(src.Columns))
	for i := range src.Columns {
		fields[i] = src.Columns[i].Field
	}
	r := rand.New(rand.NewPCG(1, 2))
	countries := []string{"US", "GB", "DE", "NL", "CA", "FR", "JP"}
	merchants := []string{"amazon", "a corner shop in town", "aldi", "amazing pizza", "zara", "walmart", "avalon"}
	b := vector.NewBatch(fields, n)
	for i := range n {
		b.Col("at").Int[i] = int64(1735689600000000) + r.Int64N(int64(365*plan.Day))
		b.Col("amount").Double[i] = r.Float64() * 200
		b.Col("fee").Double[i] = r.Float64() * 3
		b.Col("discount").Double[i] = r.Float64() * 10
		if r.IntN(3) == 0 {
			b.Col("discount").SetNull(i)
		}
		b.Col("qty").Int[i] = r.Int64N(12)
		b.Col("cents").Int[i] = r.Int64N(20000)
		b.Col("country").Str[i] = countries[r.IntN(len(countries))]
		b.Col("merchant").Str[i] = merchants[r.IntN(len(merchants))]
	}
	return b
}

// compare evaluates every row on both sides, in bulk and one by one.
func (c *contest) compare() error {
	bulk := c.kernels.Eval(c.cols, c.n, nil)
	want := make([]plan.Value, c.n)
	for i := range c.n {
		var err error
		if want[i], err = c.celRow(i); err != nil {
			return fmt.Errorf("cel-go, row %d: %w", i, err)
		}
		if got := bulk.Value(i); bulk.IsErr(i) || !got.Equal(want[i]) {
			return fmt.Errorf("row %d: the kernels have %v, cel-go %v", i, got, want[i])
		}
	}
	for i, row := range c.singles {
		one := c.kernels.Eval(row, 1, nil)
		if got := one.Value(0); one.IsErr(0) || !got.Equal(want[i]) {
			return fmt.Errorf("row %d alone: the kernels have %v, cel-go %v", i, got, want[i])
		}
	}
	return nil
}

func (c *contest) celRow(i int) (plan.Value, error) {
	c.row.i = i
	v, _, err := c.cel.Eval(c.row)
	if err != nil {
		return plan.Value{}, err
	}
	return celenv.FromRef(v, c.kernels.Type())
}

// result is in nanoseconds per row.
type result struct {
	cel, bulk, single float64
	allocs            float64 // per row in bulk
}

func (c *contest) race(rounds int, budget time.Duration) result {
	runCEL := func() {
		for i := range c.n {
			c.row.i = i
			if _, _, err := c.cel.Eval(c.row); err != nil {
				panic(err) // compare has evaluated every row without errors
			}
		}
	}
	runBulk := func() { c.kernels.Eval(c.cols, c.n, nil) }
	runSingle := func() {
		for _, one := range c.singles {
			c.kernels.Eval(one, 1, nil)
		}
	}
	var repeated []func()
	rows := []int{c.n, c.n, len(c.singles)}
	for i, f := range []func(){runCEL, runBulk, runSingle} {
		n := int(budget/max(bench.Race(3, f)[0], time.Microsecond)) + 1
		repeated = append(repeated, bench.Repeat(n, f))
		rows[i] *= n
	}
	best := bench.Race(rounds, repeated...)
	ns := func(i int) float64 { return float64(best[i].Nanoseconds()) / float64(rows[i]) }
	return result{ns(0), ns(1), ns(2), float64(bench.Mallocs(repeated[1])) / float64(rows[1])}
}
