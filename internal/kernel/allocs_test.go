package kernel_test

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

const numbers = `features:
  n: count("7d")
  total: sum(amount, "7d")
  typical: {expr: 'mean(amount, "1h")', default: 0.0}
  most: max(qty, "1h")
  least: min(amount, "7d")
  spread: stddev_pop(amount, "7d")
  share: "n == 0 ? 0.0 : double(count('1h')) / double(n)"
  newest: latest_time()
`

// TestReadAllocatesNothing: reading numbers does not allocate, whether the windows are full,
// empty, or those of an unknown entity.
func TestReadAllocatesNothing(t *testing.T) {
	source, _, _ := strings.Cut(spending, "features:\n")
	k := compiled(t, source+numbers)
	some := k.NewState()
	apply(k, some, payments(k, 20, 1), plan.Never)
	for what, state := range map[string]*kernel.State{"full": some, "empty": k.NewState(), "unknown": nil} {
		states, at := []*kernel.State{state}, []plan.EventTime{plan.EventTime(20 * plan.Day)}
		if n := testing.AllocsPerRun(50, func() { k.Read(states, at) }); n != 0 {
			t.Errorf("a read of %s windows allocates %v times", what, n)
		}
	}
}
