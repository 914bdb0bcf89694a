//go:build duckdb_arrow

package relation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
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
	p, _, err := r.find(&rel)
	if err != nil {
		return nil, err
	}
	if rel.SQL != "" {
		if p.files, err = r.db.FilesIn(ctx, rel.SQL); err != nil {
			return nil, rel.failed(err)
		}
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
