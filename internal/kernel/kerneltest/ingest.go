package kerneltest

import (
	"fmt"
	"math/big"

	"github.com/unskew/unskew/featuredefs/plan"
)

// NewEvent makes an event of one row of src as §1, §2 and §7 say: its time, its
// known time, those of its columns and its id. final is --as-of final: k = t for
// the row and every column.
func NewEvent(src *plan.Source, columns map[string]plan.Value, final bool) (Event, error) {
	t := columns[src.EventTime]
	if t.Kind() != plan.Timestamp || !t.Time().Valid() {
		return Event{}, fmt.Errorf("source %s: the event time %s is %v, not a time in the years 0001 to 9999", src.Name, src.EventTime, t)
	}
	e := Event{
		Source: src.Name, Columns: columns, Time: t.Time(), Known: t.Time(),
		ColumnKnown: map[string]plan.EventTime{}, ID: eventID(columns[src.EventID]),
	}
	if !final {
		var err error
		if e.Known, err = knownTime(src.Known, e.Time, columns); err != nil {
			return Event{}, fmt.Errorf("source %s: %w", src.Name, err)
		}
	}
	for _, c := range src.Columns {
		if c.Known == nil {
			continue
		}
		e.ColumnKnown[c.Name] = e.Time
		if !final {
			var err error
			if e.ColumnKnown[c.Name], err = knownTime(*c.Known, e.Time, columns); err != nil {
				return Event{}, fmt.Errorf("source %s: column %s: %w", src.Name, c.Name, err)
			}
		}
	}
	return e, nil
}

// eventID is the id's bytes: a string itself, another type as people write it.
func eventID(v plan.Value) string {
	switch v.Kind() {
	case plan.Null, plan.Invalid:
		return ""
	case plan.String, plan.Bytes:
		return v.Str()
	}
	return v.String()
}

// knownTime is k of §7. A null known-time column is a fact that nobody knows yet.
func knownTime(k plan.Known, t plan.EventTime, columns map[string]plan.Value) (plan.EventTime, error) {
	switch k.Kind {
	case plan.KnownColumn:
		if columns[k.Column].IsNull() {
			return plan.Never, nil
		}
		return columns[k.Column].Time(), nil
	case plan.KnownDelay:
		return later(t, k.Delay), nil
	case plan.KnownSchedule:
		run, err := nextRun(k.Schedule, t)
		return later(run, k.Delay), err
	}
	return t, nil
}

// later is t + d, Never when that lies beyond the year 9999.
func later(t plan.EventTime, d plan.Micros) plan.EventTime {
	sum := new(big.Int).Add(big.NewInt(int64(t)), big.NewInt(int64(d)))
	if sum.Cmp(big.NewInt(int64(plan.MaxTime))) > 0 {
		return plan.Never
	}
	return plan.EventTime(sum.Int64())
}
