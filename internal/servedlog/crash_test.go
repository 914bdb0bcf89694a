package servedlog

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// crashEnv names the folder to which the child process of TestP20_ACrashLosesOneSegment writes.
const crashEnv = "UNSKEW_TEST_SERVED_LOG"

// crash completes a segment, begins another one, and waits to be killed.
func crash(t *testing.T, dir string) {
	l, s := open(t, Config{Dir: dir}, service("fraud_v1"))
	s.Write(rowWith(1))
	l.flush()
	s.Write(rowWith(2))
	l.write()
	fmt.Println("\nready")
	select {}
}

// A server that is killed loses the segment that it has not completed, and no other. A later start removes what is left of it, once it is
// certain that nobody writes to it, and says so.
func TestP20_ACrashLosesOneSegment(t *testing.T) {
	if dir := os.Getenv(crashEnv); dir != "" {
		crash(t, dir)
	}
	dir := filepath.Join(t.TempDir(), "served")
	c := exec.Command(os.Args[0], "-test.run", "^TestP20_ACrashLosesOneSegment$")
	c.Env = append(os.Environ(), crashEnv+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	if got := users(readAll(t, dir)); !slices.Equal(got, []int64{1}) || len(temporaries(t, dir)) != 1 {
		t.Fatalf("%v, incomplete: %v", got, temporaries(t, dir))
	}

	var text bytes.Buffer
	now := time.Now().Add(5 * time.Minute)
	l, s := open(t, Config{Dir: dir, Clock: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&text, nil))}, service("fraud_v1"))
	s.Write(rowWith(3))
	l.write()
	l.clean()
	if n := len(temporaries(t, dir)); n != 2 {
		t.Errorf("%d incomplete segments; those of servers that run must stay", n)
	}
	l.finish()
	now = now.Add(time.Hour)
	l.clean()
	if n := l.metrics.left.Load(); n != 1 || len(temporaries(t, dir)) != 0 || !strings.Contains(text.String(), "segments=1") {
		t.Errorf("%d segments were removed: %s", n, &text)
	}
	if got := users(readAll(t, dir)); !slices.Equal(got, []int64{1, 3}) {
		t.Error(got)
	}
}
