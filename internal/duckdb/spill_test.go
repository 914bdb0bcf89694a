//go:build duckdb_arrow

package duckdb

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// spilling sorts more rows than its memory limit holds.
const spilling = "CREATE TABLE t AS SELECT i, random() AS r, 'text ' || i AS s FROM range(3000000) t(i) ORDER BY r"

// TestKilledProcessesLeaveNothing kills a process that has spilled. The next one removes what
// it left, and nothing of a process that lives.
func TestKilledProcessesLeaveNothing(t *testing.T) {
	dir := os.Getenv("UNSKEW_SPILL_DIR")
	if dir != "" { // the process that is killed
		db := open(t, Options{TempDir: dir, Threads: 1, MemoryLimit: "50MB"})
		if err := db.Exec(context.Background(), spilling); err != nil {
			t.Fatal(err)
		}
		fmt.Println("spilled")
		select {}
	}
	dir = t.TempDir()
	living := open(t, Options{TempDir: dir, Threads: 1, MemoryLimit: "50MB"})
	if names := spills(t, dir); len(names) != 1 {
		t.Errorf("a process that has not spilled has %q", names)
	}
	if err := living.Exec(context.Background(), spilling); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestKilledProcessesLeaveNothing$")
	c.Env = append(os.Environ(), "UNSKEW_SPILL_DIR="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "spilled\n" {
		t.Fatalf("the other process prints %q: %v", line, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if names := spills(t, dir); len(names) != 4 {
		t.Errorf("after the kill: %q", names)
	}
	open(t, Options{TempDir: dir, Threads: 1})
	names := spills(t, dir)
	if len(names) != 3 || !strings.Contains(strings.Join(names, " "), filepath.Base(living.spill.path)) {
		t.Errorf("after the next start: %q", names)
	}
	if err := living.Exec(context.Background(), "CREATE TABLE u AS SELECT * FROM t ORDER BY s"); err != nil {
		t.Errorf("the living process: %v", err)
	}
}

func spills(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestLocksThatVanish: a lock that another process has removed is not held.
func TestLocksThatVanish(t *testing.T) {
	dir := t.TempDir()
	f, err := os.CreateTemp(dir, spillPrefix+"*"+lockSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := removeStale(dir); err != nil {
		t.Fatal(err)
	}
	if locked(f) || len(spills(t, dir)) != 0 {
		t.Errorf("a removed lock is held; left are %q", spills(t, dir))
	}
	s, err := newSpillDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := removeStale(dir); err != nil || len(spills(t, dir)) != 1 {
		t.Errorf("a held lock is removed: %v", err)
	}
	if err := s.remove(); err != nil || len(spills(t, dir)) != 0 {
		t.Errorf("left are %q: %v", spills(t, dir), err)
	}
	if _, err := newSpillDir(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory is no error")
	}
}
