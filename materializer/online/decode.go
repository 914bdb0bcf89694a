package online

import (
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
)

// decode makes events of log records. An event is known no earlier than it was
// appended. Records were checked before they were appended, so a bad one means that
// the source's definition has changed under them.
func (s *sourceApplier) decode(records []eventlog.Record) (*kernel.Events, error) {
	payloads := make([][]byte, len(records))
	appended := make([]plan.EventTime, len(records))
	for i, r := range records {
		payloads[i], appended[i] = r.Payload, r.Appended
	}
	where := fmt.Sprintf("log of source %s, records %d to %d", s.source.Name, records[0].Position, records[len(records)-1].Position)
	batch, err := s.ingest.Rows(payloads)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; logged events keep the types they were pushed with: give the column its type back, or another name", where, err)
	}
	ev, counts, err := s.ingest.Events(batch, &ingest.Arrivals{Row: appended})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if ev.Batch.N != len(records) {
		return nil, fmt.Errorf("%s: bad rows %v; the source's time columns have changed under the log", where, counts.ByReason())
	}
	return ev, nil
}
