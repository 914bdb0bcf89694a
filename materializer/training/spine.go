package training

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func (q *Queue) spinesDir() string { return filepath.Join(q.cfg.Dir, "spines") }

const spineEnding = ".parquet"

// spinePath returns the path of a spine; "" for "".
func (q *Queue) spinePath(name string) string {
	if name == "" {
		return ""
	}
	return filepath.Join(q.spinesDir(), name+spineEnding)
}

var spineName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// StoreSpine stores an Arrow IPC stream as a spine and returns its name and number of rows.
// The name is a hash of the bytes, so equal streams are stored once. An invalid stream, or
// one over the limit, is an *InvalidError and stores nothing.
func (q *Queue) StoreSpine(r io.Reader) (name string, rows int64, err error) {
	if n, err := q.spinesBytes(); err != nil || n >= q.cfg.MaxSpines {
		return "", 0, errors.Join(err, fmt.Errorf("%w: uploaded spines take %d bytes, at most %d are kept; they expire %v after their last use", ErrFull, n, q.cfg.MaxSpines, q.cfg.Keep))
	}
	tmp, err := os.CreateTemp(q.spinesDir(), "upload-*")
	if err != nil {
		return "", 0, noRoom(fmt.Errorf("store a spine: %w", err))
	}
	defer func() { err = errors.Join(err, dropFile(tmp)) }()
	hash := sha256.New()
	limited := &limitedReader{r: r, left: q.cfg.MaxSpine}
	to := &fileWriter{f: tmp}
	rows, err = q.cfg.Arrow.Write(io.TeeReader(limited, hash), to, q.cfg.MaxBatch)
	if err == nil { // bytes after the stream's end are hashed too
		_, err = io.Copy(hash, limited)
	}
	switch {
	case limited.over:
		return "", 0, invalid("the spine is longer than %d bytes, which is the limit; put it in a file in the server's project and name that file", q.cfg.MaxSpine)
	case limited.err != nil:
		return "", 0, limited.err
	case to.err != nil:
		return "", 0, noRoom(fmt.Errorf("store a spine: %w", to.err))
	case err != nil:
		return "", 0, invalid("the spine: %v", err)
	}
	name = hex.EncodeToString(hash.Sum(nil))
	if err := tmp.Sync(); err != nil {
		return "", 0, noRoom(fmt.Errorf("store a spine: %w", err))
	}
	if err := os.Rename(tmp.Name(), q.spinePath(name)); err != nil {
		return "", 0, noRoom(fmt.Errorf("store a spine: %w", err))
	}
	return name, rows, nil
}

// spinesBytes is what the uploaded spines take on the disk.
func (q *Queue) spinesBytes() (n int64, err error) {
	entries, err := os.ReadDir(q.spinesDir())
	if err != nil {
		return 0, fmt.Errorf("store a spine: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it has just expired
			n += info.Size()
		}
	}
	return n, nil
}

// fileWriter remembers the first error of a file, which tells it from one of what is written.
type fileWriter struct {
	f   *os.File
	err error
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// dropFile closes a temporary file and removes it unless it was renamed.
func dropFile(f *os.File) error {
	err := f.Close()
	if rm := os.Remove(f.Name()); !errors.Is(rm, os.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// limitedReader returns an error once more than left bytes have been read.
type limitedReader struct {
	r    io.Reader
	left int64
	over bool
	err  error // of r, except io.EOF
}

var errTooLong = errors.New("too long")

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.over = true
		return 0, errTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.err = err
	}
	return n, err
}

// touchSpine checks that a spine exists and extends its expiry.
func (q *Queue) touchSpine(name string) error {
	if !spineName.MatchString(name) {
		return invalid("spine %q is not a name returned by an upload", name)
	}
	now := q.cfg.Clock()
	err := os.Chtimes(q.spinePath(name), now, now)
	if errors.Is(err, os.ErrNotExist) {
		return invalid("there is no spine %s, or it has expired; upload it again", name)
	}
	return err
}

// expireSpines removes spines that no waiting or running job uses and that have not been
// touched for the retention period. The caller holds mu.
func (q *Queue) expireSpines(now time.Time) {
	used := map[string]bool{}
	for _, j := range q.jobs {
		used[j.Spec.Spine] = used[j.Spec.Spine] || !j.State.Ended()
	}
	entries, err := os.ReadDir(q.spinesDir())
	if err != nil {
		q.cfg.Log.Error("listing spines failed", "error", err)
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || used[strings.TrimSuffix(e.Name(), spineEnding)] || now.Sub(info.ModTime()) < q.cfg.Keep {
			continue
		}
		if err := os.Remove(filepath.Join(q.spinesDir(), e.Name())); err != nil {
			q.cfg.Log.Error("removing an expired spine failed", "spine", e.Name(), "error", err)
		}
	}
}
