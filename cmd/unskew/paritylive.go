package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/validate/against"
	"github.com/unskew/unskew/validate/against/live"
)

// liveFlags are the flags of parity --against URL.
type liveFlags struct {
	spine, save, token, service string
	rate                        float64
}

// liveOnly are the flags that only --against URL has.
var liveOnly = []string{"spine", "save", "token-file", "service-there", "qps"}

func (f *liveFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.spine, "spine", "", "with --against URL, ask for the rows of `FILE`, with keys and request fields (default: the entities with the newest events)")
	flags.StringVar(&f.save, "save", "", "with --against URL, keep what was read as a Parquet `FILE`, to compare again")
	flags.StringVar(&f.token, "token-file", "", "with --against URL, send the token in `FILE` as Authorization: Bearer")
	flags.StringVar(&f.service, "service-there", "", "with --against URL, `NAME` of the feature service there, if otherwise")
	flags.Float64Var(&f.rate, "qps", 10, "with --against URL, make at most `N` requests each second, of 100 rows")
	_ = c.MarkFlagFilename("spine", "parquet", "csv", "json", "jsonl") // never fails
}

// isServer reports whether values are read from a feature server, and not from a file, which can have a URL too.
func isServer(from string) bool {
	return (strings.HasPrefix(from, "http://") || strings.HasPrefix(from, "https://")) && !slices.Contains([]string{".parquet", ".csv", ".json", ".jsonl", ".ndjson"}, path.Ext(from))
}

// check refuses flags that mean nothing.
func (f *liveFlags) check(c *cobra.Command, p *parityFlags, server bool) error {
	for _, name := range append(slices.Clone(liveOnly), "rows") {
		if c.Flags().Changed(name) && !server {
			return fmt.Errorf("--%s is for --against with the URL of a feature server", name)
		}
	}
	switch {
	case !server:
		return nil
	case p.against.time != "":
		return errors.New("--time is for values of a file; a server is asked for those of now")
	case p.rows < 1 || p.rows > mostLiveRows:
		return fmt.Errorf("--rows %d: ask for 1 to %d rows", p.rows, mostLiveRows)
	case !(f.rate > 0 && f.rate <= mostRate):
		return fmt.Errorf("--qps %g: make more than 0 and at most %d requests each second", f.rate, mostRate)
	}
	return nil
}

// The limits of what another system is asked for.
const (
	mostLiveRows = 1_000_000
	mostRate     = 1000
	tokenBytes   = 64 << 10
)

// readLive reads values from a feature server and has them compared as a file, which end removes unless it is to be kept.
func (o *options) readLive(c *cobra.Command, f *parityFlags, cfg *against.Config) (end func(), err error) {
	l := &f.against.live
	read := live.Config{URL: f.against.file, Service: cfg.Service, Name: l.service, Columns: cfg.Columns, Rate: l.rate, Out: l.save, Progress: func(rows int64) { cfg.Progress("ask", rows) }}
	if read.Token, err = readToken(l.token); err != nil {
		return nil, err
	}
	if l.spine != "" {
		read.Rows, err = live.SpineRows(c.Context(), cfg.Reader, relation.Relation{Owner: l.spine, From: l.spine}, cfg.Service, f.rows)
	} else {
		read.Rows, err = live.NewestRows(c.Context(), cfg.Reader, cfg.Log, cfg.Service, f.rows)
	}
	if err != nil {
		return nil, err
	}
	end = func() {}
	if l.save == "" {
		dir, err := os.MkdirTemp("", "unskew-live-")
		if err != nil {
			return nil, err
		}
		read.Out, end = filepath.Join(dir, "theirs.parquet"), func() { os.RemoveAll(dir) }
	}
	system, err := live.Read(c.Context(), read)
	if err != nil {
		end()
		return nil, err
	}
	if !o.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s server, %s asked for\n", f.against.file, system, quantity(int64(len(read.Rows)), "row"))
	}
	file, err := filepath.Abs(read.Out)
	cfg.Relation, cfg.Time, cfg.Columns = relation.Relation{Owner: cmp.Or(l.save, f.against.file), From: file}, live.Time, nil // it has the names of the service
	return end, err
}

// readToken reads a token from a file; "" if there is none.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, tokenBytes))
	token := strings.TrimSpace(string(text))
	if err == nil && (token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })) {
		err = fmt.Errorf("%s has no token, which is one line without spaces", path)
	}
	return token, err
}
