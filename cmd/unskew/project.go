package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/nearest"
	"github.com/unskew/unskew/internal/relation"
)

// load compiles the project. Errors in the definitions are printed and returned as findings.
// Of the warnings, which validate prints, only those in matter are printed, and none with
// --quiet.
func (o *options) load(c *cobra.Command, reader *relation.Reader, matter ...diag.Rule) (*featuredefs.Project, error) {
	p, found, err := o.compile(c.Context(), reader, nil)
	if err != nil {
		return nil, err
	}
	if found.HasErrors() {
		err := found.Errors().Render(c.ErrOrStderr())
		return nil, cmp.Or(err, error(&findings{"the definitions have errors; nothing was done"}))
	}
	for _, d := range found {
		if !o.quiet && slices.ContainsFunc(matter, func(r diag.Rule) bool { return r.ID == d.Rule }) {
			fmt.Fprintln(c.ErrOrStderr(), d)
		}
	}
	return p, nil
}

// compile compiles the project; check, if not nil, also checks its data.
func (o *options) compile(ctx context.Context, reader *relation.Reader, check func(*plan.Plan) (diag.Diagnostics, error)) (*featuredefs.Project, diag.Diagnostics, error) {
	opts := featuredefs.Options{CheckData: check}
	if reader != nil {
		opts.Schemas = func(src *plan.Source) ([]featuredefs.Column, error) {
			found, err := reader.Columns(ctx, relation.SourceRelation(src))
			columns := make([]featuredefs.Column, len(found))
			for i, c := range found {
				columns[i] = featuredefs.Column(c)
			}
			return columns, err
		}
	}
	p, found, err := featuredefs.Load(o.project, opts)
	if err == nil && !found.HasErrors() {
		err = o.writeLock(p)
	}
	return p, found, err
}

// writeLock saves the inferred column types to unskew.lock, so that a change of type is
// detected and serving needs no data.
func (o *options) writeLock(p *featuredefs.Project) error {
	lock := p.Lock()
	path := filepath.Join(o.project, featuredefs.LockFile)
	old, err := os.ReadFile(path)
	if lock == nil || err == nil && bytes.Equal(old, lock) {
		return nil
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, lock, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// openReader opens a reader of paths relative to the project and of its databases, for a command whose memory is
// limited to the given bytes, 0 for no limit.
func (o *options) openReader(memory int64, threads int) (*relation.Reader, error) {
	declared, err := featuredefs.LoadDatabases(o.project)
	if err != nil {
		return nil, err
	}
	databases := make([]relation.Database, len(declared))
	for i, d := range declared {
		databases[i] = relation.Database{Name: d.Name, Type: d.Type, Path: d.Path, Connection: func() (string, error) { return o.connection(d) }}
	}
	with := relation.Options{BaseDir: o.project, Threads: threads, Databases: databases}
	reading(memory, &with)
	return relation.Open(with)
}

// maxConnection bounds a connection string, in bytes.
const maxConnection = 64 << 10

// connection returns the connection string of a server.
func (o *options) connection(d featuredefs.Database) (string, error) {
	if d.Env != "" {
		if s := os.Getenv(d.Env); s != "" {
			return s, nil
		}
		return "", fmt.Errorf("the environment variable %s, which %s names for its connection string, is not set", d.Env, featuredefs.ConfigFile)
	}
	f, err := os.Open(o.inProject(d.SecretFile))
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConnection))
	s := strings.TrimSpace(string(text))
	if err == nil && s == "" {
		err = fmt.Errorf("%s, which %s names for a connection string, is empty", d.SecretFile, featuredefs.ConfigFile)
	}
	return s, err
}

func (o *options) inProject(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.project, path)
}

// hasStores reports whether the project's log and store may contain anything.
func hasStores(p *featuredefs.Project) bool {
	c := backend.Of(p)
	if c.Redis != nil {
		return true
	}
	_, err := os.Stat(c.Dir)
	return err == nil
}

// openStores opens the project's log and store, or joins the server that has them open.
func openStores(c *cobra.Command, p *featuredefs.Project) (*backend.Backend, error) {
	of := backend.Of(p)
	of.Waiting = backend.TellWaiting(c.ErrOrStderr())
	return of.Open(c.Context(), nil)
}

// warn prints warnings about risky settings of the servers.
func warn(w io.Writer, b *backend.Backend) {
	for _, text := range b.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
}

// pick finds a definition by name, or the only one if name is empty.
func pick[T any](kind, name string, list []T, nameOf func(T) string) (T, error) {
	var zero T
	var names []string
	for _, x := range list {
		if nameOf(x) == name {
			return x, nil
		}
		names = append(names, nameOf(x))
	}
	if name == "" && len(list) == 1 {
		return list[0], nil
	}
	switch {
	case name == "" && len(list) == 0:
		return zero, &noneError{kind}
	case name == "":
		return zero, fmt.Errorf("name one %s of: %s", kind, strings.Join(names, ", "))
	}
	return zero, noSuch(kind, name, names)
}

// noneError is the error that a project has no definition of a kind.
type noneError struct{ kind string }

func (e *noneError) Error() string { return "the project has no " + e.kind }

// noSuch returns the error for an unknown name; it lists the known ones.
func noSuch(kind, name string, names []string) error {
	return errors.New(nearest.None(kind, name, names))
}

// orStart adds what to do to the errors that no server is running, and that its certificate is not trusted.
func orStart(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w; no server is running there; start one with unskew serve", err)
	}
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) {
		return fmt.Errorf("%w; let SSL_CERT_FILE name a PEM file with the authority of the server's certificate", err)
	}
	return err
}

func closeWith(err *error, c io.Closer) { *err = errors.Join(*err, c.Close()) }
