package online

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/logpos"
)

// page is what was read at a time of the shards of a log that had something new, in the order of their numbers.
type page struct {
	shards []shardPage
}

// shardPage is consecutive records of a shard, the first of which was read before; position 1 was not.
type shardPage struct {
	records []eventlog.Record
	after   eventlog.Position // the last one that was read before
}

func (p *shardPage) last() *eventlog.Record { return &p.records[len(p.records)-1] }

func (p *shardPage) shard() int { return p.records[0].Shard }

// fresh returns the records that were not read before.
func (p *shardPage) fresh() []eventlog.Record { return p.records[min(p.after, 1):] }

// at returns the record at a position, nil if it is not on the page.
func (p *shardPage) at(position eventlog.Position) *eventlog.Record {
	if first := p.records[0].Position; position >= first && position <= p.last().Position {
		return &p.records[position-first]
	}
	return nil
}

// fresh returns the records that were not read before, shard by shard.
func (p *page) fresh() []eventlog.Record {
	if len(p.shards) == 1 {
		return p.shards[0].fresh()
	}
	var out []eventlog.Record
	for i := range p.shards {
		out = append(out, p.shards[i].fresh()...)
	}
	return out
}

// end is the last position of each shard that the page has records of.
func (p *page) end() logpos.Vector {
	var v logpos.Vector
	for i := range p.shards {
		v.Raise(p.shards[i].shard(), uint64(p.shards[i].last().Position))
	}
	return v
}

// String names the fresh records, for messages.
func (p *page) String() string {
	parts := make([]string, len(p.shards))
	for i := range p.shards {
		of := p.shards[i].fresh()
		parts[i] = fmt.Sprintf("records %d to %d", of[0].Position, of[len(of)-1].Position)
		if k := p.shards[i].shard(); k > 0 || len(p.shards) > 1 {
			parts[i] = fmt.Sprintf("shard %d, %s", k, parts[i])
		}
	}
	return strings.Join(parts, "; ")
}

// read reads about size records after the given positions of the shards that end later, and of each the one at the
// position: by it a view sees that this is the log that its states were made of.
func (s *sourceApplier) read(ctx context.Context, after, end logpos.Vector, size int) (*page, error) {
	grown := 0
	for k, p := range end {
		if p > after.At(k) {
			grown++
		}
	}
	pages := make([]shardPage, len(end))
	err := s.shards.Each(ctx, func(ctx context.Context, k int) (err error) {
		if end.At(k) > after.At(k) {
			pages[k], err = s.readShard(ctx, k, eventlog.Position(after.At(k)), max(1, size/grown))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &page{slices.DeleteFunc(pages, func(p shardPage) bool { return p.records == nil })}, nil
}

func (s *sourceApplier) readShard(ctx context.Context, k int, after eventlog.Position, size int) (shardPage, error) {
	again := min(after, 1)
	records, err := s.cfg.Log.Read(ctx, s.shards.Name(k), after-again, size+int(again))
	if err != nil {
		return shardPage{}, fmt.Errorf("log of source %s after position %d: %w", s.shards.Name(k), after, err)
	}
	if len(records) <= int(again) {
		return shardPage{}, fmt.Errorf("log of source %s: no record after position %d, although the log ends later", s.shards.Name(k), after)
	}
	for i := range records {
		records[i].Shard = k
	}
	return shardPage{records, after}, nil
}
