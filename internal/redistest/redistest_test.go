package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"testing"
)

// inline sends one inline command and returns the first line of the answer.
func inline(t *testing.T, s *Server, command string) string {
	t.Helper()
	conn, err := net.Dial("unix", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestServersAreSeparateAndRestart(t *testing.T) {
	a, b := Start(t, Durable...), Start(t)
	inline(t, a, "SET k v")
	if got := inline(t, b, "EXISTS k"); got != ":0\r\n" {
		t.Errorf("two servers share a key: %q", got)
	}
	a.Restart(t)
	if got := inline(t, a, "EXISTS k"); got != ":1\r\n" {
		t.Errorf("a durable server lost a key: %q", got)
	}
	b.Pause(t)
	b.Resume(t)
	if got := inline(t, b, "PING"); got != "+PONG\r\n" {
		t.Errorf("PING after Resume: %q", got)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	var s *Server
	t.Run("server", func(t *testing.T) { s = Start(t) })
	if s.cmd.ProcessState == nil {
		t.Error("the process was not waited for")
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestClusterSpreadsSlots(t *testing.T) {
	servers := StartCluster(t, 2)
	for _, s := range servers {
		if got := s.Ask(t, "PING"); got != "PONG" {
			t.Errorf("PING: %q", got)
		}
	}
}
