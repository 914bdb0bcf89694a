package duckdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// spillDir is the path at which DuckDB makes a directory once a query spills. Two processes must not
// share one: the names of files in it are the same. Beside it lies a file that its process
// has locked, so that the next process can tell what a killed one left behind.
type spillDir struct {
	path string
	lock *os.File
}

const (
	spillPrefix = "unskew-duckdb-"
	lockSuffix  = ".lock"
)

// newSpillDir removes what killed processes left in a directory and reserves a path in it;
// "" is the system's directory for temporary files.
func newSpillDir(parent string) (*spillDir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	if err := removeStale(parent); err != nil {
		return nil, err
	}
	for {
		f, err := os.CreateTemp(parent, spillPrefix+"*"+lockSuffix)
		if err != nil {
			return nil, err
		}
		if locked(f) {
			return &spillDir{strings.TrimSuffix(f.Name(), lockSuffix), f}, nil
		}
		f.Close() // another process took it for stale
	}
}

// locked locks a file and reports whether it is still at its path.
func locked(f *os.File) bool {
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false
	}
	mine, err1 := f.Stat()
	found, err2 := os.Stat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(mine, found)
}

// remove removes the directory, if there is one, and the lock.
func (s *spillDir) remove() error {
	return errors.Join(os.RemoveAll(s.path), os.Remove(s.lock.Name()), s.lock.Close())
}

// removeStale removes the directories and locks of processes that have ended. What cannot be opened,
// locked or removed is left alone: it is in use, or another user's.
func removeStale(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("list temporary files: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), spillPrefix) || !strings.HasSuffix(e.Name(), lockSuffix) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(parent, e.Name()), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		s := &spillDir{strings.TrimSuffix(f.Name(), lockSuffix), f}
		if !locked(f) || s.remove() != nil {
			f.Close()
		}
	}
	return nil
}
