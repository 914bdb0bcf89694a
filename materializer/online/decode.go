package online

import (
	"fmt"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/registry"
)

// logBatch is consecutive records of a log.
type logBatch struct {
	events  *kernel.Events
	records []eventlog.Record     // of the events, one a row
	left    []registry.DeadLetter // records that are not events any more
	end     eventlog.Position     // of the last record
}

// decode makes events of log records. An event is known no earlier than it was
// appended. Records were checked before they were appended, so one that lies beyond a limit
// met it later, with a view that has other keys or a min_time, and is set aside; another
// bad one means that the source's definition has changed under them.
func (s *sourceApplier) decode(records []eventlog.Record) (*logBatch, error) {
	b := &logBatch{records: records, end: records[len(records)-1].Position}
	where := fmt.Sprintf("log of source %s, records %d to %d", s.source.Name, records[0].Position, b.end)
	batch, from, err := s.ingest.Read(records)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; logged events keep the types they were pushed with: give the column its type back, or another name", where, err)
	}
	ev, counts, bad, err := s.ingest.Logged(batch, from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if len(bad) > 0 {
		b.records = nil
	}
	next := 0
	for i, r := range records {
		switch {
		case len(bad) == 0:
		case next < len(bad) && bad[next].Row == i:
			if !bad[next].Limited() {
				return nil, fmt.Errorf("%s: bad rows %v; the source's time columns have changed under the log", where, counts.ByReason())
			}
			b.left = append(b.left, registry.DeadLetter{Position: uint64(r.Position), Reason: bad[next].Why()})
			next++
		default:
			b.records = append(b.records, r)
		}
	}
	b.events = ev
	return b, nil
}
