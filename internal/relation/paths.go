package relation

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/text"
)

// Patterns are recognized only in the from: path itself, since the project may be in a
// folder named a[b]*. In a segment, * matches any characters, ? one character, [a-c] one of
// a set and [!a-c] one outside it. The segment ** matches any number of folders; it does
// not follow links to folders.

// isURL reports whether from is read from a server.
func isURL(from string) bool { return strings.Contains(from, "://") }

// expand lists the files that match from, in byte order of their paths, which are absolute
// if base is. If a file has exactly the path from, it is the only one.
func expand(base, from string) ([]string, error) {
	whole := from
	if !filepath.IsAbs(from) {
		whole = filepath.Join(base, from)
	}
	if info, err := os.Stat(whole); err == nil && !info.IsDir() {
		return []string{whole}, nil
	}
	root, segments := base, strings.Split(filepath.ToSlash(filepath.Clean(from)), "/")
	if filepath.IsAbs(from) {
		root = filepath.VolumeName(from) + string(filepath.Separator)
		segments = segments[1:]
	}
	for _, s := range segments {
		if _, err := path.Match(goPattern(s), ""); err != nil {
			return nil, fmt.Errorf("%q is not a pattern: a [ lacks its ], or a set is empty", s)
		}
	}
	var files []string
	if err := walk(root, segments, &files); err != nil {
		return nil, err
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// hasPattern reports whether s contains pattern characters.
func hasPattern(segment string) bool { return strings.ContainsAny(segment, "*?[") }

// goPattern translates a segment to the syntax of path.Match.
func goPattern(segment string) string {
	segment = strings.ReplaceAll(segment, `\`, `\\`)
	return strings.ReplaceAll(segment, "[!", "[^")
}

// walk appends the files below dir that match the segments.
func walk(dir string, segments []string, files *[]string) error {
	segment, rest := segments[0], segments[1:]
	switch {
	case segment == "**":
		return walkAll(dir, rest, files)
	case hasPattern(segment):
		return eachEntry(dir, func(e fs.DirEntry) error {
			if ok, _ := path.Match(goPattern(segment), e.Name()); !ok {
				return nil
			}
			return enter(filepath.Join(dir, e.Name()), rest, files)
		})
	}
	return enter(filepath.Join(dir, segment), rest, files)
}

// walkAll walks dir and every folder below it.
func walkAll(dir string, rest []string, files *[]string) error {
	if len(rest) == 0 {
		rest = []string{"*"}
	}
	if err := walk(dir, rest, files); err != nil {
		return err
	}
	return eachEntry(dir, func(e fs.DirEntry) error {
		if !e.IsDir() {
			return nil
		}
		return walkAll(filepath.Join(dir, e.Name()), rest, files)
	})
}

// enter handles a path that has matched so far: a file at the end of the pattern, a folder
// before.
func enter(name string, rest []string, files *[]string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(rest) > 0 && info.IsDir():
		return walk(name, rest, files)
	case len(rest) == 0 && !info.IsDir():
		*files = append(*files, name)
	}
	return nil
}

func eachEntry(dir string, f func(fs.DirEntry) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// partitions lists the partition columns of from:, which are its segments name=value whose
// value is a pattern.
func partitions(from string) []string {
	var names []string
	segments := strings.Split(filepath.ToSlash(filepath.Clean(from)), "/")
	for _, s := range segments[:len(segments)-1] {
		name, value, ok := strings.Cut(s, "=")
		if ok && name != "" && !hasPattern(name) && hasPattern(value) {
			names = append(names, name)
		}
	}
	return names
}

// nullPartition is how Hive and Spark write null in a folder name.
const nullPartition = "__HIVE_DEFAULT_PARTITION__"

// partitionText returns the text of a partition column in a file's path; ok is false for
// null.
func partitionText(file, name string) (text string, ok bool) {
	segments := strings.Split(filepath.ToSlash(file), "/")
	for _, s := range slices.Backward(segments[:len(segments)-1]) {
		if value, found := strings.CutPrefix(s, name+"="); found {
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			return value, value != nullPartition
		}
	}
	return "", false
}

// paths are the files of a relation.
type paths struct {
	base  string   // absolute; the directory that from: is relative to
	files []string // absolute, in byte order
}

// shown returns a file's path for messages: relative to the base directory, with slashes,
// or the file's name if it is outside.
func (p paths) shown(file string) string {
	if isURL(file) {
		return file
	}
	rel, err := filepath.Rel(p.base, file)
	if err != nil || !filepath.IsLocal(rel) {
		return filepath.Base(file)
	}
	return filepath.ToSlash(rel)
}

// partitionValue parses the value of a partition column for the rows of a file.
func partitionValue(file string, c plan.Field) (plan.Value, error) {
	s, ok := partitionText(file, c.Name)
	if !ok {
		return plan.NullValue(), nil
	}
	return text.Parse(s, c.Type.Kind)
}

// withoutPath removes the absolute path from a file system error; the caller adds the path
// in the form that users know.
func withoutPath(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
