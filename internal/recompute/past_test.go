package recompute_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
)

// past reads the files of a site, and counts what it reads.
type past struct {
	*site
	fail    func() error // of readings
	unknown bool         // nothing is known of changes of files
	rows    atomic.Int64
}

func (p *past) Stamp(_ context.Context, src *plan.Source) (string, bool, error) {
	if p.unknown {
		return "", false, nil
	}
	return fmt.Sprintf("%x", p.site.inputs(src)), true, nil
}

func (p *past) Inputs(_ context.Context, src *plan.Source, _ plan.EventTime) ([32]byte, error) {
	return p.site.inputs(src), nil
}

func (p *past) Events(ctx context.Context, src *plan.Source, f func(*kernel.Events) error) error {
	if p.fail != nil {
		if err := p.fail(); err != nil {
			return err
		}
	}
	return offline.FileEvents(ctx, p.reader, src, func(ev *kernel.Events) error {
		p.rows.Add(int64(ev.Batch.N))
		return f(ev)
	})
}

func (p *past) Columns(ctx context.Context, src *plan.Source, columns []plan.Field, f func(*vector.Batch) error) error {
	return p.reader.Scan(ctx, relation.SourceRelation(src), columns, func(b *relation.Batch) error {
		p.rows.Add(int64(b.N))
		return f(b.Batch)
	})
}

func (p *past) History(log eventlog.Log, _ *plan.Source, rows recompute.Rows) recompute.History {
	return func(ctx context.Context, views []*plan.View, r recompute.Range, workers int, f func(int, *kernel.Events) error) error {
		h := offline.ViewHistory(p.reader, log, r.Until, views...)
		h.To, h.Rows = &r.To, rows
		_, err := h.ReadBy(ctx, workers, f)
		return err
	}
}

// counted is a log that counts the records that are read.
type counted struct {
	eventlog.Log
	records atomic.Int64
}

func (c *counted) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	records, err := c.Log.Read(ctx, shard, after, limit)
	c.records.Add(int64(len(records)))
	return records, err
}
