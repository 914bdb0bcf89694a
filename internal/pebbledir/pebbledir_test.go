package pebbledir

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	cockroach "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const holderDir = "PEBBLEDIR_TEST_HOLD"

// TestMain lets the test binary act as another process, which opens the directory, reports that and
// holds it until its standard input ends, or which fills its disk.
func TestMain(m *testing.M) {
	dir := os.Getenv(holderDir)
	if os.Getenv(fillerEnv) != "" {
		fill()
	}
	if dir == "" {
		os.Exit(m.Run())
	}
	db, err := Open(dir, "test 1", Options{})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("open\n")
	io.Copy(io.Discard, os.Stdin)
	if err := db.Close(); err != nil {
		panic(err)
	}
}

// hold opens dir in another process until the test ends.
func hold(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holderDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the other process: %v", err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
}

func wantLocked(t *testing.T, dir string, o Options) {
	t.Helper()
	_, err := Open(dir, "test 1", o)
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("Open of a directory in use: %v, want a LockedError", err)
	}
	if locked.Dir != dir || !strings.Contains(err.Error(), "running server") {
		t.Errorf("the error does not name the directory and a running server: %v", err)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	hold(t, dir)
	wantLocked(t, dir, Options{})
}

func TestLockedByThisProcess(t *testing.T) {
	for _, fs := range []vfs.FS{nil, vfs.NewMem()} {
		dir := t.TempDir()
		db, err := Open(dir, "test 1", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		wantLocked(t, dir, Options{FS: fs})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err = Open(dir, "test 1", Options{FS: fs})
		if err != nil {
			t.Fatalf("Open after Close: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnwritableDirectoryIsNotLocked(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file+"/below", "test 1", Options{})
	var locked *LockedError
	if err == nil || errors.As(err, &locked) {
		t.Errorf("Open below a file: %v, want an error that is not about a lock", err)
	}
}

func TestFormatIsChecked(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open("dir", "test 1", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("dir", "test 2", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), `"test 1"`) {
		t.Errorf("Open for another format: %v, want an error that names the format found", err)
	}

	other, err := cockroach.Open("other", &cockroach.Options{FS: fs, Logger: newFailureHandler("other", nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Set([]byte("a"), []byte("b"), cockroach.Sync); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("other", "test 1", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "some other program") {
		t.Errorf("Open of a foreign database: %v", err)
	}
}

func TestSuccessor(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"a", "b"}, {"ab", "ac"}, {"a\xff", "b"}, {"a\xff\xff", "b"}, {"a\x00", "a\x01"}, {"\xfe\xff", "\xff"},
	} {
		if got := Successor([]byte(c.prefix)); string(got) != c.want {
			t.Errorf("Successor(%q) = %q, want %q", c.prefix, got, c.want)
		}
	}
	if got := Successor([]byte("\xff\xff")); got != nil {
		t.Errorf("Successor of 0xff bytes = %q, want nil", got)
	}
	prefix := []byte("ab")
	Successor(prefix)
	if !bytes.Equal(prefix, []byte("ab")) {
		t.Error("Successor changed its argument")
	}
}
