package pebbledir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockNamingFS returns a *LockedError for a lock that is held. The underlying errors differ between
// operating systems, and between the disk and memory.
type lockNamingFS struct {
	vfs.FS
	dir string
}

// Lock implements vfs.FS.
func (l lockNamingFS) Lock(name string) (io.Closer, error) {
	held, err := l.FS.Lock(name)
	var path *fs.PathError
	if err == nil || errors.As(err, &path) {
		return held, err
	}
	return nil, &LockedError{Dir: l.dir, Err: err}
}

// LockFile makes a file that one process at a time can have locked, until Close or its end. The error wraps
// a *LockedError if someone has.
func LockFile(path string) (io.Closer, error) {
	return lockNamingFS{vfs.Default, path}.Lock(path)
}

// Unwrap implements vfs.FS.
func (l lockNamingFS) Unwrap() vfs.FS { return l.FS }

// Only the owner may read the files, since they hold data about people.
const (
	privateDir  = 0o700
	privateFile = 0o600
)

// privateFS is the disk, with files and directories that only the owner may access.
type privateFS struct{ vfs.FS }

// Unwrap implements vfs.FS.
func (p privateFS) Unwrap() vfs.FS { return p.FS }

// MkdirAll implements vfs.FS.
func (p privateFS) MkdirAll(dir string, _ os.FileMode) error {
	return p.FS.MkdirAll(dir, privateDir)
}

// Create implements vfs.FS.
func (p privateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	return private(f, name, err)
}

// OpenReadWrite implements vfs.FS.
func (p privateFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.OpenReadWrite(name, category, opts...)
	return private(f, name, err)
}

// Lock implements vfs.FS.
func (p privateFS) Lock(name string) (io.Closer, error) {
	held, err := p.FS.Lock(name)
	return private(held, name, err)
}

// private makes the file accessible to its owner only, and closes it if that fails.
func private[F io.Closer](f F, name string, err error) (F, error) {
	if err != nil {
		return f, err
	}
	if err := os.Chmod(name, privateFile); err != nil {
		var none F
		return none, errors.Join(err, f.Close())
	}
	return f, nil
}
