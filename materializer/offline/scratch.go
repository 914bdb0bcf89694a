package offline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/unskew/unskew/internal/kernel"
)

// scratch is a temporary file for what does not fit into memory. It is unlinked as soon as
// it is open, where the system allows that, so that a killed program leaves no file behind.
// Methods may be called concurrently.
type scratch struct {
	dir  string
	once sync.Once
	file *os.File
	err  error
	end  atomic.Int64
}

// extent is a range of bytes in a scratch file.
type extent struct{ at, n int64 }

// scratchPattern is the pattern of the names of scratch files.
const scratchPattern = ".scratch-*" + partialSuffix

func (s *scratch) open() error {
	s.once.Do(func() {
		if s.file, s.err = os.CreateTemp(s.dir, scratchPattern); s.err == nil {
			os.Remove(s.file.Name()) // else close does it
		}
	})
	return s.err
}

// write appends p.
func (s *scratch) write(p []byte) (extent, error) {
	if err := s.open(); err != nil {
		return extent{}, s.failed(err)
	}
	e := extent{s.end.Add(int64(len(p))) - int64(len(p)), int64(len(p))}
	if _, err := s.file.WriteAt(p, e.at); err != nil {
		return extent{}, s.failed(err)
	}
	return e, nil
}

// read reads an extent, into the memory of buf if it is large enough.
func (s *scratch) read(e extent, buf []byte) ([]byte, error) {
	if int64(cap(buf)) < e.n {
		buf = make([]byte, e.n)
	}
	buf = buf[:e.n]
	if _, err := s.file.ReadAt(buf, e.at); err != nil {
		return nil, s.failed(err)
	}
	return buf, nil
}

// block reads a block of events.
func (s *scratch) block(e extent) (*kernel.Block, error) {
	raw, err := s.read(e, nil)
	if err != nil {
		return nil, err
	}
	b, _, err := kernel.ReadBlock(raw)
	if err != nil {
		return nil, s.failed(err)
	}
	return b, nil
}

func (s *scratch) failed(err error) error {
	dir, absErr := filepath.Abs(s.dir)
	if absErr != nil {
		dir = s.dir
	}
	if diskFull(err) {
		return fmt.Errorf("the disk of %s is full after %d bytes of intermediate results; free some space, allow more memory or choose another output directory: %w",
			dir, s.end.Load(), err)
	}
	return fmt.Errorf("intermediate results in %s: %w", dir, err)
}

// diskFull reports whether an error means that a disk, or what a user may have of it, is full.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (s *scratch) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}
