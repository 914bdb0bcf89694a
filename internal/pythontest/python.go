// Package pythontest gives tests a Python with pinned packages: other implementations to
// compare with.
package pythontest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Packages are what tests may import, in versions that are known to work together.
var Packages = []string{"pyarrow==26.0.1", "polars==2.1.0", "duckdb==2.0.1", "pytz==2026.6"}

// Python is the path of a Python that has Packages. They are installed once, into the
// user's cache; without Python or venv, or when they cannot be had, the test fails.
func Python(t testing.TB) string {
	t.Helper()
	path, err := python()
	if err != nil {
		t.Fatalf("Python 3.10 or newer with venv, and %s: %v", strings.Join(Packages, " "), err)
	}
	return path
}

func python() (path string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "unskew-python-test", fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(Packages, " "))))[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "venv", "bin", "python")
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return path, nil
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", filepath.Join(dir, "venv")},
		append([]string{path, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, Packages...),
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return path, os.WriteFile(done, nil, 0o644)
}

// Run runs a script with the given standard input and arguments and returns what it
// prints; when it fails, so does the test.
func Run(t testing.TB, script string, input []byte, args ...string) string {
	t.Helper()
	c := exec.Command(Python(t), append([]string{"-c", script}, args...)...)
	c.Stdin = strings.NewReader(string(input))
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, stderr.String())
	}
	return string(out)
}
