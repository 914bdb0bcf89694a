package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/serving"
	"github.com/unskew/unskew/internal/text"
	"github.com/unskew/unskew/materializer/offline"
)

// bytes returns the value of --memory, or half of the machine's memory; 0 if that is unknown.
func (f *trainFlags) bytes() (int64, error) {
	if f.memory == "" {
		return defaultMemory(2), nil
	}
	return parseMemory("--memory", f.memory)
}

// defaultMemory is a fraction of the machine's memory, but no less than a training set takes; 0 if that is
// unknown.
func defaultMemory(fraction int64) int64 {
	machine := machineMemory("/")
	if machine == 0 {
		return 0
	}
	return max(machine/fraction, offline.LeastMemory)
}

// parseMemory reads the value of a flag that bounds the memory of a training set.
func parseMemory(flag, value string) (int64, error) {
	n, err := text.ParseSize(value)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", flag, err)
	}
	if n < offline.LeastMemory {
		return 0, fmt.Errorf("%s: %q is too little; reading and writing files takes %d MiB, so write at least %dMiB", flag, value, offline.LeastMemory>>20, offline.LeastMemory>>20)
	}
	return n, nil
}

// leastQueries is what DuckDB needs to run queries with a few threads.
const leastQueries = int64(100e6)

// reading sets the shares of memory that a reader has; of 0, which is no bound, none is set.
func reading(memory int64, to *relation.Options) {
	if memory == 0 {
		return
	}
	s := offline.Divide(memory, true)
	to.MemoryLimit = fmt.Sprintf("%dMB", max(leastQueries, s.Queries)/1e6)
	to.InFlight, to.IDs = s.InFlight, s.IDs
}

// garbage is the GC percentage for building a training set. Most of its memory holds numbers,
// which cost the collector no time.
const garbage = 25

// ballast is memory that is never touched, so it costs none of the machine's. The collector counts it as
// in use and lets the heap grow by its percentage of it, too: without it, most collections of a run
// happen while there are a few megabytes in use. It is never freed: what is allocated in its place
// would touch new pages, instead of those of the events that were freed.
var ballast []byte

// mostBallast lets the heap grow by 64 MiB between collections, at least.
const mostBallast = 256 << 20

// unboundHeap lifts the bound until restore is called, for a training set, whose memory has a limit of
// its own.
func unboundHeap() (restore func()) {
	old := debug.SetMemoryLimit(math.MaxInt64)
	return func() { debug.SetMemoryLimit(old) }
}

// collectBelow makes the collector keep the heap within its share of memory, unless the
// environment configures the collector.
func collectBelow(memory int64, queries bool) {
	if serving.CollectorConfigured() {
		return
	}
	debug.SetGCPercent(garbage)
	size := int64(mostBallast)
	if memory > 0 {
		size = min(size, memory/4)
	}
	if ballast == nil {
		ballast = make([]byte, size)
	}
	if memory > 0 {
		debug.SetMemoryLimit(offline.Divide(memory, queries).Heap + size)
	}
}

// growBy limits the Go heap to what it has now and the heap's share of memory, for the time of a build
// in a process that does other things too, unless the environment configures the collector.
func growBy(memory int64, queries bool) (restore func()) {
	if memory == 0 || serving.CollectorConfigured() {
		return func() {}
	}
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	before := debug.SetMemoryLimit(int64(heap.HeapAlloc) + offline.Divide(memory, queries).Heap)
	return func() {
		debug.SetMemoryLimit(before)
		debug.FreeOSMemory() // what the build took
	}
}

// maxGarbage is the highest GC percentage that is worth its memory, however much is free.
const maxGarbage = 200

// collectLater raises the GC percentage, unless the environment configures the collector.
func collectLater(percent int) {
	if serving.CollectorConfigured() {
		return
	}
	runtime.GC() // the percentage applies to the heap in use after this collection
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	inUse := float64(heap.HeapAlloc-uint64(len(ballast))) / float64(heap.HeapAlloc) // the rest is ballast
	debug.SetGCPercent(max(garbage, int(inUse*float64(min(percent/2, maxGarbage)))))
}

// machineMemory returns the memory of the machine, or of the process's control group if that
// is less; 0 if unknown. root is the root of the file system.
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

// groupLimits lists the limits of the process's control groups: in version 2 those of its
// group and all its ancestors, in version 1 that of its memory group.
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
