package main

import (
	"context"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/offline"
)

// files reads files for serve --parity. It implements recompute.Past.
type files struct {
	reader *relation.Reader
	mu     sync.Mutex
	hashes map[*plan.Source]fileHashes
}

// fileHashes are the hashes of files that had a stamp.
type fileHashes struct {
	stamp string
	files []relation.File
}

// Stamp implements recompute.Past.
func (f *files) Stamp(ctx context.Context, src *plan.Source) (string, bool, error) {
	return f.reader.Stamp(ctx, relation.SourceRelation(src))
}

// Inputs implements recompute.Past.
func (f *files) Inputs(ctx context.Context, src *plan.Source, to plan.EventTime) ([32]byte, error) {
	if src.From == "" && src.SQL == "" {
		return inputsOf(src, nil, to)
	}
	stamp, known, err := f.Stamp(ctx, src)
	if err != nil {
		return [32]byte{}, err
	}
	f.mu.Lock()
	of := f.hashes[src]
	f.mu.Unlock()
	if !known || of.stamp != stamp {
		of.stamp = stamp
		if of.files, err = inputFiles(ctx, f.reader, src); err != nil {
			return [32]byte{}, err
		}
		f.mu.Lock()
		f.hashes[src] = of
		f.mu.Unlock()
	}
	return inputsOf(src, of.files, to)
}

// Events implements recompute.Past.
func (f *files) Events(ctx context.Context, src *plan.Source, each func(*kernel.Events) error) error {
	return offline.FileEvents(ctx, f.reader, src, each)
}

// Columns implements recompute.Past.
func (f *files) Columns(ctx context.Context, src *plan.Source, columns []plan.Field, each func(*vector.Batch) error) error {
	return f.reader.Scan(ctx, relation.SourceRelation(src), columns, func(b *relation.Batch) error { return each(b.Batch) })
}

// History implements recompute.Past.
func (f *files) History(log eventlog.Log, _ *plan.Source, rows recompute.Rows) recompute.History {
	return past{f.reader, log}.over(rows)
}
