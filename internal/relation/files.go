//go:build duckdb_arrow

package relation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// File is an input as a manifest records it. Size and SHA256 are zero for files that are
// not on this machine.
type File struct {
	Path   string // relative to the base directory, with slashes; the file's name if it is outside
	Size   int64
	SHA256 string // hexadecimal
}

// Files lists the input files of a relation in path order. For SQL it lists the files that
// the query names, in whatever way, and then the names of databases on servers.
func (r *Reader) Files(ctx context.Context, rel Relation) ([]File, error) {
	p, err := r.filesOf(ctx, &rel)
	if err != nil {
		return nil, err
	}
	files := make([]File, len(p.files))
	for i, path := range p.files {
		if files[i], err = hash(ctx, path, p.shown(path)); err != nil {
			return nil, rel.failed(err)
		}
	}
	for _, d := range r.db.DatabasesIn(rel.SQL) {
		if d.Path == "" {
			files = append(files, File{Path: d.Name})
		}
	}
	return files, nil
}

// filesOf lists the input files of a relation.
func (r *Reader) filesOf(ctx context.Context, rel *Relation) (p paths, err error) {
	if p, _, err = r.find(rel); err != nil || rel.SQL == "" {
		return p, err
	}
	if p.files, err = r.db.FilesIn(ctx, rel.SQL); err != nil {
		return p, rel.failed(err)
	}
	return p, nil
}

// settled is how old a file is from when on a change of it is another time of change: clocks of file systems have ticks.
const settled = 2 * time.Second

// Stamp is a text that is another one when the input files of a relation have changed, by their names, sizes and times of change, without reading them. It
// may be another one without a change, as when one of them has been written a moment ago. known is false if nothing is known of changes, as
// of a database.
func (r *Reader) Stamp(ctx context.Context, rel Relation) (stamp string, known bool, err error) {
	p, err := r.filesOf(ctx, &rel)
	if err != nil {
		return "", false, err
	}
	if len(p.files) == 0 || slices.ContainsFunc(p.files, isURL) || slices.ContainsFunc(r.db.DatabasesIn(rel.SQL), func(d Database) bool { return d.Path == "" }) {
		return "", false, nil
	}
	now := time.Now()
	var text strings.Builder
	for _, path := range p.files {
		info, err := os.Stat(path)
		if err != nil {
			return "", false, rel.failed(err)
		}
		fmt.Fprintf(&text, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		if now.Sub(info.ModTime()) < settled {
			fmt.Fprintf(&text, "as of %d\n", now.UnixNano())
		}
	}
	return text.String(), true, nil
}

func hash(ctx context.Context, path, shown string) (File, error) {
	f := File{Path: shown}
	if isURL(path) {
		return f, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	sum := sha256.New()
	if f.Size, err = io.Copy(sum, &stoppable{ctx, in}); err != nil {
		return f, fmt.Errorf("hash %s: %w", f.Path, err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// stoppable reads until its context ends.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (r *stoppable) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
