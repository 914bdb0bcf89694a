package expr

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

var benchmarks = []string{
	"d * 1.1 + f / 2.0 - 3.0",
	"(i + 3) * j - 7",
	"d > 10.0 && i >= 2 && s == 'US'",
	"s.startsWith('a') && s.contains('b')",
	"size(s) > 5",
	"i > 5 ? d * 0.9 : d",
	"ts.getHours() >= 22 || ts.getHours() < 6",
	"ts.getHours('America/New_York') >= 22",
	"s in ['GB', 'CA', 'DE', 'FR', 'US']",
	"f != null ? d - f : d",
	"i != 0 && 100 / i > 3",
	"s + ':' + t",
	"s.matches('^a.*c$')",
	"od.orValue(0.0) / 2.0",
	"s.reverse() == 'us'",
}

// tameColumns are columns of typical values without nulls.
func tameColumns(n int) []*vector.Vector {
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"US", "GB", "abc", "a long merchant name", "ab", "zzz"}
	cols := make([]*vector.Vector, len(testInputs))
	for k, in := range testInputs {
		v := vector.New(in.Type, n)
		for i := range n {
			switch t := in.Type.Unwrap(); t.Kind {
			case plan.Int:
				v.Set(i, plan.IntValue(int64(r.IntN(10))))
			case plan.Double:
				v.Set(i, plan.DoubleValue(r.Float64()*20))
			case plan.String:
				v.Set(i, plan.StringValue(words[r.IntN(len(words))]))
			case plan.Timestamp:
				v.Set(i, plan.TimestampValue(1735689600_000000+plan.EventTime(r.Int64N(int64(90*plan.Day)))))
			default:
				v.Set(i, randomValue(r, t))
			}
		}
		cols[k] = v
	}
	return cols
}

func BenchmarkEval(b *testing.B) {
	env := testEnv(b)
	for _, text := range benchmarks {
		src, err := parse(env, text)
		if err != nil {
			b.Fatal(err)
		}
		p, err := Compile(src.expr, testInputs)
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{1, 1024} {
			cols := tameColumns(n)
			b.Run(fmt.Sprintf("%s/rows=%d", text, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p.Eval(cols, n, nil)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
			})
		}
	}
}

// BenchmarkCELGo runs the programs of BenchmarkEval in cel-go, row by row.
func BenchmarkCELGo(b *testing.B) {
	env := testEnv(b)
	cols := tameColumns(1024)
	for _, text := range benchmarks {
		src, err := parse(env, text)
		if err != nil {
			b.Fatal(err)
		}
		prg, err := env.Program(src.checked)
		if err != nil {
			b.Fatal(err)
		}
		act := rowActivation(cols)
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			row := 0
			for b.Loop() {
				act.row = row & 1023
				row++
				if _, _, err := prg.Eval(act); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func rowActivation(cols []*vector.Vector) *activation {
	act := &activation{}
	for k, in := range testInputs {
		c := newCol(in.Type)
		c.Vector = cols[k]
		act.vars = append(act.vars, variable{in.Name, c})
	}
	return act
}
