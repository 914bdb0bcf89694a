package pebbledir

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// fullDisk is a disk in memory. Once full is set, it refuses every write to files whose name
// contains one of kinds.
func fullDisk(full *atomic.Bool, kinds ...string) vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !full.Load() || op.Kind != errorfs.OpFileWrite {
			return nil
		}
		for _, kind := range kinds {
			if strings.Contains(filepath.Base(op.Path), kind) {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
}

// Open on a full disk returns an error that names the directory and the remedy, whichever file
// cannot be written, and does not wait for space [p9].
func TestP9_OpenOnAFullDisk(t *testing.T) {
	for name, kinds := range map[string][]string{"everything": {""}, "tables": {".sst"}, "logs": {".log"}, "manifest": {"MANIFEST"}} {
		t.Run(name, func(t *testing.T) {
			var full atomic.Bool
			disk := fullDisk(&full, kinds...)
			for range 2 { // the second Open replays what the first left in its log
				db, err := Open("data", "test 1", Options{FS: disk})
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Set([]byte("a"), make([]byte, 1000), cockroach.Sync); err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			full.Store(true)
			db, err := Open("data", "test 1", Options{FS: disk})
			if name == "logs" && err == nil {
				// Open does not write to the log, so it succeeds.
				return
			}
			if err == nil {
				t.Fatal(errors.Join(errors.New("a full disk was opened"), db.Close()))
			}
			if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "no space") || !strings.Contains(err.Error(), "data") {
				t.Errorf("%v; it does not say that there is no space, or where", err)
			}
		})
	}
}

const fillerEnv = "PEBBLEDIR_TEST_FILL"

// fill writes to a disk that becomes full of tables.
func fill() {
	var full atomic.Bool
	db, err := Open("data", "test 1", Options{FS: fullDisk(&full, ".sst"), MemTableBytes: 256 << 10})
	if err != nil {
		panic(err)
	}
	full.Store(true)
	for i := range byte(255) {
		if err := db.Set([]byte{i}, make([]byte, 64<<10), cockroach.NoSync); err != nil {
			panic(err)
		}
	}
	panic("all was written")
}

// A process whose disk becomes full exits with the reason, the directory and the remedy; it does not
// spin [p9].
func TestP9_DiskBecomesFull(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fillerEnv+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Fatalf("it ended with %v and said\n%s", err, out)
	}
	for _, part := range []string{"no space", "directory=data", "make room", "acknowledged"} {
		if !bytes.Contains(out, []byte(part)) {
			t.Errorf("it did not say %q:\n%s", part, out)
		}
	}
}

// Only the owner can read the stored files, even in a directory that others could read before.
func TestFilesAreTheOwners(t *testing.T) {
	root := t.TempDir()
	old := filepath.Join(root, "old")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{old, filepath.Join(root, "a", "new")} {
		db, err := Open(dir, "test 1", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Set([]byte("a"), []byte("b"), cockroach.Sync), db.Flush()); err != nil {
			t.Fatal(err)
		}
		files := 0
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(privateFile)
			if d.IsDir() {
				want = privateDir
			} else {
				files++
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", path, got, want)
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if files < 4 {
			t.Errorf("%s has %d files; where is the database?", dir, files)
		}
	}
	if info, err := os.Stat(filepath.Join(root, "a")); err != nil || info.Mode().Perm() != privateDir {
		t.Errorf("the directory above: %v, %v", info.Mode(), err)
	}
}
