package archive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// The limits of one file: records, and the bytes of what they have, which one record may exceed.
const (
	fileRecords = 64 << 10
	fileBytes   = 64 << 20
)

const lockName = ".lock"

// Archive writes the records of a shard that were stored before a time, and are in no file yet, to
// files. Each is durable and complete, or not there, after a crash. It returns the new files. One
// process at a time can archive a shard.
func (l *Log) Archive(ctx context.Context, shard string, before plan.EventTime) (written []File, err error) {
	if err := eventlog.CheckShard(shard); err != nil {
		return nil, err
	}
	dir := l.Dir(shard)
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	lock, err := pebbledir.LockFile(filepath.Join(dir, lockName))
	if locked := (*pebbledir.LockedError)(nil); errors.As(err, &locked) {
		return nil, fmt.Errorf("another process is archiving the log of %s; wait until it has finished", shard)
	}
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := removeTemporary(dir); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	files, err := l.Files(ctx, shard)
	if err != nil {
		return nil, err
	}
	var last File
	if len(files) > 0 {
		last = files[len(files)-1]
		if err := l.checkFollows(ctx, shard, &last); err != nil {
			return nil, err
		}
	}
	for {
		records, err := l.next(ctx, shard, last.Last, before)
		if err != nil || len(records) == 0 {
			return written, err
		}
		if last, err = write(dir, shard, last.end, records); err != nil {
			return written, fmt.Errorf("archive: %w", err)
		}
		written = append(written, last)
	}
}

// checkFollows makes sure that the last archived record is the log's.
func (l *Log) checkFollows(ctx context.Context, shard string, last *File) error {
	r, err := eventlog.At(ctx, l, shard, last.Last)
	if err != nil {
		return err
	}
	if r == nil || r.Mark() != last.end {
		return last.foreign(last.Last)
	}
	return nil
}

// next returns the records of one file.
func (l *Log) next(ctx context.Context, shard string, after eventlog.Position, before plan.EventTime) ([]eventlog.Record, error) {
	var out []eventlog.Record
	var pages eventlog.Paging
	for size := 0; ; {
		limit := pages.Next(math.MaxInt)
		page, err := l.Read(ctx, shard, after, limit)
		if err != nil {
			return nil, err
		}
		for i := range page {
			if page[i].Appended >= before || len(out) == fileRecords || size >= fileBytes {
				return out, nil
			}
			size += len(page[i].Payload) + len(page[i].ID) + len(eventlog.AppendVersions(nil, page[i].Versions))
			out = append(out, page[i])
		}
		if len(page) < limit {
			return out, nil
		}
		pages.Read(page)
		after = page[len(page)-1].Position
	}
}

// write makes a file durable under its name.
func write(dir, shard string, before eventlog.Mark, records []eventlog.Record) (File, error) {
	b, err := encode(shard, before, records)
	if err != nil {
		return File{}, err
	}
	last := &records[len(records)-1]
	f := File{First: records[0].Position, Last: last.Position, Appended: last.Appended, Size: int64(len(b)), before: before, end: last.Mark()}
	f.Path = filepath.Join(dir, fileName(f.First, f.Last))
	to, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return f, err
	}
	_, err = to.Write(b)
	if err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return f, errors.Join(err, os.Remove(to.Name()))
	}
	if err := os.Rename(to.Name(), f.Path); err != nil {
		return f, err
	}
	return f, syncDir(dir)
}

// makeDir makes a folder, for its owner only, durably.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeTemporary removes what interrupted calls left.
func removeTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
