package offline

import (
	"fmt"
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/report"
)

const (
	// While a thread sweeps a part of a replay, the part's events are in memory both as blocks
	// and as columns; a sweep is fastest if they fit into the processor's cache.
	sweptPart = 4 << 20
	mostParts = 1 << 10
	// A part is swept as a whole if its blocks, and its results, fit into a wholeShare-th of the memory of a thread.
	wholeShare = 3
	// The blocks that all collectors of a source are filling take an openShare-th of the memory.
	openShare = 16
	// The chunks of results that are read while a training set is written take a chunkShare-th of the memory.
	chunkShare = 16
)

// startReplays decides how much of the events and of the results is kept in memory.
// The output does not depend on it.
func (t *trainer) startReplays() error {
	var events, results int64
	for _, r := range t.replays {
		var err error
		if r.kernel, err = kernel.NewReplay(r.views...); err != nil {
			return err
		}
		if t.Memory > 0 {
			r.kernel.LimitOpen(t.Memory / openShare / int64(t.Threads*len(r.source.replays)))
		}
		events += r.source.rows * int64(r.kernel.EventBytes())
		results += int64(t.spine.rows() * r.kernel.ResultBytes())
	}
	spine := t.spine.bytes(len(t.replays))
	t.freed = int(100 * events / max(1, results+spine+t.writingBytes()))
	t.room = &room{scratch: t.scratch}
	held := &resultRoom{scratch: t.scratch}
	largest, rows := int64(math.MaxInt64), int64(math.MaxInt64)
	var sweep int64
	if t.Memory > 0 {
		free, err := t.free(spine)
		if err != nil {
			return err
		}
		held.limit, held.chunks = free/4, t.Memory/chunkShare/int64(len(t.replays))
		// The other half is for what is swept.
		t.room.limit = max((free-held.limit)/2, 1)
		sweep = max(t.room.limit/int64(t.Threads), 1)
		largest = max(sweep/(2*wholeShare), 1)
		if results > held.limit {
			rows = largest
		}
	}
	for _, r := range t.replays {
		parts, each, bytes := 1, int64(r.kernel.EventBytes()), int64(t.spine.rows()*r.kernel.ResultBytes())
		for parts < mostParts && (r.source.rows*each/int64(parts) > largest || r.kernel.SweptEvents(r.source.rows)*each/int64(parts) > sweptPart || bytes/int64(parts) > rows) {
			parts *= 2
		}
		r.kernel.Begin(t.spine.entities, r.tuple, parts)
		r.sweepBytes = sweep
		r.blocks = t.room.newBlocks(parts)
		r.results = newResults(r.kernel, held)
	}
	return nil
}

// free is the memory for events and results. It is an error if the spine leaves less than a sixteenth.
func (t *trainer) free(spine int64) (int64, error) {
	s := Divide(t.Memory, HasQueries(t.Set))
	taken := s.Program + s.Queries + s.InFlight + spine + t.openBytes()
	if slices.ContainsFunc(t.sources, func(s *source) bool { return s.plan.EventID != "" }) {
		taken += s.IDs
	}
	least := t.Memory / 16
	if free := t.Memory - taken; free >= least || t.Memory < LeastMemory {
		return max(free, least), nil
	}
	need := t.Memory
	for need-taken < need/16 {
		need += need / 8
		n := Divide(need, HasQueries(t.Set))
		taken = n.Program + n.Queries + n.InFlight + n.IDs + spine + t.openBytes()
	}
	return 0, fmt.Errorf("the %d rows of the spine and their entities take about %d MiB of memory, for which the limit of %d MiB is too low; allow at least %d MiB (--memory), "+
		"or divide the spine", t.spine.rows(), spine>>20, t.Memory>>20, need>>20)
}

// bytes is what the spine takes.
func (s *spine) bytes(replays int) int64 {
	each := 8 + 4*len(s.tuples) + 28*replays // of a replay the division, and the order of rows if it drops superseded events
	for _, name := range s.keep {
		each += 8
		if vector.Lane(s.columns[name].Type) == plan.String {
			each += 32
		}
	}
	n := int64(s.rows() * each)
	for i := range s.tuples {
		n += int64(entityBytes * s.entities.Entities(i))
	}
	return n
}

// entityBytes is about what the entry of an entity takes in a table of entities.
const entityBytes = 64

// groupBytes is about what a row group takes while it is computed and written.
func (t *trainer) groupBytes() int64 {
	return int64(groupRows * 16 * (len(t.Set.Service.Outputs()) + 8))
}

// writingBytes is what row groups that are computed, or wait to be written, may take at once.
func (t *trainer) writingBytes() int64 {
	n := int64(t.Threads+2) * t.groupBytes()
	if t.Memory > 0 {
		return max(min(n, Divide(t.Memory, false).Writing), 1)
	}
	return max(n, 256<<20)
}

// fillers is how many goroutines compute row groups. Each has counters of its own for the report.
func (t *trainer) fillers() int {
	n := int64(t.Threads)
	if t.Memory > 0 {
		n = min(n, Divide(t.Memory, false).Report/int64(report.MostBytes*(1+len(t.Set.Service.Outputs()))))
	}
	return int(max(n, 1))
}

// openBytes is the most memory of what collectors, of one source at a time, are filling and remember of entities.
func (t *trainer) openBytes() (most int64) {
	for _, s := range t.sources {
		n := int64(0)
		for _, r := range s.replays {
			n += int64(r.kernel.OpenBytes()) + int64(t.spine.entities.Entities(r.tuple))*int64(r.kernel.EntityBytes())
		}
		most = max(most, n*int64(t.Threads))
	}
	return most
}
