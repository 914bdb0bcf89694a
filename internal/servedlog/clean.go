package servedlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// cleanEvery is how often segments that are too old are looked for.
const cleanEvery = 10 * time.Minute

// leftAfter is the age from which an incomplete segment is taken for that of a server that has crashed.
func (l *Log) leftAfter() time.Duration { return max(10*time.Minute, 2*l.cfg.Visible) }

// clean removes what is older than the log is kept, and what servers that crashed have left. Other servers
// may do the same at the same time.
func (l *Log) clean() {
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.cfg.Log.Warn("old segments of the served log stay", "reason", err)
	}
	now, left := l.cfg.Clock(), 0
	for _, e := range entries {
		switch {
		case e.IsDir():
			l.removeOld(e.Name(), now.Add(-l.cfg.Retain))
		case strings.HasPrefix(e.Name(), temporary):
			if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > l.leftAfter() && os.Remove(filepath.Join(l.cfg.Dir, e.Name())) == nil {
				left++
			}
		}
	}
	if left > 0 {
		l.metrics.left.Add(int64(left))
		l.cfg.Log.Warn("removed segments of the served log that were incomplete when a server ended; their rows are lost", "segments", left)
	}
}

// removeOld removes the segments of a day that were begun before a time, and the folder if nothing is left
// in it. Files that are no segments stay.
func (l *Log) removeOld(day string, before time.Time) {
	if begin, err := time.Parse(dayForm, day); err != nil || !begin.Before(before) {
		return
	}
	dir := filepath.Join(l.cfg.Dir, day)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // another server has removed it
	}
	kept := 0
	for _, e := range entries {
		f, ok := parseName(e.Name())
		if !ok || !f.Begun.Before(before) {
			kept++
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.cfg.Log.Warn("an old segment of the served log stays", "reason", err)
			kept++
		}
	}
	if kept == 0 {
		_ = os.Remove(dir) // another server may just have written to it
	}
}
