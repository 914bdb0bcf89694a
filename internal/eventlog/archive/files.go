package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/parquetfile"
)

// File is a file of an archive.
type File struct {
	Path        string
	First, Last eventlog.Position
	Appended    plan.EventTime // of the last record
	Size        int64          // in bytes

	before, end eventlog.Mark // of the record before the first, 0 if there is none, and of the last
	modified    int64
}

// FileError says what is wrong with a file, and what to do.
type FileError struct{ Path, What string }

func (e *FileError) Error() string { return fmt.Sprintf("archive file %s %s", e.Path, e.What) }

// MissingError says that the archive lacks records that are not in the log any more.
type MissingError struct {
	Dir, Shard  string
	First, Last eventlog.Position
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the records of %s at positions %d to %d were trimmed from the log and are in no file of the archive %s: restore the file %s, or those with these positions",
		e.Shard, e.First, e.Last, e.Dir, fileName(e.First, e.Last))
}

func (f *File) foreign(p eventlog.Position) error {
	return &FileError{f.Path, fmt.Sprintf("has another record at position %d than the log: it is the archive of another log, or the log was replaced; restore the file of this log, or move the archive away if nothing of it was trimmed from this log", p)}
}

func (f *File) damaged(err error) error {
	return &FileError{f.Path, fmt.Sprintf("is damaged (%v): restore it from a copy, or move it away if its records are still in the log", err)}
}

const (
	extension   = ".parquet"
	temporary   = ".tmp-"
	metadataKey = "unskew.eventlog"
	format      = 1
	createdBy   = "unskew"
)

func fileName(first, last eventlog.Position) string {
	return fmt.Sprintf("%020d-%020d%s", first, last, extension)
}

// Dir is the folder of a shard's files.
func (l *Log) Dir(shard string) string {
	return filepath.Join(l.dir, strings.ReplaceAll(url.QueryEscape(shard), ".", "%2E"))
}

// metadata is stored in each file.
type metadata struct {
	Format   int    `json:"format"`
	Shard    []byte `json:"shard"`
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Appended int64  `json:"appended"`
	Before   uint64 `json:"before,string"`
	End      uint64 `json:"end,string"`
	SHA256   string `json:"sha256"`
}

// row is a record in a file.
type row struct {
	Position int64   `parquet:"position,delta"`
	Appended int64   `parquet:"appended,delta,timestamp(microsecond)"`
	ID       []byte  `parquet:"id"`
	Payload  []byte  `parquet:"payload"`
	Versions *[]byte `parquet:"versions,optional"`
}

// digestOf is the digest of records, as a file's metadata has it.
func digestOf(records []eventlog.Record) string {
	h := sha256.New()
	var b []byte
	for i := range records {
		r := &records[i]
		b = binary.BigEndian.AppendUint64(b[:0], uint64(r.Position))
		b = binary.BigEndian.AppendUint64(b, uint64(r.Appended))
		for _, part := range [][]byte{[]byte(r.ID), r.Payload, eventlog.AppendVersions(nil, r.Versions)} {
			b = binary.AppendUvarint(b, uint64(len(part)))
			b = append(b, part...)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Files returns the files of a shard in order, after checking that they are one sequence and of
// this log.
func (l *Log) Files(ctx context.Context, shard string) ([]File, error) {
	trimmed, err := l.Log.Trimmed(ctx, shard)
	if err != nil {
		return nil, err
	}
	s := l.shard(shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	err = l.refresh(s, shard, trimmed)
	return slices.Clone(s.files), err
}

// list returns the files in the folder of a shard, without what their metadata says.
func (l *Log) list(shard string) ([]File, error) {
	entries, err := os.ReadDir(l.Dir(shard))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	var files []File
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f := File{Path: filepath.Join(l.Dir(shard), e.Name())}
		n, err := fmt.Sscanf(e.Name(), "%020d-%020d.parquet", &f.First, &f.Last)
		if n != 2 || err != nil || e.Name() != fileName(f.First, f.Last) || f.First == 0 || f.Last < f.First {
			return nil, &FileError{f.Path, "is none of an archive, whose names are " + fileName(1, 2) + " and so on: move it away"}
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		f.Size, f.modified = info.Size(), info.ModTime().UnixNano()
		files = append(files, f)
	}
	return files, nil // os.ReadDir sorts by name, so by first position
}

func sameFiles(a, b []File) bool {
	return slices.EqualFunc(a, b, func(a, b File) bool { return a.Path == b.Path && a.Size == b.Size && a.modified == b.modified })
}

// check reads the metadata of the files and makes sure that they are one sequence, from position 1 on.
func (l *Log) check(files []File, shard string) error {
	last, end := eventlog.Position(0), eventlog.Mark(0)
	for i := range files {
		f := &files[i]
		switch {
		case f.First > last+1:
			return &MissingError{l.Dir(shard), shard, last + 1, f.First - 1}
		case f.First <= last:
			return &FileError{f.Path, fmt.Sprintf("and %s both have position %d: move one of them away, so that no position is missing", filepath.Base(files[i-1].Path), f.First)}
		}
		if err := f.readMetadata(shard); err != nil {
			return err
		}
		if f.before != end {
			return &FileError{f.Path, f.unrelated(files[:i])}
		}
		last, end = f.Last, f.end
	}
	return nil
}

// unrelated says that the file does not continue the last of those before it.
func (f *File) unrelated(before []File) string {
	if len(before) == 0 {
		return "begins at position 1 and says that records precede it: it is damaged; restore it from a copy, or move it away if its records are still in the log"
	}
	last := &before[len(before)-1]
	return fmt.Sprintf("follows another record at position %d than %s has: one of the two is of another log or damaged; restore it from a copy, or move it away if its records are still in the log", last.Last, last.Path)
}

func (f *File) readMetadata(shard string) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer file.Close()
	m, err := f.metadata(file, shard)
	if err != nil {
		return err
	}
	f.Appended, f.before, f.end = plan.EventTime(m.Appended), eventlog.Mark(m.Before), eventlog.Mark(m.End)
	return nil
}

func (f *File) metadata(file *os.File, shard string) (m metadata, err error) {
	text, err := parquetfile.Metadata(file, f.Size, metadataKey)
	if err != nil {
		return m, f.damaged(err)
	}
	if text == "" {
		return m, &FileError{f.Path, "is none of an archive: move it away"}
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return m, f.damaged(err)
	}
	switch {
	case m.Format != format:
		return m, &FileError{f.Path, fmt.Sprintf("has format %d and this program reads %d: use a newer version", m.Format, format)}
	case string(m.Shard) != shard:
		return m, &FileError{f.Path, fmt.Sprintf("is of the log of %q: move it to its folder", m.Shard)}
	case eventlog.Position(m.First) != f.First || eventlog.Position(m.Last) != f.Last:
		return m, &FileError{f.Path, fmt.Sprintf("has positions %d to %d: give it its name back, %s", m.First, m.Last, fileName(eventlog.Position(m.First), eventlog.Position(m.Last)))}
	}
	return m, nil
}

// fileOf returns the file with a position that was trimmed.
func (l *Log) fileOf(files []File, shard string, p eventlog.Position) (*File, error) {
	i, found := slices.BinarySearchFunc(files, p, func(f File, p eventlog.Position) int {
		switch {
		case f.Last < p:
			return -1
		case f.First > p:
			return 1
		}
		return 0
	})
	if !found {
		last := eventlog.Position(0)
		if len(files) > 0 {
			last = files[len(files)-1].Last
		}
		return nil, &MissingError{l.Dir(shard), shard, last + 1, p}
	}
	return &files[i], nil
}

// load reads the records of a file and checks them.
func (s *shard) load(f *File, name string) error {
	if s.loaded == f.Path {
		return nil
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer file.Close()
	m, err := f.metadata(file, name)
	if err != nil {
		return err
	}
	rows, err := parquetfile.ReadRows[row](file, f.Size, int(f.Last-f.First)+1)
	if err != nil {
		return f.damaged(err)
	}
	records := make([]eventlog.Record, len(rows))
	for i := range rows {
		if records[i], err = rows[i].record(); err != nil {
			return f.damaged(err)
		}
	}
	if len(records) == 0 || digestOf(records) != m.SHA256 || records[0].Position != f.First || records[len(records)-1].Position != f.Last {
		return f.damaged(errors.New("its records do not have the checksum that was stored with them"))
	}
	s.loaded, s.records = f.Path, records
	return nil
}

func (r *row) record() (eventlog.Record, error) {
	out := eventlog.Record{Position: eventlog.Position(r.Position), Appended: plan.EventTime(r.Appended), ID: string(r.ID), Payload: r.Payload}
	var err error
	if r.Versions != nil {
		out.Versions, err = eventlog.DecodeVersions(*r.Versions)
	}
	return out, err
}

// encode returns the bytes of a file.
func encode(shard string, before eventlog.Mark, records []eventlog.Record) ([]byte, error) {
	rows := make([]row, len(records))
	for i := range records {
		r := &records[i]
		rows[i] = row{Position: int64(r.Position), Appended: int64(r.Appended), ID: []byte(r.ID), Payload: r.Payload}
		if r.Versions != nil {
			versions := eventlog.AppendVersions(nil, r.Versions)
			rows[i].Versions = &versions
		}
	}
	last := &records[len(records)-1]
	m, err := json.Marshal(metadata{
		Format: format, Shard: []byte(shard), First: uint64(records[0].Position), Last: uint64(last.Position), Appended: int64(last.Appended),
		Before: uint64(before), End: uint64(last.Mark()), SHA256: digestOf(records),
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parquetfile.WriteRows(&b, rows, map[string]string{metadataKey: string(m)}, createdBy)
	return b.Bytes(), err
}
