package offline

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// How memory is shared out, when it is bounded.
const (
	// besides is what the program takes that nobody counts: code, definitions, stacks.
	besides = 64 << 20
	// readerShare is the part of the memory that is the reader's: one of so many.
	readerShare = 4
	// A part of the events of a replay is held as blocks and as columns while it is swept,
	// by each thread, and a sweep goes best through what a processor's cache holds.
	sweptPart = 4 << 20
	mostParts = 1 << 10
)

// startReplays decides how much of the events and of the results is held in memory.
// Nothing that is written depends on it.
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
	largest := int64(sweptPart)
	var spilled *scratch
	if t.Memory > 0 {
		free := max(t.Memory-t.Memory/readerShare-besides-spine-t.writerBytes()-t.openBytes(), t.Memory/8)
		if events+results > free && results > free/4 {
			spilled, results = t.scratch, 0
		}
		// The other half is for what is swept.
		t.room.limit = max((free-results)/2, free/8)
		largest = max(min(largest, t.room.limit/int64(4*t.Threads)), 1)
	}
	for _, r := range t.replays {
		parts := 1
		for int64(parts)*largest < r.source.rows*int64(r.kernel.EventBytes()) && parts < mostParts {
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
	each := 8 + 4*len(s.tuples) + 4*replays
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

// entityBytes is what the number of an entity takes, about.
const entityBytes = 64

// writerBytes is what the row groups in flight take.
func (t *trainer) writerBytes() int64 {
	return int64((t.Threads + 2 + len(t.partition.names)) * groupRows * 16 * (len(t.Set.Service.Outputs()) + 8))
}

// openBytes is what the blocks take that collectors have open.
func (t *trainer) openBytes() int64 { return int64(t.Threads*len(t.replays)) * kernel.OpenBytes }
