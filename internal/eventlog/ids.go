package eventlog

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Segment is the ids that a shard stored during some time. They are forgotten together.
type Segment struct {
	Number uint32         // ascending from 1; segment 0 has the ids that are never forgotten and is in no list
	Began  plan.EventTime // when its first id was stored
	Newest plan.EventTime // no delivery with one of its ids has a later Entry.Time
	Until  plan.EventTime // its ids are remembered until then, at least
}

// Segments says which ids a shard remembers. A log stores it with the ids and changes both in
// one step.
//
// Deliveries with one id have one Entry.Time, or contradict each other. So whoever has forgotten
// the ids up to a time, and takes no delivery up to that time unless its id is remembered, takes none
// twice, whatever the clocks say: they only decide how long ids are remembered.
type Segments struct {
	Forgotten plan.EventTime // an id that was forgotten has no delivery at or after this time; Always: none was forgotten
	List      []Segment      // ascending by number; new ids are stored in the last one
}

// mostSegments bounds in how many segments an id is looked for. Ids are remembered longer instead.
const mostSegments = 8

// NoSegments are the Segments of a shard without ids that can be forgotten.
func NoSegments() Segments { return Segments{Forgotten: plan.Always} }

// Clone returns a copy that shares nothing with s.
func (s Segments) Clone() Segments {
	s.List = slices.Clone(s.List)
	return s
}

// Refuses reports whether e must not be taken, given that its id is not remembered: it may have
// been forgotten.
func (s *Segments) Refuses(e *Entry) bool { return e.ID != "" && e.Time < s.Forgotten }

// Place returns the segment in which the id of an entry that is stored at now is put. It begins
// a new segment when the last one has taken ids for a quarter of the time for which e is to be
// remembered.
func (s *Segments) Place(e *Entry, now plan.EventTime) uint32 {
	if e.Keep == 0 {
		return 0
	}
	n := len(s.List)
	if n == 0 || n < mostSegments && now >= later(s.List[n-1].Began, e.Keep/4) {
		next := Segment{Number: 1, Began: now, Newest: plan.Always, Until: plan.Always}
		if n > 0 {
			next.Number = s.List[n-1].Number + 1
		}
		s.List = append(s.List, next)
	}
	last := &s.List[len(s.List)-1]
	last.cover(e, now)
	return last.Number
}

// Cover remembers the id of e in a segment as long as a delivery of e.Time has to be. A delivery that
// contradicts its event may have another time than the event.
func (s *Segments) Cover(number uint32, e *Entry) {
	for i := range s.List {
		if s.List[i].Number == number && e.Keep > 0 && e.Time > s.List[i].Newest {
			s.List[i].cover(e, e.Time)
		}
	}
}

// cover extends the segment to an entry that is stored at now. Times are rounded up, so that
// the stored form rarely changes.
func (s *Segment) cover(e *Entry, now plan.EventTime) {
	grid := max(plan.EventTime(e.Keep/64), 1)
	s.Newest = max(s.Newest, roundUp(e.Time, grid))
	s.Until = max(s.Until, later(roundUp(max(now, e.Time), grid), e.Keep))
}

// Forget removes the segments whose time is over at now, but never the last one, and returns
// their numbers.
func (s *Segments) Forget(now plan.EventTime) (gone []uint32) {
	last := len(s.List) - 1
	kept := s.List[:0:0]
	for i, g := range s.List {
		if i == last || now < g.Until {
			kept = append(kept, g)
			continue
		}
		gone = append(gone, g.Number)
		s.Forgotten = max(s.Forgotten, later(g.Newest, 1))
	}
	s.List = kept
	return gone
}

func roundUp(t, grid plan.EventTime) plan.EventTime {
	rest := ((t % grid) + grid) % grid
	if rest == 0 {
		return t
	}
	return later(t, plan.Micros(grid-rest))
}

// later is t + by, at most Never.
func later(t plan.EventTime, by plan.Micros) plan.EventTime {
	if t > plan.Never-plan.EventTime(by) {
		return plan.Never
	}
	return t + plan.EventTime(by)
}

const segmentLen = 4 + 8 + 8 + 8

// Encode returns the stored form, see docs/formats/eventlog.md; nothing for NoSegments.
func (s *Segments) Encode() []byte {
	if len(s.List) == 0 && s.Forgotten == plan.Always {
		return nil
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(s.Forgotten)^signBit)
	for _, g := range s.List {
		b = binary.BigEndian.AppendUint32(b, g.Number)
		for _, t := range []plan.EventTime{g.Began, g.Newest, g.Until} {
			b = binary.BigEndian.AppendUint64(b, uint64(t)^signBit)
		}
	}
	return b
}

// DecodeSegments decodes what Encode returned.
func DecodeSegments(b []byte) (Segments, error) {
	s := NoSegments()
	if len(b) == 0 {
		return s, nil
	}
	if len(b) < 8 || (len(b)-8)%segmentLen != 0 {
		return s, fmt.Errorf("the list of remembered ids has %d bytes: %w", len(b), ErrDamaged)
	}
	at := func(i int) plan.EventTime { return plan.EventTime(binary.BigEndian.Uint64(b[i:]) ^ signBit) }
	s.Forgotten = at(0)
	for b = b[8:]; len(b) > 0; b = b[segmentLen:] {
		s.List = append(s.List, Segment{Number: binary.BigEndian.Uint32(b), Began: at(4), Newest: at(12), Until: at(20)})
	}
	return s, nil
}
