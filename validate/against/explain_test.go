package against

import (
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

func TestRoundedValuesAreSeen(t *testing.T) {
	at := plan.EventTime(1735689600_123456)
	for _, x := range []struct {
		ours, theirs plan.Value
		want         string
	}{
		{plan.DoubleValue(0.1), plan.DoubleValue(float64(float32(0.1))), "rounded to a float of 32 bits"},
		{plan.DoubleValue(0.1), plan.DoubleValue(0.1000001), ""},
		{plan.TimestampValue(at), plan.TimestampValue(at - 456), "cut to milliseconds"},
		{plan.TimestampValue(at), plan.TimestampValue(at - 123456), "cut to seconds"},
		{plan.TimestampValue(-at), plan.TimestampValue(-at + 123456 - 1000000), "cut to seconds"}, // before 1970, down too
		{plan.TimestampValue(-at), plan.TimestampValue(-at + 123456), ""},
		{plan.TimestampValue(at), plan.TimestampValue(at + 1000000 - 123456), ""},
		{plan.IntValue(3), plan.IntValue(3), ""},
		{plan.TimestampValue(at), plan.NullValue(), ""},
	} {
		if got := rounded(x.ours, x.theirs); got != x.want {
			t.Errorf("rounded(%v, %v) = %q, want %q", x.ours, x.theirs, got, x.want)
		}
	}
}

// A join by event time has events that were not known yet, and those of the very time: both together are one mistake, while a clock
// that is a microsecond ahead and knows them is none.
func TestJoinsByEventTimeAreLate(t *testing.T) {
	at := plan.EventTime(1735689600_000000)
	r := &run{}
	got := map[Cause]int{}
	for _, v := range r.variants() {
		h := hypothesis{variant: &v, mistaken: mistaken{final: true}}
		if v.cause == Clock {
			got[h.cause(&feature{}, at)]++
		}
	}
	if got[Late] != 1 || got[Clock] != 0 || got[""] == 0 {
		t.Errorf("causes of times ahead with events that were not known yet: %v", got)
	}
}
