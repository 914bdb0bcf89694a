package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/materializer/offline"
)

// newSpilling is a project whose training set does not fit into the least memory.
func newSpilling(t *testing.T) *testProject {
	t.Helper()
	p := &testProject{t, t.TempDir()}
	p.write("unskew.yaml", "project: spill\n")
	p.check(os.Mkdir(filepath.Join(p.dir, "features"), 0o755))
	p.write("features/defs.yaml", fmt.Sprintf(memoryDefinitions, "", "text"))
	db, err := duckdb.Open(duckdb.Options{BaseDir: p.dir, Threads: 2, MemoryLimit: "500MB"})
	p.check(err)
	for file, sql := range map[string]string{
		"events.parquet": "SELECT (hash(i) % 900)::BIGINT AS who, TIMESTAMP '2025-01-01' + to_seconds(i) AS ts, (i % 7)::DOUBLE AS amount, repeat(md5(i::VARCHAR), 30) AS text FROM range(80000) t(i)",
		"spine.parquet":  "SELECT i % 900 AS who, TIMESTAMP '2025-01-02' + to_seconds(i) AS at FROM range(8000) t(i)",
	} {
		p.check(db.Exec(t.Context(), fmt.Sprintf("COPY (%s) TO '%s' (ROW_GROUP_SIZE 20480)", sql, filepath.Join(p.dir, file))))
	}
	p.check(db.Close())
	return p
}

// spills reports whether a process has an open file of what does not fit into memory; the file has no name
// any more.
func spills(pid int) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.Contains(filepath.Base(to), ".scratch-") {
			return true
		}
	}
	return false
}

// finished is files without those under temporary names.
func finished(files map[string]string) map[string]string {
	files = maps.Clone(files)
	maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasPrefix(name, ".") })
	return files
}

// TestO7_KilledWhileSpilling ends training that spills, at different points, by a kill and by an interrupt.
// What was there before is whole, an interrupt leaves nothing else, and what a kill leaves the next run
// removes.
func TestO7_KilledWhileSpilling(t *testing.T) {
	if testing.Short() {
		t.Skip("it trains a dozen sets that spill")
	}
	p := newSpilling(t)
	spilling := []string{"train", "set", "-q", "--memory", "256MiB", "--out", "set", "--with-status"}
	p.run("train", "set", "-q", "--out", "set")
	old := p.hashes("set")
	whole := p.again()
	_, begun := whole.run("validate")
	_, took := whole.run(spilling...)
	want := whole.hashes("set")
	whole.run("train", "set", "-q", "--memory", "4GiB", "--out", "set", "--with-status")
	if got := whole.hashes("set"); got["data.parquet"] != want["data.parquet"] {
		t.Error("a run that spills has another result than one in memory")
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			spilled := 0
			eachKill(t, begun, took, func(t *testing.T, after time.Duration) bool {
				q := (&testProject{t, p.dir}).again()
				c := q.command(spilling...)
				q.check(c.Start())
				open := make(chan bool, 1)
				time.AfterFunc(after, func() {
					open <- spills(c.Process.Pid)
					_ = c.Process.Signal(sig)
				})
				err := c.Wait()
				if <-open && err != nil {
					spilled++
				}
				left := q.hashes("set")
				m, unreadable := offline.ReadManifest(filepath.Join(q.dir, "set"))
				if err != nil && !maps.Equal(finished(left), old) && (unreadable != nil || left["data.parquet"] != m.Files[0].SHA256) {
					t.Errorf("the directory holds %v, %v", left, unreadable)
				}
				if sig == syscall.SIGINT && len(left) != len(finished(left)) {
					t.Errorf("after an interrupt the directory holds %v", left)
				}
				q.run(spilling...)
				if got := q.hashes("set"); !maps.Equal(got, want) {
					t.Errorf("the next run leaves %v, want %v", got, want)
				}
				return err != nil
			})
			if spilled == 0 {
				t.Error("no run had spilled when it was ended")
			}
		})
	}
}
