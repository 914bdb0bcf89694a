package offline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// staging writes files under temporary names in the output directory and renames them at
// the end, the manifest last, so that a directory with a manifest is complete.
type staging struct {
	dir   string
	made  bool // the directory was not there before
	files []*stagedFile
	// writer, in tests, wraps each file.
	writer func(io.Writer) io.Writer
}

func newStaging(dir string) (*staging, error) {
	_, err := os.Stat(dir)
	s := &staging{dir: dir, made: errors.Is(err, os.ErrNotExist)}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("output directory: %w", err)
	}
	return s, nil
}

// partialSuffix ends the names of temporary files in the output directory; they begin with
// a dot.
const partialSuffix = ".partial"

// stagedFile hashes what is written to it. It does not buffer.
type stagedFile struct {
	name string
	file *os.File
	to   io.Writer
	sum  hash.Hash
	size int64
}

func (s *staging) create(name string) (*stagedFile, error) {
	f, err := os.CreateTemp(s.dir, "."+name+"-*"+partialSuffix)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	staged := &stagedFile{name: name, file: f, to: f, sum: sha256.New()}
	s.files = append(s.files, staged)
	if s.writer != nil {
		staged.to = s.writer(f)
	}
	if err := f.Chmod(0o644); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	return staged, nil
}

func (f *stagedFile) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	f.sum.Write(p[:n])
	f.size += int64(n)
	if diskFull(err) {
		err = fmt.Errorf("the disk of %s is full after %d bytes of %s; free some space or choose another output directory: %w",
			filepath.Dir(f.file.Name()), f.size, f.name, err)
	}
	return n, err
}

func (f *stagedFile) sha256() string { return hex.EncodeToString(f.sum.Sum(nil)) }

// publish makes the files durable, removes the named stale files and renames the new files
// in order, the last one last.
func (s *staging) publish(stale []string) error {
	for _, f := range s.files {
		if err := errors.Join(f.file.Sync(), f.file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what an earlier run wrote: %w", err)
		}
	}
	for _, f := range s.files {
		if err := os.Rename(f.file.Name(), filepath.Join(s.dir, f.name)); err != nil {
			return fmt.Errorf("publish %s: %w", f.name, err)
		}
	}
	s.files, s.made = nil, false
	s.sweep()
	return syncDir(s.dir)
}

// sweep removes what killed runs have left behind; files that cannot be removed do no harm.
func (s *staging) sweep() {
	entries, _ := os.ReadDir(s.dir)
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && strings.HasSuffix(name, partialSuffix) {
			os.RemoveAll(filepath.Join(s.dir, name))
		}
	}
}

// abandon removes what was not published, and the directory if staging created it. It may
// be called after publish.
func (s *staging) abandon() {
	for _, f := range s.files {
		f.file.Close()
		os.Remove(f.file.Name())
	}
	s.files = nil
	if s.made {
		os.Remove(s.dir) // not if somebody else has put something there
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("make the names in %s durable: %w", dir, err)
	}
	return nil
}
