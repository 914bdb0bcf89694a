package online

import (
	"fmt"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/registry"
)

// logBatch is the records of a page, of each shard in the order of the log.
type logBatch struct {
	events  *kernel.Events
	records []eventlog.Record     // one for each row of events
	left    []registry.DeadLetter // records that can no longer be read as events
	end     logpos.Vector         // last positions of the shards that records are of
}

// decode converts log records to events. An event is known no earlier than it was appended.
// All records were checked when they were appended. A record that is over a limit now,
// because a new view has other keys or the source a min_time, is set aside; any other bad
// record means that the source's definition changed incompatibly.
func (s *sourceApplier) decode(p *page, records []eventlog.Record) (*logBatch, error) {
	b := &logBatch{records: records, end: p.end()}
	where := fmt.Sprintf("log of source %s, %s", s.source.Name, p)
	batch, from, err := s.ingest.Read(records)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; logged events keep the types they were pushed with: restore the column's type, or rename the column", where, err)
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
				return nil, fmt.Errorf("%s: bad rows %v; the source's time columns were changed after events had been logged", where, counts.ByReason())
			}
			b.left = append(b.left, registry.DeadLetter{Shard: r.Shard, Position: uint64(r.Position), Reason: bad[next].Why()})
			next++
		default:
			b.records = append(b.records, r)
		}
	}
	b.events = ev
	return b, nil
}
