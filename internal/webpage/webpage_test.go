package webpage

import (
	"math"
	"testing"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(-1000), "-1,000"}, {Count(1234567), "1,234,567"},
		{Number(0.12345), "0.123"}, {Number(12), "12"}, {Number(-1234.5), "-1.23e+03"}, {Number(12345.6), "12,346"}, {Number(1e15), "1e+15"}, {Number(math.NaN()), "–"}, {Number(math.Inf(-1)), "-Inf"},
		{Share(0), "0 %"}, {Share(0.0001), "< 0.1 %"}, {Share(0.5), "50.0 %"}, {Share(0.9999), "> 99.9 %"}, {Share(1), "100.0 %"}, {Share(math.NaN()), "–"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
