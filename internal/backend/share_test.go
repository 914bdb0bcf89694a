package backend_test

import (
	"context"
	"errors"
	"testing"

	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/pebbledir"
)

// While a server has the embedded log and store open, other processes use them through it. A second server cannot.
func TestP22_EmbeddedStoresAreShared(t *testing.T) {
	c := backend.Config{Dir: t.TempDir()}
	server, err := c.OpenAlone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := server.Share("unskew serve on http://127.0.0.1:7171")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()

	other, err := c.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if other.Name != server.Name {
		t.Errorf("the other is %q", other.Name)
	}
	if _, err := other.Log.Append(t.Context(), "s", []eventlog.Entry{{ID: "a", Payload: []byte("p")}}); err != nil {
		t.Error(err)
	}
	if end, err := server.Log.End(t.Context(), "s"); err != nil || end != 1 {
		t.Errorf("the server's log ends at %d: %v", end, err)
	}
	if again, err := other.Share("not needed"); again != nil || err != nil {
		t.Errorf("what is shared is shared again: %v", err)
	}
	var hosted *backend.HostedError
	if _, err := c.OpenAlone(t.Context()); !errors.As(err, &hosted) || hosted.Host.Command != "unskew serve on http://127.0.0.1:7171" {
		t.Errorf("a second server: %v", err)
	}
	if err := errors.Join(server.HostEnded(t.Context()), other.HostEnded(t.Context())); err != nil {
		t.Errorf("the server works: %v", err)
	}
	stop()
	if err := errors.Join(<-ended, server.Close()); err != nil {
		t.Error(err)
	}
	if err := other.HostEnded(t.Context()); err == nil || err.Error() != "the event log is not available: the server that had the data folder open has ended during this command; the next one needs no server" {
		t.Errorf("after the server has ended: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// Without a server, commands take turns.
func TestP22_CommandsTakeTurns(t *testing.T) {
	c := backend.Config{Dir: t.TempDir()}
	first, err := c.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	impatient := c
	impatient.Patience = 1
	var locked *pebbledir.LockedError
	if _, err := impatient.Open(t.Context(), nil); !errors.As(err, &locked) {
		t.Errorf("without patience: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.Waiting = func(dir string) {
		if dir != c.Dir {
			t.Errorf("it waits for %s", dir)
		}
		cancel()
	}
	if _, err := c.Open(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled command: %v", err)
	}
	c.Waiting = func(string) {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}
	second, err := c.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
