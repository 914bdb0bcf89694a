// Package archive keeps records of an event log in Parquet files, so that the log can be trimmed, and
// reads files and log as one history. The files are described in docs/formats/eventlog.md.
package archive

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// Log is an event log whose trimmed records are read from an archive. Several processes
// can have one archive open.
type Log struct {
	eventlog.Log
	dir string

	mu     sync.Mutex
	shards map[string]*shard
}

// Over returns the log with the archive in a folder, which may be missing as long as nothing was
// archived.
func Over(log eventlog.Log, dir string) *Log {
	return &Log{Log: log, dir: dir, shards: map[string]*shard{}}
}

// shard caches what was read of a shard's files.
type shard struct {
	mu      sync.Mutex
	files   []File            // checked against each other
	trimmed eventlog.Trimmed  // which the files were compared with
	loaded  string            // the file that records are of
	records []eventlog.Record // read only
}

// release gives back the memory of the records of a file, which can be a hundred megabytes. They are kept
// only for who reads page by page.
func (s *shard) release() { s.loaded, s.records = "", nil }

func (l *Log) shard(name string) *shard {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shards[name]
	if s == nil {
		s = &shard{}
		l.shards[name] = s
	}
	return s
}

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, shard string, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	var out []eventlog.Record
	for len(out) < limit || limit <= 0 {
		records, err := l.Log.Read(ctx, shard, after, limit-len(out))
		var trimmed *eventlog.TrimmedError
		if !errors.As(err, &trimmed) {
			if err != nil {
				return nil, err
			}
			return append(out, records...), nil
		}
		if records, err = l.archived(ctx, shard, trimmed.Trimmed, after, limit-len(out)); err != nil {
			return nil, err
		}
		out = append(out, records...)
		after = out[len(out)-1].Position
	}
	return out, nil
}

// Remembered returns how many ids a shard remembers; known is false if the log would have to count them.
func (l *Log) Remembered(ctx context.Context, shard string) (n int64, known bool, err error) {
	counting, known := l.Log.(eventlog.Counting)
	if !known {
		return 0, false, nil
	}
	n, err = counting.Remembered(ctx, shard)
	return n, true, err
}

// archived returns one or more records after a position that was trimmed, at most limit of them.
func (l *Log) archived(ctx context.Context, name string, trimmed eventlog.Trimmed, after eventlog.Position, limit int) ([]eventlog.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := l.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := l.refresh(s, name, trimmed); err != nil {
		return nil, err
	}
	f, err := l.fileOf(s.files, name, after+1)
	if err != nil {
		return nil, err
	}
	if err := s.load(f, name); err != nil {
		return nil, err
	}
	from := int(after + 1 - f.First)
	n := min(limit, len(s.records)-from, int(trimmed.Position-after))
	return cloneRecords(s.records[from : from+n]), nil
}

// cloneRecords copies what callers may change.
func cloneRecords(records []eventlog.Record) []eventlog.Record {
	out := make([]eventlog.Record, len(records))
	for i, r := range records {
		out[i] = r
		out[i].Payload = append([]byte{}, r.Payload...)
		if r.Versions != nil {
			versions, err := eventlog.DecodeVersions(eventlog.AppendVersions(nil, r.Versions))
			if err != nil {
				panic("archive: versions do not survive their own encoding: " + err.Error())
			}
			out[i].Versions = versions
		}
	}
	return out
}

// refresh reads the list of files if it has changed, and checks that they are of this log, which
// was trimmed as given.
func (l *Log) refresh(s *shard, name string, trimmed eventlog.Trimmed) error {
	files, err := l.list(name)
	if err != nil {
		return err
	}
	if sameFiles(files, s.files) && trimmed == s.trimmed {
		return nil
	}
	s.files, s.trimmed = nil, eventlog.Trimmed{}
	s.release()
	if err := l.check(files, name); err != nil {
		return err
	}
	if trimmed.Position > 0 {
		f, err := l.fileOf(files, name, trimmed.Position)
		if err != nil {
			return err
		}
		if err := s.load(f, name); err != nil {
			return err
		}
		mark := s.records[trimmed.Position-f.First].Mark()
		if s.release(); mark != trimmed.Mark {
			return f.foreign(trimmed.Position)
		}
	}
	s.files, s.trimmed = files, trimmed
	return nil
}

// SetBack implements eventlog.Log. Times of archived records cannot be corrected.
func (l *Log) SetBack(ctx context.Context, shard string, to plan.EventTime) (bool, error) {
	files, err := l.Files(ctx, shard)
	if err != nil {
		return false, err
	}
	if n := len(files); n > 0 && files[n-1].Appended > to {
		f := files[n-1]
		return false, fmt.Errorf("the record of %s at position %d, stored at %v, is archived in %s; a log cannot be set back to a time before that, like %v: "+
			"if the file has records of a wrong clock and they are still in the log, move it away", shard, f.Last, f.Appended, f.Path, to)
	}
	return l.Log.SetBack(ctx, shard, to)
}

// Repair implements eventlog.Repairing. A record that is archived is not lost, so that it must not be given up.
func (l *Log) Repair(ctx context.Context, shard string, how eventlog.RepairOptions) (eventlog.Damage, error) {
	found, err := eventlog.Repair(ctx, l.Log, shard, eventlog.RepairOptions{})
	if err != nil || !how.Change {
		return found, err
	}
	files, err := l.list(shard)
	if err != nil {
		return found, err
	}
	if n := len(files); n > 0 && len(found.Lost) > 0 && found.Lost[0].First <= files[n-1].Last {
		return found, fmt.Errorf("the record of %s at position %d is missing in the log, and the archive has it in %s: restore the log from a copy", shard, found.Lost[0].First, l.Dir(shard))
	}
	return eventlog.Repair(ctx, l.Log, shard, how)
}

// Trim implements eventlog.Log. It removes nothing that the archive does not have: it reads and
// compares the files first.
func (l *Log) Trim(ctx context.Context, shard string, to eventlog.Position) error {
	trimmed, err := l.Log.Trimmed(ctx, shard)
	if err != nil || to <= trimmed.Position {
		return err
	}
	if err := l.compare(ctx, shard, trimmed, to); err != nil {
		return err
	}
	return l.Log.Trim(ctx, shard, to)
}

// compare reads the archived records after those that were trimmed, and compares each with that of the log.
func (l *Log) compare(ctx context.Context, name string, trimmed eventlog.Trimmed, to eventlog.Position) error {
	s := l.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := l.refresh(s, name, trimmed); err != nil {
		return err
	}
	defer s.release()
	var pages eventlog.Paging
	for after := trimmed.Position; after < to; {
		f, err := l.fileOf(s.files, name, after+1)
		if err != nil {
			return err
		}
		if err := s.load(f, name); err != nil {
			return err
		}
		for after < min(to, f.Last) {
			page, err := l.Log.Read(ctx, name, after, pages.Next(min(to, f.Last)-after))
			if err != nil {
				return err
			}
			for i := range page {
				if mine := &s.records[page[i].Position-f.First]; digestOf(page[i:i+1]) != digestOf([]eventlog.Record{*mine}) {
					return f.foreign(page[i].Position)
				}
			}
			pages.Read(page)
			after = page[len(page)-1].Position
		}
	}
	return nil
}
