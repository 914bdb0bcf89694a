package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/cron"
)

// defaultDedupWindow is how long event ids are remembered by default, besides the longest delay
// of a late column.
const defaultDedupWindow = 14 * plan.Day

// checkDedupWindow sets the default of dedup_window, and reports a window that has no effect or is
// shorter than it takes until a late column is known: its outcomes would be refused.
func (l *loader) checkDedupWindow(decl *sourceDecl) {
	s := decl.source
	longest, of := longestDelay(decl)
	switch {
	case decl.window == nil && s.Stream && s.EventID != "":
		s.DedupWindow = longest + defaultDedupWindow
	case decl.window == nil:
	case !s.Stream:
		l.Errorf(decl.window.Pos, yamldoc.RuleWrongValue, "source %s accepts no pushed events, so it has no event ids to remember; remove dedup_window:, or declare stream: true", s.Name)
	case s.EventID == "":
		l.Errorf(decl.window.Pos, yamldoc.RuleWrongValue, "source %s has no event ids to remember; remove dedup_window:, or name the column with a unique id in event_id:", s.Name)
	case s.DedupWindow < longest:
		l.Errorf(decl.window.Pos, yamldoc.RuleWrongValue, "column %s of source %s is known %v after its event, but event ids are remembered for %v, so its outcomes would be rejected; write dedup_window: %v or longer",
			of.Name, s.Name, longest, s.DedupWindow, longest)
	}
}

// longestDelay returns the column that is known last after its event, as far as definitions tell.
func longestDelay(decl *sourceDecl) (longest plan.Micros, of *columnDecl) {
	for _, c := range decl.columns {
		if c.Known == nil {
			continue
		}
		delay := c.Known.Delay
		if c.Known.Kind == plan.KnownSchedule {
			delay += longestWait(c.Known.Schedule)
		}
		if delay > longest {
			longest, of = delay, c
		}
	}
	return longest, of
}

// Schedules are looked at from year 2000 on, for as many runs. Of a longer period than a day, that is
// more than a leap cycle, or every combination of dates and weekdays that matters.
const runsLookedAt = 4096

// longestWait is the longest time between two runs of a schedule.
func longestWait(schedule string) plan.Micros {
	runs, err := cron.Parse(schedule)
	if err != nil {
		return 0 // reported already
	}
	const from = plan.EventTime(946684800) * plan.EventTime(plan.Second)
	var longest plan.EventTime
	last := runs.AtOrAfter(from)
	for range runsLookedAt {
		next := runs.AtOrAfter(last + 1)
		if next == plan.Never || last == plan.Never {
			break
		}
		longest, last = max(longest, next-last), next
	}
	return plan.Micros(longest)
}
