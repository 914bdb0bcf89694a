package eventlog

import (
	"context"
	"fmt"
)

// PageBytes is what a page of records that Paging asks for should have at most, ids and payloads. One with
// records much larger than those before has more.
const PageBytes = 4 << 20

// Paging chooses how many records to read at a time, as one may have a hundred bytes or megabytes. The
// zero value begins with one.
type Paging struct{ next int }

const (
	pageGrowth  = 8
	pageRecords = 2048
)

// Next is how many records to read now, at most those that are left.
func (p *Paging) Next(left Position) int {
	p.next = max(p.next, 1)
	return int(min(Position(p.next), left))
}

// Read says which page was read.
func (p *Paging) Read(page []Record) {
	bytes := 1
	for i := range page {
		bytes += len(page[i].ID) + len(page[i].Payload)
	}
	p.next = max(1, min(PageBytes*len(page)/bytes, pageGrowth*len(page), pageRecords))
}

// EachPage calls f with the records of a shard after a position, up to another, a page at a time.
func (s Shards) EachPage(ctx context.Context, log Log, k int, after, end Position, f func([]Record) error) error {
	var sizes Paging
	for after < end {
		records, err := log.Read(ctx, s.Name(k), after, sizes.Next(end-after))
		if err == nil && len(records) == 0 {
			err = fmt.Errorf("no record after position %d of %s, though its end was %d", after, s.Name(k), end)
		}
		if err != nil {
			return fmt.Errorf("source %s: event log: %w", s.Source, err)
		}
		after = records[len(records)-1].Position
		sizes.Read(records)
		if err := f(records); err != nil {
			return err
		}
	}
	return nil
}
