package eventlog

import (
	"context"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
)

// ClockError says that two clocks which determine the times of records are too far apart: the
// record would be invisible for long, or would hide others. Nothing was stored.
type ClockError struct {
	Shard  string
	Clock  plan.EventTime // of this process
	Newest plan.EventTime // time of the newest record, if that is too far ahead
	Server plan.EventTime // clock of the log's server, if that differs too much; else 0
}

// Error names both times and the remedy.
func (e *ClockError) Error() string {
	if e.Server != 0 {
		return fmt.Sprintf("the clock of this machine says %v and that of the log's server says %v; they differ by more than %v, so nothing is stored: correct the wrong one",
			e.Clock, e.Server, limits.ClockSkew)
	}
	return fmt.Sprintf("the newest event of %s was stored at %v, and this machine's clock says %v: either it was wrong then, or it is wrong now; nothing is stored, because it would be invisible until then. "+
		"If the clock is right now, run: unskew log set-back %s", e.Shard, e.Newest, e.Clock, SourceOf(e.Shard))
}

// Correction says that every record up to a position counts as appended at Time at the latest,
// because the clock that stamped them ran ahead.
type Correction struct {
	To   Position
	Time plan.EventTime
}

// Corrections are the corrections of one shard, in any order.
type Corrections []Correction

// Appended is the corrected time of the record at p, which was stored with the given time.
// Corrected times do not decrease along the log if the stored ones do not.
func (c Corrections) Appended(p Position, stored plan.EventTime) plan.EventTime {
	for _, x := range c {
		if p <= x.To {
			stored = min(stored, x.Time)
		}
	}
	return stored
}

// Correct corrects the times of records and of the versions of their events. stored returns the
// time with which the record at a position was stored.
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

// correctVersions corrects the known times that are the time at which the version's record was
// stored. Declared times stay.
func (c Corrections) correctVersions(versions []Version, stored func(Position) (plan.EventTime, error)) error {
	for i := range versions {
		v := &versions[i]
		if v.Position == 0 || v.Position.moved() {
			continue // it has the corrected time of another shard
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

// Newest is the time at which the newest record of the shard was appended, Always for an empty
// shard.
func Newest(ctx context.Context, log Log, shard string) (plan.EventTime, error) {
	end, err := log.End(ctx, shard)
	if err != nil {
		return plan.Always, err
	}
	r, err := At(ctx, log, shard, end)
	if r == nil {
		return plan.Always, err
	}
	return r.Appended, nil
}
