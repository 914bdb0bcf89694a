package offline

import (
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// How bounded memory is divided.
const (
	// besides is memory that is not counted: code, definitions, stacks.
	besides = 64 << 20
	// readerShare: the reader gets one readerShare-th of the memory.
	readerShare = 4
	// While a thread sweeps a part of a replay, the part's events are in memory both as blocks
	// and as columns; a sweep is fastest if they fit into the processor's cache.
	sweptPart = 4 << 20
	mostParts = 1 << 10
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
		events += r.source.rows * int64(r.kernel.EventBytes())
		results += int64(t.spine.rows() * r.kernel.ResultBytes())
	}
	spine := t.spine.bytes(len(t.replays))
	t.freed = int(100 * events / max(1, results+spine+t.writerBytes()))
	t.room = &room{scratch: t.scratch}
	largest := int64(math.MaxInt64)
	var spilled *scratch
	if t.Memory > 0 {
		free := max(t.Memory-t.Memory/readerShare-besides-spine-t.writerBytes()-t.openBytes(), t.Memory/8)
		if events+results > free && results > free/4 {
			spilled, results = t.scratch, 0
		}
		// The other half is for what is swept.
		t.room.limit = max((free-results)/2, free/8)
		largest = max(t.room.limit/int64(4*t.Threads), 1)
	}
	for _, r := range t.replays {
		parts, each := 1, int64(r.kernel.EventBytes())
		for parts < mostParts && (r.source.rows*each/int64(parts) > largest || r.kernel.SweptEvents(r.source.rows)*each/int64(parts) > sweptPart) {
			parts *= 2
		}
		r.kernel.Begin(t.spine.entities, r.tuple, parts)
		r.blocks = t.room.newBlocks(parts)
		r.results = newResults(r.kernel, spilled)
	}
	return nil
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

// writerBytes is what the row groups in flight take.
func (t *trainer) writerBytes() int64 {
	return int64((t.Threads + 2 + len(t.partition.names)) * groupRows * 16 * (len(t.Set.Service.Outputs()) + 8))
}

// openBytes is the memory of the blocks that collectors are filling.
func (t *trainer) openBytes() int64 { return int64(t.Threads*len(t.replays)) * kernel.OpenBytes }
