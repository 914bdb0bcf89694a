package servedlog

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

func keyColumns(user int64, shop plan.Value) []*vector.Vector {
	return []*vector.Vector{vector.Of(plan.T(plan.Int), plan.IntValue(user)), vector.Of(plan.T(plan.String), shop)}
}

// Whether a row is recorded depends on its keys and the rate alone: not on the server, the service, the place of the
// row or the other rows. A sample is part of every larger one.
func TestSamplesAreStableAndNested(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		low, high := rapid.Float64Range(0.001, 1).Draw(r, "rate"), rapid.Float64Range(0.001, 1).Draw(r, "rate")
		low, high = min(low, high), max(low, high)
		_, a := open(t, Config{Dir: "unused", Rate: low}, service("a"))
		_, again := open(t, Config{Dir: "unused", Rate: low}, service("another"))
		_, b := open(t, Config{Dir: "unused", Rate: high}, service("a"))
		n := rapid.IntRange(1, 50).Draw(r, "rows")
		many := []*vector.Vector{vector.New(plan.T(plan.Int), n), vector.New(plan.T(plan.String), n)}
		for i := range n {
			user, shop := rapid.Int64().Draw(r, "user"), plan.StringValue(rapid.String().Draw(r, "shop"))
			if rapid.IntRange(0, 9).Draw(r, "null") == 0 {
				shop = plan.NullValue()
			}
			many[0].Set(i, plan.IntValue(user))
			many[1].Set(i, shop)
			one := keyColumns(user, shop)
			if a.Samples(one, 0) != a.Samples(many, i) || a.Samples(one, 0) != again.Samples(one, 0) {
				r.Fatal("the sample depends on more than the keys")
			}
			if a.Samples(one, 0) && !b.Samples(one, 0) {
				r.Fatalf("a row is in the sample of %v and not in that of %v", low, high)
			}
		}
	})
}

// The rate is that of the rows, also of keys that are alike.
func TestSamplesHaveTheirRate(t *testing.T) {
	const rows = 20_000
	for _, rate := range []float64{0.01, 0.1, 0.5} {
		_, s := open(t, Config{Dir: "unused", Rate: rate}, service("a"))
		n := 0
		for user := range rows {
			if s.Samples(keyColumns(int64(user), plan.StringValue("shop")), 0) {
				n++
			}
		}
		// Six standard deviations are at most 425 of 20,000.
		if want := rate * rows; float64(n) < want-425 || float64(n) > want+425 {
			t.Errorf("at %v, %d of %d rows", rate, n, rows)
		}
	}
	_, all := open(t, Config{Dir: "unused", Rate: 1}, service("a"))
	if !all.Samples(keyColumns(1, plan.NullValue()), 0) {
		t.Error("a row is not in the sample of all")
	}
}

// The hash is part of the format: another one would change who is in the sample.
func TestTheHashStays(t *testing.T) {
	for _, c := range []struct {
		user int64
		shop plan.Value
		want uint64
	}{
		{1, plan.StringValue("shop"), 0x3ad8e9c7724caa13},
		{-1, plan.NullValue(), 0xb5f25bdf6412aef6},
	} {
		if got := Hash(keyColumns(c.user, c.shop), 0); got != c.want {
			t.Errorf("user %d, shop %v: %#x, want %#x", c.user, c.shop, got, c.want)
		}
	}
}

// Choosing costs no memory.
func TestSamplingDoesNotAllocate(t *testing.T) {
	_, s := open(t, Config{Dir: "unused", Rate: 0.01}, service("a"))
	keys := keyColumns(7, plan.StringValue("shop"))
	if n := testing.AllocsPerRun(100, func() { s.Samples(keys, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSamples(b *testing.B) {
	_, s := open(b, Config{Dir: "unused", Rate: 0.01}, service("a"))
	keys := keyColumns(7, plan.StringValue("shop"))
	for b.Loop() {
		s.Samples(keys, 0)
	}
}
