package offline

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// spill holds the results of a role's passes in files, one a pass, until they are
// merged into the order of the spine. A row is its length (uvarint), a byte that is
// 1 when the entity is known, then for each feature a status byte, a reason byte and
// the value's canonical encoding.
type spill struct {
	dir   string
	name  string
	files []*os.File
}

func (s *spill) path(pass int) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d", s.name, pass))
}

// write appends the file of the next pass of r.
func (s *spill) write(r *role) error {
	f, err := os.Create(s.path(len(s.files)))
	if err != nil {
		return fmt.Errorf("intermediate results: %w", err)
	}
	s.files = append(s.files, f)
	w := bufio.NewWriterSize(f, 1<<20)
	var row, length []byte
	err = r.replay.Results(func(from int, features *kernel.Features) error {
		r.failed.see(features, func(i int) int { return r.rows[from+i] })
		for i := range features.N {
			row = append(row[:0], known(features, i))
			for c := range features.Cols {
				col := &features.Cols[c]
				row = append(row, byte(col.Status[i]), byte(col.Reason[i]))
				row = plan.AppendCanonical(row, col.Vec.Value(i))
			}
			length = binary.AppendUvarint(length[:0], uint64(len(row)))
			if _, err := w.Write(length); err != nil {
				return err
			}
			if _, err := w.Write(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("intermediate results: %w", err)
	}
	return nil
}

func known(f *kernel.Features, i int) byte {
	if f.Known.Get(i) {
		return 1
	}
	return 0
}

// stream merges the files into the order of the spine.
func (s *spill) stream(r *role) (*spillStream, error) {
	st := &spillStream{pass: r.pass, out: &kernel.Features{}}
	for _, f := range s.files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("intermediate results: %w", err)
		}
		st.readers = append(st.readers, bufio.NewReaderSize(f, 256<<10))
	}
	for _, f := range r.ref.View.Features {
		st.out.Cols = append(st.out.Cols, kernel.FeatureColumn{Vec: &vector.Vector{Type: f.RefType()}})
	}
	return st, nil
}

// remove closes and deletes the files.
func (s *spill) remove() {
	for pass, f := range s.files {
		f.Close()
		os.Remove(s.path(pass))
	}
	s.files = nil
}

type spillStream struct {
	readers []*bufio.Reader
	pass    []uint8
	row     int
	buf     []byte
	out     *kernel.Features
}

func (s *spillStream) next(n int) (*kernel.Features, error) {
	n = min(n, len(s.pass)-s.row)
	s.out.N, s.out.Known = n, vector.NewBitmap(n)
	for c := range s.out.Cols {
		col := &s.out.Cols[c]
		col.Vec.Resize(n)
		col.Status, col.Reason = make([]kernel.Status, n), make([]kernel.Status, n)
	}
	for i := range n {
		if err := s.read(s.readers[s.pass[s.row+i]], i); err != nil {
			return nil, fmt.Errorf("intermediate results: %w", err)
		}
	}
	s.row += n
	return s.out, nil
}

func (s *spillStream) close() {}

var errSpilled = errors.New("a row is malformed")

func (s *spillStream) read(r *bufio.Reader, i int) error {
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	if uint64(cap(s.buf)) < length {
		s.buf = make([]byte, length)
	}
	row := s.buf[:length]
	if _, err := io.ReadFull(r, row); err != nil {
		return err
	}
	if len(row) < 1 {
		return errSpilled
	}
	s.out.Known.Put(i, row[0] == 1)
	row = row[1:]
	for c := range s.out.Cols {
		col := &s.out.Cols[c]
		if len(row) < 3 {
			return errSpilled
		}
		col.Status[i], col.Reason[i] = kernel.Status(row[0]), kernel.Status(row[1])
		v, rest, err := plan.DecodeCanonical(row[2:])
		if err != nil {
			return err
		}
		row = rest
		if v.IsNull() && col.Status[i] == kernel.Failed {
			col.Vec.SetErr(i)
			continue
		}
		col.Vec.Set(i, v)
	}
	return nil
}
