package kernel

import "iter"

// A part whose events do not fit into memory is sorted by entity and time in a store. It is swept a
// range of entities at a time, whose events do; those of an entity that has too many alone are read
// in pieces, see longSweep.

// StoredPart is a part whose events are sorted in a store.
type StoredPart struct {
	part   int
	limit  int // bytes of memory to sweep it with
	events *sortedRuns
	bytes  []int64 // of the events of each entity
}

// The shares of that limit.
const (
	runShare   = 5  // blocks that are sorted; their rows' keys and the blocks made of them take about three times as much
	mergeShare = 8  // a block of each run
	rangeShare = 5  // blocks of a range of entities; loading and sweeping them takes about three times as much
	pieceShare = 16 // the blocks of a long entity that are at hand; the rest is for their columns and partials
)

// StorePart sorts the blocks of a part, of the given number of bytes, to be swept with about limit
// bytes of memory.
func (r *Replay) StorePart(part int, blocks iter.Seq2[*Block, error], bytes int64, store Store, limit int) (*StoredPart, error) {
	p := &StoredPart{part: part, limit: limit, bytes: make([]int64, r.division.entities())}
	counted := func(yield func(*Block, error) bool) {
		for b, err := range blocks {
			if err == nil {
				r.layout.countBytes(b, p.bytes)
			}
			if !yield(b, err) {
				return
			}
		}
	}
	var err error
	p.events, err = r.layout.byTime().sortBlocks(counted, store, limit/runShare, p.piece(bytes))
	return p, err
}

// piece is the size of the blocks of sorted runs of the given bytes, of which one of each run is in
// memory.
func (p *StoredPart) piece(bytes int64) int {
	runs := bytes/max(1, int64(p.limit/runShare)) + 1
	return p.limit / mergeShare / int(runs)
}

// countBytes adds the bytes of each row to those of its entity.
func (l *layout) countBytes(b *Block, bytes []int64) {
	for row := range b.n {
		bytes[l.entityOf(b, row)] += l.rowBytes(b, row)
	}
}

// SweepStored computes the aggregates of the spine rows [from, to) of a stored part. It may be
// called several times.
func (s *Sweeper) SweepStored(p *StoredPart, from, to int) (*PartResults, error) {
	s.orderSpine(p.part, from, to)
	s.out = s.replay.newResults(to - from)
	events, err := p.events.merge()
	if err != nil {
		return nil, err
	}
	r := &rangeSweep{Sweeper: s, part: p, events: events}
	r.writer = rowWriter{layout: &s.replay.layout, late: p.events.late, bytes: 8 * maxBlockWords, keep: func(b *Block) error {
		r.blocks = append(r.blocks, b)
		return nil
	}}
	return s.out, r.run()
}

// rangeSweep sweeps a stored part by ranges of entities.
type rangeSweep struct {
	*Sweeper
	part   *StoredPart
	events *merger
	next   int // first entity that is not swept yet
	writer rowWriter
	blocks []*Block // events of the entities from next on
	bytes  int64
}

func (r *rangeSweep) run() error {
	limit := int64(r.part.limit / rangeShare)
	for {
		b, row, ok := r.events.first()
		if !ok {
			return r.sweepUntil(len(r.first) - 1)
		}
		e := int(r.replay.layout.entityOf(b, row))
		bytes := r.part.bytes[e]
		if r.bytes > 0 && r.bytes+bytes > limit {
			if err := r.sweepUntil(e); err != nil {
				return err
			}
		}
		var err error
		switch {
		case r.first[e] == r.first[e+1]:
			err = r.eachOf(e, func(*Block, int) error { return nil })
		case bytes > limit:
			err = r.sweepLong(e)
		default:
			r.bytes += bytes
			err = r.eachOf(e, r.writer.add)
		}
		if err != nil {
			return err
		}
	}
}

// eachOf calls f with the rows of entity e, which must be next.
func (r *rangeSweep) eachOf(e int, f func(b *Block, row int) error) error {
	for {
		b, row, ok := r.events.first()
		if !ok || int(r.replay.layout.entityOf(b, row)) != e {
			return nil
		}
		if err := f(b, row); err != nil {
			return err
		}
		if err := r.events.next(); err != nil {
			return err
		}
	}
}

// sweepUntil sweeps the entities before the given one.
func (r *rangeSweep) sweepUntil(end int) error {
	if err := r.writer.flush(); err != nil {
		return err
	}
	if err := r.load(r.blocks); err != nil {
		return err
	}
	r.sweepEntities(r.next, end)
	r.next, r.blocks, r.bytes = end, r.blocks[:0], 0
	return nil
}

// sweepLong sweeps an entity with too many events for memory.
func (r *rangeSweep) sweepLong(e int) error {
	if err := r.sweepUntil(e); err != nil {
		return err
	}
	r.next = e + 1
	l, err := r.newLongSweep(r.part)
	if err != nil {
		return err
	}
	if err := r.eachOf(e, l.pieces.add); err != nil {
		return err
	}
	if seen := r.replay.earliest; seen != nil {
		l.pieces.first = seen[r.Sweeper.part*r.replay.division.entities()+e]
	}
	return l.sweep(r.ranks[r.first[e]:r.first[e+1]])
}
