package expr

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzDifferential lets a fuzzer choose expressions and data. Each byte of choices
// is one decision of the generator; after the last byte it takes the first alternative,
// which ends every expression.
func FuzzDifferential(f *testing.F) {
	env := testEnv(f)
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		choices := make([]byte, 64)
		for i := range choices {
			choices[i] = byte(r.Uint32())
		}
		f.Add(choices, seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte, seed uint64, size uint8) {
		g := generator{pick: func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			k := int(choices[0]) % n
			choices = choices[1:]
			return k
		}}
		text := g.expr(anyType[g.pick(len(anyType))], 1+g.pick(4))
		if err := differ(env, text, seed, sizes[int(size)%len(sizes)]); err != nil {
			t.Fatal(err)
		}
	})
}

var (
	sweep     = flag.Int("sweep", 400, "how many random expressions TestSweep compares with cel-go")
	sweepTime = flag.Duration("sweep.time", 0, "if not 0, how long TestSweep goes on, whatever -sweep says")
	sweepSeed = flag.Uint64("sweep.seed", 1, "the seed of TestSweep")
)

// TestSweep compares expressions drawn uniformly; rapid prefers small choices. Raise -sweep
// to search for longer.
func TestSweep(t *testing.T) {
	env := testEnv(t)
	r := rand.New(rand.NewPCG(*sweepSeed, 0))
	g := generator{pick: r.IntN}
	before, start := compared.Load(), time.Now()
	n := 0
	for ; n < *sweep && *sweepTime == 0 || time.Since(start) < *sweepTime; n++ {
		text := g.expr(anyType[g.pick(len(anyType))], 2+g.pick(3))
		if err := differ(env, text, r.Uint64(), sizes[g.pick(len(sizes))]); err != nil {
			t.Errorf("-sweep.seed=%d: %v", *sweepSeed, err)
			return
		}
	}
	t.Logf("%d expressions, %d row comparisons with cel-go, no difference (-sweep.seed=%d)", n, compared.Load()-before, *sweepSeed)
}

// compared and differing count the rows compared with cel-go in this process.
var compared, differing atomic.Int64

var tally = flag.String("tally", "", "a file to append the numbers of compared and of differing rows to; workers of a fuzzer append theirs")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *tally != "" {
		if err := appendTally(*tally); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func appendTally(name string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, compared.Load(), differing.Load())
	return errors.Join(err, f.Close())
}
