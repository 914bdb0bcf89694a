// Package pebbledir opens a directory with one Pebble database in a documented key format. It
// returns a typed error for a locked directory, refuses other formats, and silences Pebble.
package pebbledir

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// markerKey holds the name of the key format. No format uses this byte for other keys.
var markerKey = []byte{'f'}

// Options configure Open. The zero value is the disk, no logging and Pebble's default sizes.
type Options struct {
	FS            vfs.FS       // nil is the disk
	Logger        *slog.Logger // nil drops Pebble's messages, except the reason for a fatal error
	CacheBytes    int64        // of blocks and, as far as they take room, memtables
	MemTableBytes uint64
	Older         []string // formats that Open upgrades by changing the marker
}

// LockedError says that the directory is in use, by another process or by this one.
type LockedError struct {
	Dir string
	Err error // what the operating system said
}

// Error names the directory and what to do.
func (e *LockedError) Error() string {
	return fmt.Sprintf("directory %s is in use (%v): a running server or another command holds it; stop that one first, or keep log and store on Redis, which processes share",
		e.Dir, e.Err)
}

// Unwrap returns what the operating system said.
func (e *LockedError) Unwrap() error { return e.Err }

// Open opens or creates the database in dir for the named key format, for
// example "unskew eventlog 1". The error is a *LockedError if someone has it open.
//
// If the disk fails a write, Pebble's memory is ahead of its disk and its answers may be wrong.
// During Open this is an error; the directory stays locked by this process, because what Pebble
// has begun cannot be cancelled. After Open the process logs the reason and exits.
func Open(dir, format string, o Options) (*cockroach.DB, error) {
	if o.FS == nil {
		o.FS = privateFS{vfs.Default}
		if err := makePrivate(dir); err != nil {
			return nil, fmt.Errorf("open %s: %w", dir, err)
		}
	}
	type outcome struct {
		db  *cockroach.DB
		err error
	}
	g := newFailureHandler(dir, o.Logger)
	done := make(chan outcome, 1)
	go func() {
		db, err := open(dir, format, g, o)
		done <- outcome{db, err}
	}()
	select {
	case err := <-g.failed:
		return nil, unwritable(dir, err)
	case out := <-done:
		if err := g.finishOpen(); err != nil {
			return nil, unwritable(dir, err)
		}
		return out.db, out.err
	}
}

func unwritable(dir string, err error) error {
	return fmt.Errorf("directory %s cannot be written: %w; make room there or repair the disk, and try again: all acknowledged writes are kept", dir, err)
}

// makePrivate removes access to an existing directory for everybody but its owner. It leaves a
// directory as it is if this process does not own it.
func makePrivate(dir string) error {
	err := os.Chmod(dir, privateDir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

func open(dir, format string, g *failureHandler, o Options) (*cockroach.DB, error) {
	db, err := cockroach.Open(dir, pebbleOptions(dir, g, o))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := checkFormat(db, dir, format, o.Older); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func pebbleOptions(dir string, g *failureHandler, o Options) *cockroach.Options {
	opts := &cockroach.Options{
		FS:                 lockNamingFS{o.FS, dir},
		FormatMajorVersion: cockroach.FormatValueSeparation,
		CacheSize:          o.CacheBytes,
		MemTableSize:       o.MemTableBytes,
		Logger:             g,
		EventListener:      g.events(),
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	// Tables of level 0 are small, and most of what is read soon after it was written lies there.
	opts.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	opts.Levels[1].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	return opts
}

// checkFormat checks the marker. It writes the marker into an empty database or one of an older
// format.
func checkFormat(db *cockroach.DB, dir, format string, older []string) error {
	value, closer, err := db.Get(markerKey)
	if errors.Is(err, cockroach.ErrNotFound) {
		return markFormat(db, dir, format)
	}
	if err != nil {
		return fmt.Errorf("read the format of %s: %w", dir, err)
	}
	defer func() { _ = closer.Close() }()
	if slices.Contains(older, string(value)) {
		return db.Set(markerKey, []byte(format), cockroach.Sync)
	}
	if string(value) != format {
		return fmt.Errorf("directory %s holds %q and this program reads %q: choose another directory", dir, value, format)
	}
	return nil
}

func markFormat(db *cockroach.DB, dir, format string) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	used := it.First()
	if err := it.Close(); err != nil {
		return fmt.Errorf("read %s: %w", dir, err)
	}
	if used {
		return fmt.Errorf("directory %s holds a Pebble database of some other program and this one needs %q: choose another directory", dir, format)
	}
	return db.Set(markerKey, []byte(format), cockroach.Sync)
}

// Successor returns the smallest key above every key that begins with prefix, or
// nil if there is none, which is so when every byte is 0xff.
func Successor(prefix []byte) []byte {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xff {
		n--
	}
	if n == 0 {
		return nil
	}
	next := bytes.Clone(prefix[:n])
	next[n-1]++
	return next
}
