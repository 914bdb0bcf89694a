//go:build duckdb_arrow

package duckdb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// File is an input as a manifest records it. Size and SHA256 are zero for what does
// not lie on this machine.
type File struct {
	Path   string // relative to the base directory, with slashes; of a file outside of it, its name
	Size   int64
	SHA256 string // hexadecimal
}

// Files lists the input files of a relation in the order of their paths. Of SQL it
// lists the files that its string literals name; a table behind ATTACH or a remote
// relation has none.
func (db *DB) Files(ctx context.Context, rel Relation) ([]File, error) {
	t, err := db.open(ctx, rel)
	if err != nil {
		return nil, err
	}
	paths := t.files
	if t.format == sqlQuery {
		if paths, err = db.filesNamedIn(ctx, rel.SQL); err != nil {
			return nil, t.failed(err)
		}
	}
	files := make([]File, len(paths))
	for i, p := range paths {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if files[i], err = db.hash(p); err != nil {
			return nil, t.failed(err)
		}
	}
	return files, nil
}

func (db *DB) hash(path string) (File, error) {
	f := File{Path: db.shown(path)}
	if isURL(path) {
		return f, nil
	}
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	sum := sha256.New()
	if f.Size, err = io.Copy(sum, in); err != nil {
		return f, fmt.Errorf("hash %s: %w", f.Path, err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// filesNamedIn expands the string literals of sql that name files.
func (db *DB) filesNamedIn(ctx context.Context, sql string) ([]string, error) {
	var files []string
	for _, lit := range stringLiterals(sql) {
		if lit == "" {
			continue
		}
		if isURL(lit) {
			files = append(files, lit)
			continue
		}
		found, err := db.glob(ctx, db.abs(lit))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				files = append(files, f)
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// stringLiterals lists the single-quoted literals of sql, outside of comments and
// quoted identifiers.
func stringLiterals(sql string) []string {
	var out []string
	for i := 0; i < len(sql); {
		rest := sql[i:]
		switch {
		case strings.HasPrefix(rest, "--"):
			i += indexAfter(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += indexAfter(rest, "*/")
		case rest[0] == '"':
			_, n := quotedText(rest)
			i += n
		case rest[0] == '\'':
			text, n := quotedText(rest)
			out = append(out, text)
			i += n
		default:
			i++
		}
	}
	return out
}

// indexAfter is the index behind the first sep, or the length of s.
func indexAfter(s, sep string) int {
	if i := strings.Index(s, sep); i >= 0 {
		return i + len(sep)
	}
	return len(s)
}

// quotedText reads a text that begins with a quote, in which the quote itself is
// doubled; n is the length with the quotes.
func quotedText(s string) (text string, n int) {
	q := s[:1]
	for i := 1; i < len(s); i++ {
		if s[i] != q[0] {
			continue
		}
		if i+1 < len(s) && s[i+1] == q[0] {
			i++
			continue
		}
		return strings.ReplaceAll(s[1:i], q+q, q), i + 1
	}
	return s[1:], len(s)
}
