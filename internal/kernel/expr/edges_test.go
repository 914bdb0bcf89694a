package expr

import (
	"math"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Equality is the only operator that is defined for two nulls.
func TestN1_NullIsEqualToNullOnly(t *testing.T) {
	one := plan.IntValue(1)
	for _, tc := range []struct {
		row  vars
		want string
	}{{nil, "true"}, {vars{"i": one}, "false"}, {vars{"j": one}, "false"}, {vars{"i": one, "j": one}, "true"}, {vars{"i": plan.IntValue(0)}, "false"}} {
		wantNative(t, "i == j")
		wantRow(t, "i == j", tc.row, tc.want)
		wantRow(t, "!(i != j)", tc.row, tc.want)
		wantRow(t, "i in [j]", tc.row, tc.want)
	}
}

// An int overflow is an error of its row and never wraps around.
func TestC7_IntsDoNotWrap(t *testing.T) {
	least, most := plan.IntValue(math.MinInt64), plan.IntValue(math.MaxInt64)
	minusOne, one := plan.IntValue(-1), plan.IntValue(1)
	for _, tc := range []struct {
		text, want string
		i, j       plan.Value
	}{
		{"i + j", "error", most, one}, {"i + j", "error", least, minusOne}, {"i + j", "-1", least, most},
		{"i - j", "error", least, one}, {"i - j", "error", most, minusOne}, {"i - j", "0", least, least},
		{"i * j", "error", least, minusOne}, {"i * j", "error", most, most}, {"i * j", "-9223372036854775807", most, minusOne},
		{"i / j", "error", least, minusOne}, {"i / j", "-9223372036854775807", most, minusOne},
		{"i % j", "error", least, minusOne}, {"i % j", "0", most, minusOne},
		{"-i", "error", least, one}, {"-i", "-9223372036854775807", most, one},
	} {
		wantNative(t, tc.text)
		wantRow(t, tc.text, vars{"i": tc.i, "j": tc.j}, tc.want)
	}
}
