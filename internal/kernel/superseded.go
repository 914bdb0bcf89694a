package kernel

import (
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
)

// A replay all of whose aggregates are the latest of something, in whatever window, reads few of its
// events: where two events of an entity pass the same slots and no spine row lies between them, every
// row that sees the earlier one sees the later one too. Such a replay drops superseded events before
// blocks are handed over, so they take no memory and are not swept.

// onlyLatest reports whether superseded events can be dropped.
func (r *Replay) onlyLatest() bool {
	for _, a := range r.merged.Aggregates {
		if f := r.merged.Slots[a.Slot].Func; f != plan.Latest && f != plan.LatestTime {
			return false
		}
	}
	return len(r.merged.Aggregates) > 0 && len(r.keepers) <= firstBits
}

// asOfTimes are the spine rows of a part in the order of their entities and times. They are made when a
// collector or a sweeper first needs them.
type asOfTimes struct {
	spineOrder
	once  sync.Once
	times []plan.EventTime // of the rows in that order
}

// asOfTimes makes the times of a part if they are not there yet.
func (r *Replay) asOfTimes(part int) *asOfTimes {
	a := &r.asOf[part]
	a.once.Do(func() {
		a.spineOrder.make(r.division, part, 0, r.PartRows(part), new(timeSorter))
		a.times = make([]plan.EventTime, len(a.ranks))
		for i, rank := range a.ranks {
			a.times[i] = a.at[rank]
		}
	})
	return a
}

// of is the times of an entity.
func (a *asOfTimes) of(entity uint32) []plan.EventTime {
	return a.times[a.first[entity]:a.first[entity+1]]
}

// fetch reads the times in order, in which they come to the processor's cache faster than when they are looked at here and
// there. The sum of what it read is for the compiler, which leaves out what has no use.
func (a *asOfTimes) fetch(looks int) (sum plan.EventTime) {
	const line = 8 // times
	if len(a.times)/line > looks {
		return 0 // most of them will not be looked at
	}
	for i := 0; i < len(a.times); i += line {
		sum += a.times[i]
	}
	return sum
}

// pruner drops superseded events from blocks without late events. It keeps the FewEvents earliest
// events of each entity that it sees, since how many an entity has tells whether it is new.
type pruner struct {
	replay   *Replay
	passes   uint64                      // bits of the first word: the slots that an event passes
	earliest [][FewEvents]plan.EventTime // by part and local entity
	after    []successor                 // scratch: by local entity
	kept     []int32                     // scratch
	fetched  plan.EventTime
}

// successor is an event of an entity that is kept, and supersedes those before it down to from.
type successor struct {
	from, time plan.EventTime
	passes     uint64
	last       plan.EventTime // of the entity's earliest
}

func (r *Replay) newPruner() *pruner {
	if r.asOf == nil {
		return nil
	}
	p := &pruner{replay: r, passes: (1<<len(r.keepers) - 1) << (64 - firstBits), earliest: make([][FewEvents]plan.EventTime, r.division.parts()*r.division.entities())}
	for e := range p.earliest {
		p.earliest[e] = earliest(nil)
	}
	return p
}

// prune copies the events of a block that are not superseded to a new one; nil if there are none.
func (p *pruner) prune(part int, b *Block) *Block {
	p.choose(part, b)
	if len(p.kept) == 0 {
		return nil
	}
	stride := p.replay.layout.stride(false)
	out := &Block{n: len(p.kept), words: make([]uint64, 0, len(p.kept)*stride)}
	if b.text != nil {
		out.text = make([]byte, 0, len(b.text)*(len(p.kept)+8)/b.n)
	}
	next := 0 // run of b
	for n, i := range p.kept {
		for begun := false; next < len(b.runs) && b.runs[next].row <= int(i); next++ {
			if begun {
				out.runs = out.runs[:len(out.runs)-1] // all of it is dropped
			}
			out.runs, begun = append(out.runs, run{b.runs[next].place, n}), true
		}
		out.words = append(out.words, b.words[int(i)*stride:][:stride]...)
		p.replay.layout.moveText(out, out.words[n*stride:], b)
	}
	return out
}

// choose lists the rows of a block that are kept. It goes backwards: mostly in descending order
// of time.
func (p *pruner) choose(part int, b *Block) {
	d, l := p.replay.division, &p.replay.layout
	asOf := p.replay.asOfTimes(part)
	p.after = grown(p.after, d.entities())
	first := p.earliest[part*d.entities():][:d.entities()]
	for e := range first {
		p.after[e] = successor{from: plan.Never, last: first[e][FewEvents-1]}
	}
	p.fetched = asOf.fetch(b.n)
	p.kept = p.kept[:0]
	stride, time := l.stride(false), l.time()
	for i := b.n - 1; i >= 0; i-- {
		row := b.words[i*stride:][:stride]
		e, at, passes := uint32(row[0]), plan.EventTime(row[time]), row[0]&p.passes
		s := &p.after[e]
		if at < s.last {
			insertTime(&first[e], at)
			s.last = first[e][FewEvents-1]
		} else if s.from <= at && at < s.time && passes&^s.passes == 0 {
			continue
		}
		times := asOf.of(e)
		later, _ := slices.BinarySearch(times, at+1) // the first row that sees the event
		if later == len(times) {
			continue
		}
		s.from, s.time, s.passes = plan.Always, at, passes
		if later > 0 {
			s.from = times[later-1]
		}
		p.kept = append(p.kept, int32(i))
	}
	slices.Reverse(p.kept)
}
