package servedlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/vector"
)

// File is a complete segment, by its name.
type File struct {
	Path        string
	Service     string
	Fingerprint string    // its first digits
	Begun       time.Time // about when its first row was served
	Process     string    // the Log that wrote it
}

// List returns the segments in the folder of a log, by day and name. A folder that is missing has none.
func List(dir string) ([]File, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "????-??-??", "*"+extension))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, path := range paths {
		if f, ok := parseName(filepath.Base(path)); ok {
			f.Path = path
			files = append(files, f)
		}
	}
	return files, nil
}

// Segment is an open segment.
type Segment struct {
	Service, Fingerprint   string
	Keys, Request, Outputs []plan.Field
	Meanings               []string       // fingerprints of the outputs; empty texts in segments from before they were recorded
	Views                  []string       // roles
	KeysHashed             bool           // keys are HMACs, so rows cannot be recomputed
	First, Last            plan.EventTime // the least and the greatest time of a read

	layout layout
	groups []group
	path   string
	file   *os.File
	in     *parquetfile.Reader
}

// Open opens a segment. The error is fs.ErrNotExist if it has been removed, because of its age, since it
// was listed.
func Open(path string) (_ *Segment, err error) {
	s := &Segment{path: path}
	if s.file, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("served log: %w", err)
	}
	if err := s.read(); err != nil {
		return nil, errors.Join(s.failed(err), s.file.Close())
	}
	return s, nil
}

func (s *Segment) failed(err error) error {
	return fmt.Errorf("served log: %s cannot be read (%w); move it away if it is damaged", s.path, err)
}

// read reads the metadata.
func (s *Segment) read() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	text, err := parquetfile.Metadata(s.file, info.Size(), metadataKey)
	if err != nil {
		return err
	}
	var m metadata
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("its metadata: %w", err)
	}
	if m.Format != format {
		return fmt.Errorf("it has format %d and this program reads %d: use a newer version", m.Format, format)
	}
	if again, err := m.encode(); err != nil || string(again) != text {
		return errors.Join(errors.New("its metadata do not have their checksum"), err)
	}
	s.groups = m.Groups
	s.Service, s.Fingerprint, s.Views, s.KeysHashed, s.First, s.Last = m.Service, m.Fingerprint, m.Views, m.KeysHashed, plan.EventTime(m.First), plan.EventTime(m.Last)
	for _, x := range []struct {
		to   *[]plan.Field
		from []field
	}{{&s.Keys, m.Keys}, {&s.Request, m.Request}, {&s.Outputs, m.Outputs}} {
		for _, f := range x.from {
			t, err := plan.ParseType(f.Type)
			if err != nil {
				return err
			}
			*x.to = append(*x.to, plan.Field{Name: f.Name, Type: t})
		}
	}
	for _, f := range m.Outputs {
		s.Meanings = append(s.Meanings, f.Fingerprint)
	}
	s.layout = layout{s.Keys, s.Request, s.Outputs, s.Meanings, s.Views}
	if s.in, err = parquetfile.NewReader(s.file, info.Size(), s.layout.fields()); err == nil && s.in.Groups() != len(s.groups) {
		err = fmt.Errorf("it has %d row groups and checksums of %d", s.in.Groups(), len(s.groups))
	}
	return err
}

// Rows are the rows in the order in which they were served, about. After an error there are no more.
func (s *Segment) Rows() iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		for g := range s.in.Groups() {
			b, err := s.group(g)
			if err != nil {
				yield(nil, s.failed(err))
				return
			}
			for i := range b.N {
				if !yield(s.layout.rowOf(b, i), nil) {
					return
				}
			}
		}
	}
}

// group reads a row group and compares it with its checksum: a flipped bit must not look like a difference between
// what was served and what should have been.
func (s *Segment) group(g int) (*vector.Batch, error) {
	want := s.groups[g]
	b, err := s.in.Group(g, want.Rows, want.Bytes, nil) // a value has at least one byte
	if err != nil {
		return nil, err
	}
	h, got := sha256.New(), group{Rows: b.N}
	var row []byte
	for i := range b.N {
		row = row[:0]
		for _, v := range b.Cols {
			row = plan.AppendCanonical(row, v.Value(i))
		}
		_, _ = h.Write(row) // never fails
		got.Bytes += len(row)
	}
	if got.SHA256 = hex.EncodeToString(h.Sum(nil)); got != want {
		return nil, fmt.Errorf("row group %d does not have its checksum", g)
	}
	return b, nil
}

// Close closes the file.
func (s *Segment) Close() error { return s.file.Close() }
