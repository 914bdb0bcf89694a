package ingest

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/cron"
	"github.com/unskew/unskew/internal/vector"
)

// knownRule computes known times.
type knownRule struct {
	kind   plan.KnownKind
	column string // of KnownColumn
	delay  plan.Micros
	runs   *cron.Schedule // of KnownSchedule
}

func compileKnown(s *plan.Source, k plan.Known) (knownRule, error) {
	r := knownRule{kind: k.Kind, delay: k.Delay}
	switch k.Kind {
	case plan.KnownAtEvent, plan.KnownDelay:
	case plan.KnownColumn:
		r.column = k.Column
		return r, checkTimeColumn(s, k.Column)
	case plan.KnownSchedule:
		var err error
		if r.runs, err = cron.Parse(k.Schedule); err != nil {
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

// reportedColumn is the column that a finding about a known time names: the one that the rule
// reads, or else the given one.
func (r *knownRule) reportedColumn(otherwise string) string {
	if r.column != "" {
		return r.column
	}
	return otherwise
}
