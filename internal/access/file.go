package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile bounds the size of a callers file in bytes.
const maxFile = 4 << 20

// recheck is how often files are looked at for changes.
const recheck = 5 * time.Second

// File is a callers file that is read again when it changes. Methods may be called concurrently.
type File struct {
	path    string
	mu      sync.Mutex // guards read
	read    stamp
	callers atomic.Pointer[Callers]
}

// stamp tells versions of a file apart, also those that have one size and were given one time, as
// tools do that deploy reproducibly.
type stamp struct{ info os.FileInfo }

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	return stamp{info}, err
}

// same reports whether s and o are of one version; the zero stamp is of none.
func (s stamp) same(o stamp) bool {
	return s.info != nil && o.info != nil && os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// Open reads a callers file.
func Open(path string) (*File, error) {
	f := &File{path: path}
	if _, err := f.Refresh(); err != nil {
		return nil, fmt.Errorf("callers: %w", err)
	}
	return f, nil
}

// Refresh reads the file now if it has changed, and reports whether its callers are used from now on. A version with errors is reported once.
func (f *File) Refresh() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := stampOf(f.path)
	if err != nil || now.same(f.read) {
		return false, err
	}
	in, err := os.Open(f.path)
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err := errors.Join(err, in.Close()); err != nil {
		return false, err
	}
	if len(text) > maxFile {
		return false, fmt.Errorf("%s has more than %d bytes", f.path, maxFile)
	}
	f.read = now
	callers, err := parse(filepath.Dir(f.path), filepath.Base(f.path), text)
	if err != nil {
		return false, err
	}
	callers.adopt(f.callers.Load())
	if err := callers.readKeys(context.Background(), true); err != nil {
		return false, err
	}
	f.callers.Store(callers)
	return true, nil
}

// Authenticate returns the caller of a request; see Callers.Authenticate.
func (f *File) Authenticate(r *http.Request) (*Caller, error) {
	return f.callers.Load().Authenticate(r)
}

// Limits lists the services and the sources that callers are limited to; see Callers.Limits.
func (f *File) Limits() (services, sources []string) { return f.callers.Load().Limits() }

// ByCertificate returns the name of a caller that is known by a client certificate, the first in the
// order of names, or "".
func (f *File) ByCertificate() string {
	first := ""
	for _, c := range f.callers.Load().byCertificate {
		if first == "" || c.Name < first {
			first = c.Name
		}
	}
	return first
}

// Run reads the file again whenever it changes, and the keys of issuers now and then, until ctx ends. While they cannot be read, the
// callers or the keys stay as they were and report gets the reason.
func (f *File) Run(ctx context.Context, report func(error)) error {
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		if err := f.callers.Load().readKeys(ctx, false); err != nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := f.Refresh(); err != nil {
				report(err)
			}
		}
	}
}
