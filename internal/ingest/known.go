package ingest

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// knownRule computes known times.
type knownRule struct {
	kind   plan.KnownKind
	column string // of KnownColumn
	delay  plan.Micros
	runs   *Schedule // of KnownSchedule
}

func compileKnown(s *plan.Source, k plan.Known) (knownRule, error) {
	r := knownRule{kind: k.Kind, delay: k.Delay}
	switch k.Kind {
	case plan.KnownAtEvent, plan.KnownDelay:
	case plan.KnownColumn:
		r.column = k.Column
		return r, isTime(s, k.Column)
	case plan.KnownSchedule:
		var err error
		if r.runs, err = ParseSchedule(k.Schedule); err != nil {
			return r, err
		}
	default:
		return r, fmt.Errorf("unknown kind %d", k.Kind)
	}
	return r, nil
}

// at is the known time of a row with event time t; declared is the rule's column.
func (r *knownRule) at(t plan.EventTime, declared *vector.Vector, i int) plan.EventTime {
	switch r.kind {
	case plan.KnownColumn:
		return plan.EventTime(declared.Int[i])
	case plan.KnownDelay:
		return t + plan.EventTime(r.delay)
	case plan.KnownSchedule:
		run := r.runs.AtOrAfter(t)
		if run == plan.Never {
			return run
		}
		return run + plan.EventTime(r.delay)
	}
	return t
}

// place is the column that a wrong known time comes from.
func (r *knownRule) place(otherwise string) string {
	if r.column != "" {
		return r.column
	}
	return otherwise
}

// Schedule is when a batch job runs: five fields of cron, in UTC. It serves one
// goroutine at a time.
type Schedule struct {
	cron cron.Schedule
	days map[int64]*dayRuns
}

// dayRuns is the runs of one UTC day.
type dayRuns struct {
	minutes []uint16       // of the day, ascending
	next    plan.EventTime // the first run after the day, once it was asked for
	asked   bool
}

var fiveFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// ParseSchedule reads five fields: minute, hour, day of month, month, day of week.
func ParseSchedule(spec string) (*Schedule, error) {
	if strings.Contains(spec, "TZ=") {
		return nil, fmt.Errorf("schedule %q names a time zone; schedules are in UTC", spec)
	}
	c, err := fiveFields.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w; write five fields, as in \"0 2 * * *\" for 02:00 every day", spec, err)
	}
	s := &Schedule{cron: c, days: map[int64]*dayRuns{}}
	if s.search(0) == plan.Never {
		return nil, fmt.Errorf("schedule %q never runs", spec)
	}
	return s, nil
}

const (
	microsPerMinute = int64(plan.Minute)
	microsPerDay    = int64(plan.Day)
)

// AtOrAfter is the first run at or after t, or Never when there is none before the year 10000.
func (s *Schedule) AtOrAfter(t plan.EventTime) plan.EventTime {
	day := plan.FloorDiv(int64(t), microsPerDay)
	d := s.day(day)
	since := int64(t) - day*microsPerDay
	for _, m := range d.minutes {
		if at := int64(m) * microsPerMinute; at >= since {
			return plan.EventTime(day*microsPerDay + at)
		}
	}
	if !d.asked {
		d.next, d.asked = s.search(plan.EventTime((day+1)*microsPerDay)), true
	}
	return d.next
}

func (s *Schedule) day(day int64) *dayRuns {
	if d, ok := s.days[day]; ok {
		return d
	}
	d := &dayRuns{}
	begin := plan.EventTime(day * microsPerDay)
	end := begin + plan.EventTime(microsPerDay)
	for t := s.first(begin); t < end; t = s.first(t + 1) {
		d.minutes = append(d.minutes, uint16(int64(t-begin)/microsPerMinute))
	}
	s.days[day] = d
	return d
}

// first is the first run at or after t; Never when the library, which gives up after
// five years, finds none.
func (s *Schedule) first(t plan.EventTime) plan.EventTime {
	run := s.cron.Next(t.Time().Add(-time.Nanosecond)) // Next is strictly after its argument
	if run.IsZero() && t > plan.MinTime {              // the zero time is also a midnight, that of MinTime
		return plan.Never
	}
	return plan.TimeOf(run)
}

// search is first without the limit of five years: 29 February may be eight years away.
func (s *Schedule) search(t plan.EventTime) plan.EventTime {
	for range 3 {
		run := s.first(t)
		if run != plan.Never && run > plan.MaxTime {
			return plan.Never
		}
		if run != plan.Never {
			return run
		}
		if t = plan.TimeOf(t.Time().AddDate(4, 0, 0)); t > plan.MaxTime {
			break
		}
	}
	return plan.Never
}
