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
	return len(r.merged.Aggregates) > 0 && len(r.keepers) <= firstBits && r.layout.classes == 1
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

// earliestTimes are when the first FewEvents events of each entity became visible, by part and local entity. How many
// an entity has tells whether it is new, and the events that say so need not be kept.
type earliestTimes [][FewEvents]plan.EventTime

func newEarliestTimes(entities int) earliestTimes {
	return slices.Repeat(earliestTimes{earliest(nil)}, entities)
}

// add adds those of other events of the same entities.
func (t earliestTimes) add(o earliestTimes) {
	for e := range o {
		for _, at := range o[e] {
			if at >= t[e][FewEvents-1] {
				break
			}
			insertTime(&t[e], at)
		}
	}
}

// pruner drops superseded events from blocks without late events.
type pruner struct {
	replay   *Replay
	passes   uint64 // bits of the first word: the slots that an event passes
	earliest earliestTimes
	after    []successor // scratch: by local entity
	done     []int32     // rows of a block that are kept and that no later event will supersede, if they come in order of time
	newest   []int32     // the newest row of each entity, which one may
	spare    *Block      // empty
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
	return &pruner{
		replay: r, passes: (1<<len(r.keepers) - 1) << (64 - firstBits), earliest: newEarliestTimes(r.division.parts() * r.division.entities()), spare: new(Block),
	}
}

// addLate adds the times of events that are known late, in a block of their own, to the earliest ones.
func (p *pruner) addLate(part int, entities []int32, visible []plan.EventTime, sel []int32) {
	d := p.replay.division
	first := p.earliest[part*d.entities():]
	for _, i := range sel {
		if t := &first[d.localOf(entities[i])]; visible[i] < t[FewEvents-1] {
			insertTime(t, visible[i])
		}
	}
}

// prune takes the events out of a block that are not superseded, and returns them; nil if there are none. The block
// keeps the newest event of each entity, which the next one may supersede, unless all is true, they fill half of it, or
// their text is longer than mostText. The call before has left old of its rows.
func (p *pruner) prune(part int, b *Block, old int, all bool, mostText int) *Block {
	p.choose(part, b, old)
	stride := p.replay.layout.stride(false)
	if all || 2*len(p.newest)*stride > cap(b.words) || p.replay.layout.textBytes(b, p.newest) > mostText {
		p.done, p.newest = append(p.done, p.newest...), p.newest[:0]
		slices.Sort(p.done)
	}
	var out *Block
	if len(p.done) > 0 {
		out = &Block{words: make([]uint64, 0, len(p.done)*stride)}
		if n := p.replay.layout.textBytes(b, p.done); n > 0 {
			out.text = make([]byte, 0, n)
		}
		p.replay.layout.appendRows(out, b, p.done)
	}
	rest := p.spare
	rest.words = grown(rest.words, cap(b.words))[:0]
	p.replay.layout.appendRows(rest, b, p.newest)
	*b, *rest = *rest, *b
	rest.reset()
	return out
}

// reset makes a block empty, whose memory is used again.
func (b *Block) reset() { b.n, b.words, b.text, b.runs = 0, b.words[:0], b.text[:0], b.runs[:0] }

// appendRows appends rows of a block without late events, in ascending order, to another.
func (l *layout) appendRows(to, from *Block, rows []int32) {
	stride := l.stride(false)
	next := 0 // run of from
	for _, i := range rows {
		for begun := false; next < len(from.runs) && from.runs[next].row <= int(i); next++ {
			if begun {
				to.runs = to.runs[:len(to.runs)-1] // all of it is dropped
			}
			to.runs, begun = append(to.runs, run{from.runs[next].place, to.n}), true
		}
		begin := len(to.words)
		to.words = append(to.words, from.words[int(i)*stride:][:stride]...)
		l.moveText(to, to.words[begin:], from)
		to.n++
	}
}

// choose lists the rows of a block that are kept. It goes backwards: mostly in descending order
// of time.
func (p *pruner) choose(part int, b *Block, old int) {
	d, l := p.replay.division, &p.replay.layout
	asOf := p.replay.asOfTimes(part)
	p.after = grown(p.after, d.entities())
	first := p.earliest[part*d.entities():][:d.entities()]
	for e := range first {
		p.after[e] = successor{from: plan.Never, last: first[e][FewEvents-1]}
	}
	p.fetched = asOf.fetch(b.n)
	p.done, p.newest = p.done[:0], p.newest[:0]
	stride, time := l.stride(false), l.time()
	for i := b.n - 1; i >= 0; i-- {
		row := b.words[i*stride:][:stride]
		e, at, passes := uint32(row[0]), plan.EventTime(row[time]), row[0]&p.passes
		s := &p.after[e]
		if at < s.last && i >= old {
			insertTime(&first[e], at)
			s.last = first[e][FewEvents-1]
		}
		if passes == 0 || s.from <= at && at < s.time && passes&^s.passes == 0 {
			continue
		}
		if i < old { // a row sees it, and it is the first of its entity
			if s.from == plan.Never {
				p.newest = append(p.newest, int32(i))
			} else {
				p.done = append(p.done, int32(i))
			}
			continue
		}
		times := asOf.of(e)
		later, _ := slices.BinarySearch(times, at+1) // the first row that sees the event
		if later == len(times) {
			continue
		}
		if s.from == plan.Never {
			p.newest = append(p.newest, int32(i))
		} else {
			p.done = append(p.done, int32(i))
		}
		s.from, s.time, s.passes = plan.Always, at, passes
		if later > 0 {
			s.from = times[later-1]
		}
	}
	slices.Reverse(p.done)
	slices.Reverse(p.newest)
}
