//go:build duckdb_arrow

package duckdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// queryError makes DuckDB's message one line, without the text of the query and the
// settings of a CSV reader, and without advice on options that users cannot set.
func (db *DB) queryError(ctx context.Context, msg string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := db.knownError(msg); err != nil {
		return err
	}
	msg, _, _ = strings.Cut(db.redacted(msg), "\n\nLINE ")
	var kept []string
	for line := range strings.Lines(msg) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "delimiter = ") {
			break
		}
		if line != "" && !slices.ContainsFunc(advice, func(p string) bool { return strings.HasPrefix(line, p) }) {
			kept = append(kept, strings.TrimSuffix(line, "."))
		}
	}
	return errors.New(strings.Join(kept, "; "))
}

// advice lists the beginnings of lines of advice.
var advice = []string{"Column ", "This type was ", "Select a different type ", "* ", "Possible ", "See also ", "This file is not utf-8"}

var errNotInstalled = errors.New("is needed and not installed")

// The errors of DuckDB that are said in other words, by what they contain.
var (
	missingExtension = regexp.MustCompile(`Install it first using "INSTALL ([^"]+)"`)
	missingDatabase  = regexp.MustCompile(`(?:because schema|Catalog) "([^"]+)" does not exist`)
	newerDatabase    = regexp.MustCompile(`read a database file with version number (\d+), but we can only read versions between \d+ and (\d+)`)
	outOfMemory      = regexp.MustCompile(`^Out of Memory Error: ([^\n(]+)`)
	diskFull         = regexp.MustCompile(`max_temp_directory_size|No space left on device|(?i:disk quota exceeded)`)
)

// knownError says in the words of this program what went wrong and what to do about it; nil for other errors.
func (db *DB) knownError(msg string) error {
	if m := missingExtension.FindStringSubmatch(msg); m != nil {
		return fmt.Errorf("the DuckDB extension %s %w, and Unskew installs nothing by itself; "+
			"install it once with DuckDB %s: duckdb -c %q; without it, copy the data to Parquet, which from: reads", m[1], errNotInstalled, Version(), "INSTALL "+m[1])
	}
	if m := missingDatabase.FindStringSubmatch(msg); m != nil {
		return fmt.Errorf("the query names %q, which is neither a schema nor a database under attach: in unskew.yaml; "+
			"a database is named there with its file or its connection, as in attach: {%s: {duckdb: data/%s.duckdb}}", m[1], m[1], m[1])
	}
	if m := newerDatabase.FindStringSubmatch(msg); m != nil {
		return fmt.Errorf("the file was written by a newer DuckDB, in storage version %s; this program has DuckDB %s, which reads versions up to %s. "+
			"Write the file with ATTACH '…' AS w (STORAGE_VERSION '%s'), or copy its tables to Parquet", m[1], Version(), m[2], storageVersion())
	}
	switch {
	case diskFull.MatchString(msg):
		return fmt.Errorf("a query's intermediate results do not fit on the disk of %s; free some space, set TMPDIR to another directory, or allow more memory (--memory)", db.spill.path)
	case outOfMemory.MatchString(msg):
		return fmt.Errorf("a query needs more memory than its share of the limit, %s; allow more memory (--memory) or fewer threads (--threads), or let the query sort, join or group fewer rows at once: %s",
			cmp.Or(db.options.MemoryLimit, "80 % of the machine's"), strings.TrimSpace(outOfMemory.FindStringSubmatch(msg)[1]))
	}
	return nil
}

// storageVersion is the version of the library without its last number, as ATTACH takes it.
func storageVersion() string { return Version()[:strings.LastIndex(Version(), ".")] + ".0" }
