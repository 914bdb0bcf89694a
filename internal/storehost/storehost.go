// Package storehost lets other processes of the same user work on an embedded log and store that one
// process has open. That process, the host, listens on a socket in their folder; the others Dial it
// and get the contracts eventlog.Log and onlinestore.Store, with the semantics of the host's.
//
// It is not a public interface: both sides must be of one version, which the first call checks, and the names of all others have.
package storehost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/unskew/unskew/internal/version"
)

// Info says who a host is.
type Info struct {
	Protocol int
	Version  string // of the program
	PID      int
	Command  string // for example "unskew serve on http://127.0.0.1:7171"
}

// prefix is that of the names of the calls. A host that took the place of another does not know those of another version.
func (i *Info) prefix() string { return fmt.Sprintf("/%d/%s", i.Protocol, i.Version) }

// own is what this program is, as a host and as a caller.
func own() Info { return Info{Protocol: protocol, Version: version.Release} }

// protocol is raised when a message changes its meaning.
const protocol = 1

// ErrNoHost is returned by Dial if no process hosts what is in the folder.
var ErrNoHost = errors.New("no process shares the data folder")

// VersionError says that the host is another version of the program.
type VersionError struct{ Host Info }

// Error says what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s (process %d), which has the data folder open, is version %s and this is %s; use one version of both, or call that server with --server",
		e.Host.Command, e.Host.PID, e.Host.Version, version.Release)
}

// socketDir is a folder, of the embedded data's folder, which only its owner can enter: a socket has
// the permissions of its folder from the first moment on.
const socketDir = "host"

func socketPath(dir string) string { return filepath.Join(dir, socketDir, "socket") }

// maxSocketPath is what every operating system takes as the path of a socket.
const maxSocketPath = 100

// short calls f with a path of the socket that is short enough to bind or connect to, through a
// temporary link if the folder lies too deep.
func short(dir string, f func(path string) error) (err error) {
	path := socketPath(dir)
	if len(path) <= maxSocketPath {
		return f(path)
	}
	target, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "unskew-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	link := filepath.Join(tmp, "l")
	if err := os.Symlink(target, link); err != nil {
		return err
	}
	return f(filepath.Join(link, filepath.Base(path)))
}

// listen opens the socket. The caller has the folder's databases open, so a socket that is there was
// left behind.
func listen(dir string) (ln *net.UnixListener, err error) {
	path := socketPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err = short(dir, func(path string) error {
		ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("share the data folder %s: %w", dir, err)
	}
	ln.SetUnlinkOnClose(false) // the path may have been a link; Host.Run removes the file
	return ln, os.Chmod(path, 0o600)
}

// connectSocket connects to the socket.
func connectSocket(ctx context.Context, dir string) (conn net.Conn, err error) {
	err = short(dir, func(path string) error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", path)
		return err
	})
	return conn, err
}
