package servedlog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
)

const (
	extension   = ".parquet"
	temporary   = ".tmp-"
	metadataKey = "unskew.served"
	format      = 1
	createdBy   = "unskew"

	dayForm  = "2006-01-02"           // names of folders
	timeForm = "20060102T150405.000Z" // in names of segments
)

// shortFingerprint is how many digits of a fingerprint the name of a segment has.
const shortFingerprint = 12

// metadata is stored in each segment.
type metadata struct {
	Format      int      `json:"format"`
	Service     string   `json:"service"`
	Fingerprint string   `json:"fingerprint"`
	Keys        []field  `json:"keys"`
	KeysHashed  bool     `json:"keys_hashed"`
	Request     []field  `json:"request"`
	Outputs     []field  `json:"outputs"`
	Views       []string `json:"views"`
	First       int64    `json:"first"` // the least and the greatest request.read_at
	Last        int64    `json:"last"`
	Groups      []group  `json:"groups"`
	SHA256      string   `json:"sha256"` // of this object, with "" here
}

// encode returns the text of the metadata, with its digest.
func (m metadata) encode() ([]byte, error) {
	m.SHA256 = ""
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	m.SHA256 = digestOf(text)
	return json.Marshal(m)
}

func digestOf(rows ...[]byte) string {
	h := sha256.New()
	for _, r := range rows {
		_, _ = h.Write(r) // never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// group is what is known of a row group.
type group struct {
	Rows   int    `json:"rows"`
	Bytes  int    `json:"bytes"`  // of its values in canonical form
	SHA256 string `json:"sha256"` // of these
}

// groupOf describes encoded rows.
func groupOf(rows [][]byte) group {
	g := group{Rows: len(rows), SHA256: digestOf(rows...)}
	for _, r := range rows {
		g.Bytes += len(r)
	}
	return g
}

type field struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint,omitempty"` // of an output
}

func fieldsAsText(list []plan.Field) []field {
	out := make([]field, len(list))
	for i, f := range list {
		out[i] = field{Name: f.Name, Type: f.Type.String()}
	}
	return out
}

// outputsAsText is fieldsAsText of the outputs, with their fingerprints.
func (l *layout) outputsAsText() []field {
	out := fieldsAsText(l.outputs)
	for i := range out {
		out[i].Fingerprint = l.meanings[i]
	}
	return out
}

// segment is a file that is being written. It has a temporary name until it is complete.
type segment struct {
	stream      *Stream
	file        *os.File // nil before begin has succeeded
	path        string   // below the folder of the log, once it is complete
	parquet     *parquetfile.BatchWriter
	rows        int
	size        int64
	first, last plan.EventTime // of the times of the reads
	groups      []group
}

// Write implements io.Writer for the Parquet writer.
func (g *segment) Write(b []byte) (int, error) {
	n, err := g.file.Write(b)
	g.size += int64(n)
	return n, err
}

// begin creates the file.
func (g *segment) begin(dir, process string, number int, now time.Time) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	now = now.UTC()
	id := fmt.Sprintf("%s-%06d", process, number)
	name := fmt.Sprintf("%s-%s-%s-%s%s", g.stream.service, g.stream.fingerprint[:shortFingerprint], now.Format(timeForm), id, extension)
	g.path = filepath.Join(now.Format(dayForm), name)
	g.file, err = os.OpenFile(filepath.Join(dir, temporary+id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return err
}

// write adds rows as a row group. A panic is an error, since a server is worth more than its log.
func (g *segment) write(rows []queued) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	s := g.stream
	b, err := decode(s.fields, rows)
	if err != nil {
		return err
	}
	if g.parquet == nil {
		g.parquet = parquetfile.NewBatchWriter(g, s.schema, createdBy)
	}
	if err := g.parquet.Write(b.Cols, b.N); err != nil {
		return err
	}
	for i, at := range b.Col("request.read_at").Int {
		if t := plan.EventTime(at); g.rows == 0 && i == 0 {
			g.first, g.last = t, t
		} else {
			g.first, g.last = min(g.first, t), max(g.last, t)
		}
	}
	encoded := make([][]byte, len(rows))
	for i := range rows {
		encoded[i] = rows[i].row
	}
	g.groups = append(g.groups, groupOf(encoded))
	g.rows += b.N
	return nil
}

// finish makes the file durable and gives it its name.
func (g *segment) finish(dir string) error {
	s := g.stream
	m := metadata{
		Format: format, Service: s.service, Fingerprint: s.fingerprint, Keys: fieldsAsText(s.layout.keys), KeysHashed: s.log.cfg.Secret != nil,
		Request: fieldsAsText(s.layout.request), Outputs: s.layout.outputsAsText(), Views: s.layout.views, First: int64(g.first), Last: int64(g.last),
		Groups: g.groups,
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := g.parquet.Close(metadataKey, string(text)); err != nil {
		return err
	}
	if err := g.file.Sync(); err != nil {
		return err
	}
	if err := g.file.Close(); err != nil {
		return err
	}
	path := filepath.Join(dir, g.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(g.file.Name(), path)
}

// remove removes the file of a segment that is given up.
func (g *segment) remove() error {
	if g.file == nil {
		return nil
	}
	_ = g.file.Close() // the error that counts is why it is given up
	if err := os.Remove(g.file.Name()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// parseName reads the name of a segment.
func parseName(name string) (f File, ok bool) {
	base, isSegment := strings.CutSuffix(name, extension)
	parts := strings.Split(base, "-")
	if !isSegment || len(parts) != 5 {
		return f, false
	}
	begun, err := time.Parse(timeForm, parts[2])
	return File{Service: parts[0], Fingerprint: parts[1], Begun: begun, Process: parts[3]}, err == nil
}
