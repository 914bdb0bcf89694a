package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The short form of every load, against the command as it is built for users.
func TestP19_LoadsStayWithinBounds(t *testing.T) {
	command := filepath.Join(t.TempDir(), "unskew")
	build := exec.Command("go", "build", "-tags", "duckdb_arrow", "-o", command, "github.com/unskew/unskew/cmd/unskew")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
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
