package main

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/sdk"
)

// An unknown outcome from a newer server is an error of the push, and does not index out of range.
func TestOutcomesOfANewerServer(t *testing.T) {
	for _, test := range []struct {
		outcomes []sdk.Outcome
		want     string
	}{
		{[]sdk.Outcome{1, 99}, "outcome 99"}, {[]sdk.Outcome{1, -1}, "outcome -1"}, {[]sdk.Outcome{0, 1}, "outcome 0"},
		{[]sdk.Outcome{257, 1}, "outcome 257"}, {[]sdk.Outcome{1}, "answered for 1 rows, but 2"}, {[]sdk.Outcome{1, 4}, ""},
	} {
		rows := make([]sdk.Pushed, len(test.outcomes))
		for i, o := range test.outcomes {
			rows[i].Outcome = o
		}
		_, err := answered(rows, 2)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.outcomes, err, test.want)
		}
	}
}
