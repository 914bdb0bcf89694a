package pebbledir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockNamingFS gives the error of a lock that is held a type: the errors below it
// differ between operating systems and between the disk and memory.
type lockNamingFS struct {
	vfs.FS
	dir string
}

// Lock is vfs.FS's.
func (l lockNamingFS) Lock(name string) (io.Closer, error) {
	held, err := l.FS.Lock(name)
	var path *fs.PathError
	if err == nil || errors.As(err, &path) {
		return held, err
	}
	return nil, &LockedError{Dir: l.dir, Err: err}
}

// Unwrap is vfs.FS's.
func (l lockNamingFS) Unwrap() vfs.FS { return l.FS }

// What is stored is about people: nobody but the owner reads it.
const (
	privateDir  = 0o700
	privateFile = 0o600
)

// privateFS is the disk, on which files and directories are the owner's alone.
type privateFS struct{ vfs.FS }

// Unwrap is vfs.FS's.
func (p privateFS) Unwrap() vfs.FS { return p.FS }

// MkdirAll is vfs.FS's.
func (p privateFS) MkdirAll(dir string, _ os.FileMode) error {
	return p.FS.MkdirAll(dir, privateDir)
}

// Create is vfs.FS's.
func (p privateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	return private(f, name, err)
}

// OpenReadWrite is vfs.FS's.
func (p privateFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.OpenReadWrite(name, category, opts...)
	return private(f, name, err)
}

// Lock is vfs.FS's.
func (p privateFS) Lock(name string) (io.Closer, error) {
	held, err := p.FS.Lock(name)
	return private(held, name, err)
}

// private takes the file from everybody else, or closes it.
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
