package ingest

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// CheckPushed returns the bad rows of a pushed batch in order, with one finding each, even if
// the source skips bad rows. The batch has all columns of the source. Callers check a batch
// before they store any of it, so that each row gets its own answer; every row without a finding
// is an event.
func (s *Source) CheckPushed(b *vector.Batch) []BadRow {
	s.checkRows(b, nil)
	s.checkScaled(b)
	s.checkLength(b)
	s.keepFirstFindings()
	return s.bad
}

// timeColumns are the columns whose times say when an event happened or was known.
func (s *Source) timeColumns() []string {
	names := []string{s.plan.EventTime}
	if s.row.column != "" {
		names = append(names, s.row.column)
	}
	for _, c := range s.columns {
		if c.column != "" {
			names = append(names, c.column)
		}
	}
	return names
}

// checkScaled rejects rows with a time that looks like seconds or milliseconds.
func (s *Source) checkScaled(b *vector.Batch) {
	if s.plan.MinTime != nil {
		return
	}
	for _, name := range s.timeColumns() {
		col := b.Col(name)
		for i := range b.N {
			if t := plan.EventTime(col.Int[i]); limits.Scaled(t) && col.Valid(i) {
				s.rejectAs(i, name, ScaledTime, fmt.Sprintf(
					"%v lies in 1970, which usually means that seconds or milliseconds were sent as microseconds: send microseconds, or declare min_time for source %s if the time is right", t, s.plan.Name))
			}
		}
	}
}

// checkLength rejects rows whose payload is too long.
func (s *Source) checkLength(b *vector.Batch) {
	for i := range b.N {
		n := 0
		for _, col := range b.Cols {
			if col.Str != nil {
				n += 2 * len(col.Str[i])
			}
		}
		if n <= limits.EventBytes/2 {
			continue
		}
		if text := limits.Event(len(s.AppendPayload(nil, b, i))); text != "" {
			s.rejectAs(i, s.plan.EventTime, LongEvent, text)
		}
	}
}

// Scaled counts the rows of a batch whose event time looks like seconds or milliseconds that
// were taken for microseconds, and returns the index of the first of them. The count is 0 for a
// source with a min_time.
func (s *Source) Scaled(b *vector.Batch) (n, first int) {
	if s.plan.MinTime != nil {
		return 0, 0
	}
	col := b.Col(s.plan.EventTime)
	for i := range b.N {
		if limits.Scaled(plan.EventTime(col.Int[i])) && col.Valid(i) {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	return n, first
}
