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

// A pattern is written in from: itself and nowhere else: the project may lie in a folder
// named a[b]*. In a segment, * stands for any characters, ? for one, [a-c] for one of a set
// and [!a-c] for one outside of it; the segment ** stands for any folders, or none, without
// following links to folders.

// isURL reports whether from is read from a server.
func isURL(from string) bool { return strings.Contains(from, "://") }

// expand lists the files that from names, in byte order of their paths, which are
// absolute if base is. A file whose path is from to the letter is the only one.
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

// hasPattern reports whether a segment, or a part of one, is a pattern.
func hasPattern(segment string) bool { return strings.ContainsAny(segment, "*?[") }

// goPattern is a segment as path.Match takes it.
func goPattern(segment string) string {
	segment = strings.ReplaceAll(segment, `\`, `\\`)
	return strings.ReplaceAll(segment, "[!", "[^")
}

// walk appends the files below dir that the segments name.
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

// enter takes a path that matched so far: a file at the end of the pattern, a folder before.
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

// partitions are the columns that from: takes from the names of folders: those of its
// segments name=value whose value is a pattern.
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

// nullPartition is how Hive and Spark write a null in the name of a folder.
const nullPartition = "__HIVE_DEFAULT_PARTITION__"

// partitionText is the text that a file's path holds for a partition column; ok is false
// for null.
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
	base  string   // absolute; what from: is relative to
	files []string // absolute, in byte order
}

// shown is a file's path as people know it: relative to the base directory, with
// slashes; of a file outside of it, its name.
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

// partitionValue is the value of a partition column for the rows of a file, read as text.
func partitionValue(file string, c plan.Field) (plan.Value, error) {
	s, ok := partitionText(file, c.Name)
	if !ok {
		return plan.NullValue(), nil
	}
	return text.Parse(s, c.Type.Kind)
}

// withoutPath is an error of the file system without the absolute path in it, which those
// who report it name as people know it.
func withoutPath(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
