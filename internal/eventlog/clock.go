package eventlog

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
)

// ClockError says that two clocks which a record's time depends on are too far apart, so that
// it would be invisible for long, or hide others. Nothing was stored.
type ClockError struct {
	Shard  string
	Clock  plan.EventTime // of this process
	Newest plan.EventTime // of the newest record, when that is what lies ahead
	Server plan.EventTime // of the log's server, when that is what differs; 0: none
}

// Error says what to do about it.
func (e *ClockError) Error() string {
	if e.Server != 0 {
		return fmt.Sprintf("the clock of this machine says %v and that of the log's server says %v; more than %v apart, nothing is stored: correct the one that is wrong",
			e.Clock, e.Server, limits.ClockSkew)
	}
	return fmt.Sprintf("the newest event of %s was stored at %v, and this machine's clock says %v: either it was wrong then, or it is wrong now; nothing is stored, for it would be invisible until then. "+
		"If the clock is right now, run: unskew log set-back %s", e.Shard, e.Newest, e.Clock, e.Shard)
}

// A Correction says that no record up to a position counts as appended after a time: the clock
// that they were appended by was ahead of it.
type Correction struct {
	To   Position
	Time plan.EventTime
}

// Corrections are those of one shard, in any order.
type Corrections []Correction

// Appended is when the record at p counts as appended, given the time it was stored with.
// Times that do not decrease along the log do not decrease when corrected.
func (c Corrections) Appended(p Position, stored plan.EventTime) plan.EventTime {
	for _, x := range c {
		if p <= x.To {
			stored = min(stored, x.Time)
		}
	}
	return stored
}

// Correct corrects the times of records, and those of the versions of their events. stored is
// the time that the record at a position was stored with.
func (c Corrections) Correct(records []Record, stored func(Position) (plan.EventTime, error)) error {
	if len(c) == 0 {
		return nil
	}
	for i := range records {
		r := &records[i]
		r.Appended = c.Appended(r.Position, r.Appended)
		if err := c.correctVersions(r.Versions, stored); err != nil {
			return err
		}
	}
	return nil
}

// correctVersions corrects the known times that come from when the version's record was
// appended. Others were declared, and stay.
func (c Corrections) correctVersions(versions []Version, stored func(Position) (plan.EventTime, error)) error {
	for i := range versions {
		v := &versions[i]
		if v.Position == 0 {
			continue
		}
		at, err := stored(v.Position)
		if err != nil {
			return err
		}
		if v.Known == at {
			v.Known = c.Appended(v.Position, at)
		}
	}
	return nil
}

// Newest is when the newest record of the shard was appended, Always for an empty one.
func Newest(ctx context.Context, log Log, shard string) (plan.EventTime, error) {
	end, err := log.End(ctx, shard)
	if err != nil || end == 0 {
		return plan.Always, err
	}
	records, err := log.Read(ctx, shard, end-1, 1)
	if err != nil || len(records) == 0 {
		return plan.Always, err
	}
	return records[0].Appended, nil
}
