package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// lostPayload is the payload of a record that stands for one that was lost. No payload of an event begins with a zero byte.
const lostPayload = "\x00lost"

// IsLost reports whether a payload is that of a record that stands for one that was lost.
func IsLost(payload []byte) bool { return string(payload) == lostPayload }

// LostEntry is the entry of such a record.
func LostEntry() Entry { return Entry{Payload: []byte(lostPayload)} }

// Repairing is a Log that can be repaired after acknowledged records or ids went missing.
type Repairing interface {
	Log
	// Repair finds what is missing of a shard. With Change it puts a record without an event in the place of each that is lost, so that
	// positions stay what they are, and forgets the ids of events that are lost, so that these can be pushed again. It changes nothing of
	// what is whole, and can be repeated. State that was computed from the lost records must be rebuilt.
	Repair(ctx context.Context, shard string, how RepairOptions) (Damage, error)
}

// RepairOptions say what a repair may do.
type RepairOptions struct {
	Change bool
	// AcceptLostIDs has a shard take events again though ids are lost, so that events that had them count twice if they are pushed again.
	AcceptLostIDs bool
}

// Damage says what is missing of a shard, or was before the repair.
type Damage struct {
	End        Position // of the shard, after the repair
	Lost       Gaps     // records that are missing or cannot be read
	Marked     int64    // records that earlier repairs have found lost
	Forgotten  int64    // ids of events that are lost
	Refillable int64    // events that are there, of which a later delivery is lost
	Incomplete int64    // events whose first delivery is lost and a later one is not; their ids are kept
	LostIDs    int64    // ids that are missing
	Unreadable int64    // ids that cannot be read
}

// Any reports whether something is to be done.
func (d *Damage) Any() bool {
	return len(d.Lost) > 0 || d.Forgotten > 0 || d.Refillable > 0 || d.LostIDs > 0 || d.Unreadable > 0
}

// Gap is consecutive positions without a record. At is when the record before them was appended.
type Gap struct {
	First, Last Position
	At          plan.EventTime
}

// Gaps are ascending, and none touches the next one.
type Gaps []Gap

// Count is how many positions there are.
func (g Gaps) Count() (n int64) {
	for _, gap := range g {
		n += int64(gap.Last - gap.First + 1)
	}
	return n
}

// Has reports whether a position is in a gap.
func (g Gaps) Has(p Position) bool {
	i, found := slices.BinarySearchFunc(g, p, func(gap Gap, p Position) int {
		switch {
		case gap.Last < p:
			return -1
		case gap.First > p:
			return 1
		}
		return 0
	})
	return found && i < len(g)
}

func (g Gaps) add(first, last Position, at plan.EventTime) Gaps {
	if n := len(g); n > 0 && g[n-1].Last+1 == first {
		g[n-1].Last = last
		return g
	}
	return append(g, Gap{first, last, at})
}

// Survey collects what is found of a shard: first the records in order, then all ids, then all ids again.
type Survey struct {
	Damage
	gone Gaps // lost and marked ones
	next Position
	at   plan.EventTime
}

// NewSurvey begins after what was trimmed.
func NewSurvey(trimmed Trimmed) *Survey {
	return &Survey{next: trimmed.Position + 1, at: trimmed.Appended}
}

// Found adds the record that is stored at a position. err says that it cannot be read.
func (s *Survey) Found(p Position, appended plan.EventTime, payload []byte, err error) {
	if p < s.next {
		return
	}
	if p > s.next {
		s.lose(p - 1)
	}
	switch {
	case err != nil:
		s.lose(p)
		return
	case IsLost(payload):
		s.Marked++
		s.gone = s.gone.add(p, p, appended)
	}
	s.at, s.next = appended, p+1
}

// lose notes that records up to a position are lost.
func (s *Survey) lose(last Position) {
	s.Lost = s.Lost.add(s.next, last, s.at)
	s.gone = s.gone.add(s.next, last, s.at)
	s.next = last + 1
}

// mostLost bounds how many records are taken for lost behind the last one, since an id names one.
const mostLost = 10_000_000

// Named notes that the id names records, the last of which may be behind the last one that is there.
func (s *Survey) Named(seen *Seen) error {
	last := ofShard(seen.Position)
	for _, v := range seen.Versions {
		last = max(last, ofShard(v.Position))
	}
	if last >= s.next+mostLost {
		return fmt.Errorf("an id names the record at position %d, though the last one is at %d; that is more than a repair takes for lost: restore the log from a copy", last, s.next-1)
	}
	s.EndsAt(last)
	return nil
}

// EndsAt notes that the shard had a record at a position, after all that were found.
func (s *Survey) EndsAt(last Position) {
	if last >= s.next {
		s.lose(last)
	}
	s.End = s.next - 1
}

// ofShard is a position, or 0 if it is in another shard.
func ofShard(p Position) Position {
	if p>>movedShift != 0 {
		return 0
	}
	return p
}

// Judge decides about an id after all were named. If it is to be changed, now is what it is to be, nil if it is to be forgotten.
func (s *Survey) Judge(seen *Seen) (now *Seen, change bool) {
	isLost := func(p Position) bool { return ofShard(p) != 0 && s.gone.Has(p) }
	var left []Version
	others := false // a later delivery is there
	for _, v := range seen.Versions {
		if v.Position != seen.Position && isLost(v.Position) {
			continue
		}
		left = append(left, v)
		others = others || v.Position != seen.Position && v.Position != 0
	}
	switch {
	case isLost(seen.Position) && others:
		s.Incomplete++
		return nil, false
	case isLost(seen.Position):
		s.Forgotten++
		return nil, true
	case len(left) < len(seen.Versions):
		s.Refillable++
		return &Seen{Digest: seen.Digest, Position: seen.Position, Versions: left}, true
	}
	return nil, false
}

// ErrNoRepair says that a log cannot be repaired.
var ErrNoRepair = errors.New("this event log cannot be repaired")

// Repair repairs a shard of a log.
func Repair(ctx context.Context, log Log, shard string, how RepairOptions) (Damage, error) {
	r, ok := log.(Repairing)
	if !ok {
		return Damage{}, ErrNoRepair
	}
	return r.Repair(ctx, shard, how)
}
