package oracle

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// nextRun is the first minute at or after t in which the cron expression fires, in
// UTC, found by trying the minutes one after the other. It reads the five numeric
// fields with * , - and /; of the two day fields one is enough when both are
// restricted. A schedule that never fires within nine years is an error.
func nextRun(schedule string, t plan.EventTime) (plan.EventTime, error) {
	fields := strings.Fields(schedule)
	if len(fields) != 5 {
		return 0, fmt.Errorf("schedule %q has %d fields instead of minute hour day month weekday", schedule, len(fields))
	}
	run := t.Time().Truncate(time.Minute)
	if run.Before(t.Time()) {
		run = run.Add(time.Minute)
	}
	for end := run.AddDate(9, 0, 0); run.Before(end); {
		fires, day, err := firesAt(fields, run)
		switch {
		case err != nil:
			return 0, fmt.Errorf("schedule %q: %w", schedule, err)
		case fires:
			return plan.TimeOf(run), nil
		case day:
			run = run.Add(time.Minute)
		default:
			run = run.Truncate(24*time.Hour).AddDate(0, 0, 1)
		}
	}
	return 0, fmt.Errorf("schedule %q does not fire within nine years of %v", schedule, t)
}

// firesAt reports whether the minute matches, and whether its day does.
func firesAt(fields []string, run time.Time) (fires, day bool, err error) {
	var ok [5]bool
	for i, at := range []int{run.Minute(), run.Hour(), run.Day(), int(run.Month()), int(run.Weekday())} {
		if ok[i], err = inField(fields[i], at, []int{0, 0, 1, 1, 0}[i]); err != nil {
			return false, false, err
		}
	}
	day = ok[2] && ok[4]
	if fields[2][0] != '*' && fields[4][0] != '*' {
		day = ok[2] || ok[4]
	}
	day = day && ok[3]
	return day && ok[0] && ok[1], day, nil
}

// inField reports whether the value at is in a field whose values begin at first.
func inField(field string, at, first int) (bool, error) {
	for _, part := range strings.Split(field, ",") {
		span, every, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		lo, err := strconv.Atoi(from)
		hi, step := lo, 1
		switch {
		case span == "*":
			lo, hi, err = first, 59, nil
		case ranged && err == nil:
			hi, err = strconv.Atoi(to)
		case stepped:
			hi = 59
		}
		if stepped && err == nil {
			step, err = strconv.Atoi(every)
		}
		if err != nil || step < 1 {
			return false, fmt.Errorf("field %q is not numbers with * , - and /", field)
		}
		if lo <= at && at <= hi && (at-lo)%step == 0 {
			return true, nil
		}
	}
	return false, nil
}
