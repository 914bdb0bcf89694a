package main

import (
	"testing"

	"github.com/unskew/unskew/internal/dev/bench"
)

// The short form of every load, against the command as users have it.
func TestP19_LoadsStayWithinBounds(t *testing.T) {
	command, err := bench.BuildCommand()
	if err != nil {
		t.Fatal(err)
	}
	r, err := run(t.Context(), options{command: command, short: true}, func(line string) { t.Log(line) })
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 {
		t.Errorf("%d loads failed: %+v", r.Failed, r)
	}
}
