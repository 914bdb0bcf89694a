package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// windowed has windows whose tails move at different times, and a feature that depends on T alone.
const windowed = `  minutes: count("1h/1m")
  exactly: sum(qty, "1h/exact")
  hours: sum(qty, "1d/6h")
  wide: latest_n(shop, 2, "35d/7d")
  since: "(now - latest_time('7d/1h').orValue(now)).getSeconds()"
  failing: "sum(qty, '1d/1h') / count('1d/1h')"
`

// preparedCase is states read at one time and, as they were prepared, at others.
type preparedCase struct {
	view   *kernel.View
	states [][]byte
	ends   []plan.EventTime // of the times of events and of when they are known
}

func newPreparedCase(k *kernel.View, r *rand.Rand) *preparedCase {
	c := &preparedCase{view: k, states: [][]byte{nil}}
	for range 4 {
		s := c.view.NewState()
		ev := payments(c.view, 1+r.IntN(12), r.Uint64())
		apply(c.view, s, ev, ev.Time[0]+plan.EventTime(r.Int64N(int64(2*plan.Day))))
		c.states = append(c.states, s.Append(nil))
		c.ends = append(append(c.ends, ev.Time...), ev.Known...)
	}
	aside := c.view.NewState()
	aside.SetAside("too large")
	c.states = append(c.states, aside.Append(nil), kernel.AppendLost(nil, c.view.Plan().Fingerprint, 1<<63, "gone"))
	return c
}

// after returns a time later than everything visible in the states.
func (c *preparedCase) after(t *testing.T, at plan.EventTime) plan.EventTime {
	t.Helper()
	for _, b := range c.states {
		if b == nil {
			continue
		}
		at = max(at, c.view.NewestOf(b, plan.Always)+1)
	}
	return at
}

// texts reads the states and returns the values of every row.
func (c *preparedCase) texts(t *testing.T, prepared []*kernel.Prepared, want bool, at plan.EventTime) []string {
	t.Helper()
	return columnsText(c.view.ReadPrepared(c.states, prepared, slices.Repeat([]bool{want}, len(c.states)), at))
}

func columnsText(f *kernel.Features) (out []string) {
	for i := range f.Cols {
		c := &f.Cols[i]
		for row := range f.N {
			out = append(out, fmt.Sprint(i, row, c.Status[row], c.Reason[row], f.Known.Get(row), c.Vec.IsErr(row), " ", plan.AppendCanonical(nil, c.Vec.Value(row))))
		}
	}
	return out
}

// Prepared values are exactly those that the state has at every time at which they are valid: at its
// first and last moments too.
func TestB2_PreparedValuesAreThoseOfTheState(t *testing.T) {
	r, k := rand.New(rand.NewPCG(3, 1)), compiled(t, spending+windowed)
	for range 60 {
		c := newPreparedCase(k, r)
		kept := make([]*kernel.Prepared, len(c.states))
		at := c.after(t, c.ends[r.IntN(len(c.ends))]+plan.EventTime(r.Int64N(int64(40*plan.Day))))
		c.texts(t, kept, true, at)
		for i, p := range kept {
			if p == nil || !p.ValidAt(at) || p.Bytes() <= 0 {
				t.Fatalf("row %d as of %v is prepared as %+v", i, at, p)
			}
			for _, other := range []plan.EventTime{p.From, p.Until - 1, p.From + (min(p.Until, plan.MaxTime)-max(p.From, plan.MinTime))/2, at + 1} {
				if other = c.after(t, min(max(other, plan.MinTime), plan.MaxTime)); !p.ValidAt(other) {
					continue
				}
				none := make([]*kernel.Prepared, len(c.states))
				use := slices.Clone(none)
				use[i] = p
				want, got := c.texts(t, none, false, other), c.texts(t, use, false, other)
				if !slices.Equal(got, want) {
					t.Fatalf("row %d, prepared as of %v for %v to %v, gives as of %v\n%v\nand its state\n%v", i, at, p.From, p.Until, other, got, want)
				}
			}
		}
	}
}

// Values are not valid for less time than they have to be: where they end, a row enters or leaves a
// window.
func TestPreparedValuesLastUntilSomethingMoves(t *testing.T) {
	k := compiled(t, spending)
	s := k.NewState()
	ev := payments(k, 1, 1)
	ev.Time[0], ev.Known[0] = plan.EventTime(plan.Hour+90*plan.Second), plan.EventTime(plan.Hour+90*plan.Second)
	apply(k, s, ev, plan.Never)
	prepared := []*kernel.Prepared{nil}
	k.ReadPrepared([][]byte{s.Append(nil)}, prepared, []bool{true}, plan.EventTime(plan.Hour+2*plan.Minute))
	got := prepared[0]
	// The event leaves "1h/1m" first: its tile begins at 1:01, so the tail passes it at 1:02.
	if from, until := plan.EventTime(plan.Hour+90*plan.Second+1), plan.EventTime(2*plan.Hour+2*plan.Minute); got.From != from || got.Until != until {
		t.Errorf("valid from %v until %v, want %v and %v", got.From, got.Until, from, until)
	}
}

// Prepared values refer to none of the stored bytes.
func TestPreparedValuesKeepNoStoredBytes(t *testing.T) {
	c := newPreparedCase(compiled(t, spending+windowed), rand.New(rand.NewPCG(5, 1)))
	kept := make([]*kernel.Prepared, len(c.states))
	at := c.after(t, plan.EventTime(20*plan.Day))
	want := c.texts(t, kept, true, at)
	for i := range c.states {
		for j := range c.states[i] {
			c.states[i][j] = 0xff
		}
	}
	if got := c.texts(t, kept, false, at); !slices.Equal(got, want) {
		t.Errorf("after the stored bytes were overwritten\n%v\nwant\n%v", got, want)
	}
}
