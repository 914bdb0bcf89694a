package plan

import (
	"testing"
	"time"
)

// Spans and times are in microseconds, whatever unit they were written in.
func TestB5_SpansAreMicroseconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "90m": 90 * time.Minute, "1h": time.Hour, "7d": 7 * 24 * time.Hour,
	} {
		got, err := ParseSpan(text)
		if err != nil || int64(got) != want.Microseconds() {
			t.Errorf("%s is %d µs, %v; want %d", text, int64(got), err, want.Microseconds())
		}
	}
	noon := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)
	if got := TimeOf(noon) + EventTime(Hour); got != TimeOf(noon.Add(time.Hour)) {
		t.Errorf("an hour after noon is %v", got)
	}
}
