package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// bytes is what --memory says, or half of what the machine has; 0 where that is not known.
func (f *trainFlags) bytes() (int64, error) {
	if f.memory == "" {
		return machineMemory("/") / 2, nil
	}
	n, err := parseSize(f.memory)
	if err != nil {
		return 0, fmt.Errorf("--memory: %w", err)
	}
	return n, nil
}

// The shares of --memory: the reader's, which is what DuckDB may use for queries and text
// files, and that of the Go heap, beside which there are stacks and what C allocates.
const (
	readerShare = 4
	heapShare   = 0.85
)

// leastReaderMemory is what DuckDB needs to read text files with a few threads.
const leastReaderMemory = 256e6

// readerMemory is DuckDB's limit when memory bytes are allowed; 0 leaves it to DuckDB.
func readerMemory(memory int64) string {
	if memory == 0 {
		return ""
	}
	return fmt.Sprintf("%dMB", int64(max(leastReaderMemory, float64(memory/readerShare))/1e6))
}

// garbage is how much garbage, in percent of what is in use, a training set may leave
// before it is collected. Most of its memory holds numbers, which cost no time to collect.
const garbage = 25

// collectBelow makes the collector keep the heap within its share of memory, unless the
// environment says how it is to work.
func collectBelow(memory int64) {
	if _, ok := os.LookupEnv("GOGC"); !ok {
		debug.SetGCPercent(garbage)
	}
	if _, ok := os.LookupEnv("GOMEMLIMIT"); !ok && memory > 0 {
		debug.SetMemoryLimit(int64(heapShare * float64(memory)))
	}
}

// mostGarbage is how much garbage is worth its memory even where there is plenty.
const mostGarbage = 200

// collectLater lets up to so many percent of what is in use be garbage, unless the
// environment says how it is to be collected.
func collectLater(percent int) {
	if _, ok := os.LookupEnv("GOGC"); !ok {
		runtime.GC() // the percentage is of what is in use when it has ended
		debug.SetGCPercent(max(garbage, min(percent/2, mostGarbage)))
	}
}

// machineMemory is the memory of the machine, or of the control group that the process is
// in if that has less; 0 if unknown. root is where the file system begins.
func machineMemory(root string) int64 {
	raw, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0
			}
			total = kib << 10
		}
	}
	for _, limit := range groupLimits(root) {
		total = min(total, limit)
	}
	return total
}

// groupLimits lists the limits of the control groups that the process is in: in version 2
// those of its group and all above it, in version 1 that of its memory group.
func groupLimits(root string) []int64 {
	raw, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return nil
	}
	var limits []int64
	add := func(parts ...string) {
		text, err := os.ReadFile(filepath.Join(append([]string{root, "sys/fs/cgroup"}, parts...)...))
		if err != nil {
			return
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			limits = append(limits, n)
		}
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) < 3:
		case f[1] == "":
			for group := f[2]; ; group = filepath.Dir(group) {
				add(group, "memory.max")
				if group == "/" || group == "." {
					break
				}
			}
		case f[1] == "memory":
			add("memory", f[2], "memory.limit_in_bytes")
			add("memory", "memory.limit_in_bytes")
		}
	}
	return limits
}
