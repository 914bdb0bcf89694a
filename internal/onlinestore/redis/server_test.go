package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

var ctx = context.Background()

func write(key string, expect, revision uint64) onlinestore.Write {
	return onlinestore.Write{Key: []byte(key), Expect: expect, Value: binary.BigEndian.AppendUint64(nil, revision)}
}

// start opens a store on a server of its own.
func start(t *testing.T) (*redistest.Server, *Store) {
	t.Helper()
	server := redistest.Start(t)
	s := openTest(t, Options{Addresses: []string{server.Address}})
	t.Cleanup(func() { s.Close() })
	return server, s
}

func do(t *testing.T, s *Store, command ...string) {
	t.Helper()
	if err := s.conn.Do(ctx, s.conn.B().Arbitrary(command...).Build()).Error(); err != nil {
		t.Fatalf("%v: %v", command, err)
	}
}

func TestP5_EvictionIsRefused(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "volatile-ttl")
	o := Options{Addresses: []string{server.Address}}
	var eviction *EvictionError
	if _, err := Open(ctx, o); !errors.As(err, &eviction) {
		t.Errorf("Open: %v, want an EvictionError", err)
	}
	o.AllowEviction = true
	s := openTest(t, o)
	defer s.Close()
	if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, "volatile-ttl") {
		t.Errorf("the warnings do not name the policy: %q", w)
	}
}

func TestScriptIsLoadedAgain(t *testing.T) {
	_, s := start(t)
	for r := range uint64(3) {
		do(t, s, "SCRIPT", "FLUSH")
		swapped, err := s.Swap(ctx, []onlinestore.Write{write("a", r, r+1), write("b", r, r+1), write("c", 7, 8)})
		if err != nil || !swapped[0] || !swapped[1] || swapped[2] {
			t.Fatalf("Swap after SCRIPT FLUSH: %v, %v", swapped, err)
		}
	}
}

func TestFullServerRefuses(t *testing.T) {
	_, s := start(t)
	do(t, s, "CONFIG", "SET", "maxmemory", "1")
	_, swapErr := s.Swap(ctx, []onlinestore.Write{write("a", 0, 1)})
	loader, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Put([]byte("b"), write("b", 0, 1).Value); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Swap": swapErr, "Loader.Close": loader.Close()} {
		if !errors.Is(err, onlinestore.ErrUnavailable) || errors.Is(err, onlinestore.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("%s on a full server: %v, want a refusal", what, err)
		}
	}
	values, err := s.Get(ctx, [][]byte{[]byte("a"), []byte("b")})
	if err != nil || values[0] != nil || values[1] != nil {
		t.Errorf("Get: %q, %v, want nothing", values, err)
	}
}

func TestLostConnectionSaysWhetherTheOutcomeIsKnown(t *testing.T) {
	server := redistest.Start(t, redistest.Durable...)
	s := openTest(t, Options{Addresses: []string{server.Address}, Timeout: 150 * time.Millisecond})
	defer s.Close()

	server.Pause(t)
	if _, err := s.Swap(ctx, []onlinestore.Write{write("a", 0, 1)}); !errors.Is(err, onlinestore.ErrOutcomeUnknown) ||
		!strings.Contains(err.Error(), "no answer within 150ms") {
		t.Errorf("Swap without an answer: %v, want ErrOutcomeUnknown", err)
	}
	if _, err := s.Get(ctx, [][]byte{[]byte("a")}); !errors.Is(err, onlinestore.ErrUnavailable) || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Get without an answer: %v", err)
	}
	server.Resume(t)

	server.Kill()
	for {
		_, err := s.Swap(ctx, []onlinestore.Write{write("a", 0, 1)})
		if err == nil {
			t.Fatal("Swap on a dead server succeeded")
		}
		if !errors.Is(err, onlinestore.ErrOutcomeUnknown) {
			break // no broken connection is left, and dialing fails
		}
	}
	if _, err := s.Get(ctx, [][]byte{[]byte("a")}); !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Get from a dead server: %v, want ErrUnavailable", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Get(ended, [][]byte{[]byte("a")}); errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Get under a context that has ended: %v", err)
	}
	server.Restart(t)
	// Whatever became of the first attempts, the counter ends at 1.
	for {
		if _, err := s.Swap(ctx, []onlinestore.Write{write("a", 0, 1)}); err != nil {
			continue // a connection that was just found broken
		}
		values, err := s.Get(ctx, [][]byte{[]byte("a")})
		if err != nil || onlinestore.Revision(values[0]) != 1 {
			t.Errorf("after swapping again: %q, %v, want revision 1", values, err)
		}
		return
	}
}

// A namespace is not a prefix of another's keys.
func TestNamespacesAreSeparate(t *testing.T) {
	server, _ := start(t)
	for _, namespace := range []string{"a", "aa", "a.state", "unskew"} {
		s := openTest(t, Options{Addresses: []string{server.Address}, Namespace: namespace})
		defer s.Close()
		if swapped, err := s.Swap(ctx, []onlinestore.Write{write("a:state:k", 0, 1)}); err != nil || !swapped[0] {
			t.Errorf("namespace %q: %v, %v: it shares keys with another", namespace, swapped, err)
		}
		if err := s.DeletePrefix(ctx, []byte("b")); err != nil {
			t.Error(err)
		}
	}
}

// A server that cannot send messages, because it speaks RESP2 only, takes CLIENT TRACKING and never says
// that a key was written. It is not watched, nor is one whose user may not ask for messages; the store works.
func TestP16_NotWatchedWithoutMessages(t *testing.T) {
	old := redistest.Start(t, "--rename-command", "HELLO", "")
	limited, admin := start(t)
	do(t, admin, "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-client|tracking")
	for name, o := range map[string]Options{
		"RESP2":         {Addresses: []string{old.Address}},
		"no permission": {Addresses: []string{limited.Address}, Credentials: redisconn.Credentials{Username: "reader", Password: "secret"}},
	} {
		s := openTest(t, o)
		defer s.Close()
		w, err := s.Watch(ctx)
		if cannot := (*CannotWatchError)(nil); !errors.As(err, &cannot) {
			t.Errorf("%s: %v, %v, want a CannotWatchError", name, w, err)
		}
		if swapped, err := s.Swap(ctx, []onlinestore.Write{write("k", 0, 1)}); err != nil || !swapped[0] {
			t.Errorf("%s: %v, %v", name, swapped, err)
		}
	}
}

// What was read over a connection that is lost is not taken for unchanged over the next one, which was not
// told of what was written between.
func TestP16_ALostConnectionVoidsItsMarks(t *testing.T) {
	server, writer := start(t)
	w, err := openTest(t, Options{Addresses: []string{server.Address}}).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	mark := func() onlinestore.Seen {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
			if _, seen, err := w.GetMarked(ctx, [][]byte{[]byte("k")}); err == nil && w.Unchanged([]byte("k"), seen[0]) {
				return seen[0]
			}
		}
		t.Fatal("the key is not watched")
		return 0
	}
	before := mark()
	do(t, writer, "CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes")
	for w.Unchanged([]byte("k"), before) {
		if err := w.CaughtUp(ctx); err != nil { // finds that the connection is lost
			t.Fatal(err)
		}
	}
	if after := mark(); after == before || w.Unchanged([]byte("k"), before) {
		t.Errorf("the mark %x of a lost connection is valid over the next, whose mark is %x", before, after)
	}
}
