package oracle

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
)

// nextRun is the first minute at or after t in which the cron expression fires, in
// UTC, found by trying one minute after another. The five fields have numbers, names and
// * , - / as in Vixie cron: if neither day field begins with *, one of them must match,
// otherwise both. A schedule that does not fire within 41 years never does: the longest wait
// is for a 29 February on a given weekday, across the year 2100.
func nextRun(schedule string, t plan.EventTime) (plan.EventTime, error) {
	fields := strings.Fields(names.Replace(strings.ToLower(schedule)))
	if len(fields) != 5 {
		return 0, fmt.Errorf("schedule %q has %d fields instead of minute hour day month weekday", schedule, len(fields))
	}
	run := t.Time().Truncate(time.Minute)
	if run.Before(t.Time()) {
		run = run.Add(time.Minute)
	}
	for end := run.AddDate(41, 0, 0); run.Before(end); {
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
	return 0, fmt.Errorf("schedule %q does not fire within 41 years of %v", schedule, t)
}

// names replaces the names of months and weekdays by numbers, and ? by *.
var names = strings.NewReplacer("jan", "1", "feb", "2", "mar", "3", "apr", "4", "may", "5", "jun", "6", "jul", "7", "aug", "8", "sep", "9",
	"oct", "10", "nov", "11", "dec", "12", "sun", "0", "mon", "1", "tue", "2", "wed", "3", "thu", "4", "fri", "5", "sat", "6", "?", "*")

// firesAt reports whether the schedule fires at a minute, and whether its day matches. Sunday
// is weekday 0 and 7.
func firesAt(fields []string, run time.Time) (fires, day bool, err error) {
	var ok [5]bool
	for i, at := range []int{run.Minute(), run.Hour(), run.Day(), int(run.Month()), int(run.Weekday())} {
		if ok[i], err = inField(fields[i], at, []int{0, 0, 1, 1, 0}[i], []int{59, 23, 31, 12, 6}[i]); err != nil {
			return false, false, err
		}
	}
	if run.Weekday() == time.Sunday && !ok[4] {
		ok[4], _ = inField(fields[4], 7, 0, 6)
	}
	day = ok[2] && ok[4]
	if fields[2][0] != '*' && fields[4][0] != '*' {
		day = ok[2] || ok[4]
	}
	day = day && ok[3]
	return day && ok[0] && ok[1], day, nil
}

// inField reports whether a field matches the value at; its values range from first to last.
func inField(field string, at, first, last int) (bool, error) {
	for _, part := range strings.Split(field, ",") {
		span, every, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		lo, err := strconv.Atoi(from)
		hi, step := lo, 1
		switch {
		case span == "*":
			lo, hi, err = first, last, nil
		case ranged && err == nil:
			hi, err = strconv.Atoi(to)
		case stepped:
			hi = last
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
