package serving

import (
	"os"
	"runtime/debug"

	"github.com/unskew/unskew/internal/limits"
)

// boundHeap has the collector work harder instead of letting the heap of a server grow beyond what it
// needs besides what it keeps by configuration, which has the given size, and gives the memory of the start back to the machine.
func boundHeap(kept int64) {
	if !CollectorConfigured() {
		debug.SetMemoryLimit(limits.HeapBytes + kept)
	}
	debug.FreeOSMemory()
}

// CollectorConfigured reports whether the environment configures the collector.
func CollectorConfigured() bool {
	_, percent := os.LookupEnv("GOGC")
	_, limit := os.LookupEnv("GOMEMLIMIT")
	return percent || limit
}
