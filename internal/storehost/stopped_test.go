package storehost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
)

// A process that has joined and does nothing, such as one that is suspended, does not keep the host from ending.
func TestP22_HostDoesNotWaitForOthers(t *testing.T) {
	c, stop := hosting(t, vfs.NewMem(), t.TempDir(), nil)
	loader, err := c.Store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	value := append([]byte("revision"), make([]byte, chunkBytes)...)
	for i := range 16 { // more than the socket and its buffers take
		if err := loader.Put(fmt.Appendf(nil, "k%d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	if err := loader.Close(); err != nil {
		t.Fatal(err)
	}
	if loader, err = c.Store.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := loader.Put([]byte("l"), value); err != nil {
		t.Fatal(err)
	}
	inScan, goOn, scanned := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		scanned <- c.Store.Scan(t.Context(), []byte("k"), func(_, _ []byte) error {
			if first {
				first = false
				close(inScan)
				<-goOn
			}
			return nil
		})
	}()
	<-inScan
	stop()
	close(goOn)
	if err := <-scanned; !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Scan: %v", err)
	}
	if err := loader.Close(); !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Close of a loader: %v", err)
	}
	if err := errors.Join(c.Log.Close(), c.Store.Close()); err != nil {
		t.Error(err)
	}
}

// A host that ends after a process has connected to it is none.
func TestDialWhileTheHostEnds(t *testing.T) {
	dir := t.TempDir()
	ln, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			err = errors.Join(conn.Close(), ln.Close())
		}
		ended <- err
	}()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoHost) {
		t.Errorf("Dial: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A host of another version that takes the place of the one that was dialled answers nothing.
func TestP22_AnotherVersionTakesOver(t *testing.T) {
	dir := t.TempDir()
	c, stop := hosting(t, vfs.NewMem(), dir, nil)
	stop()
	h, err := New(dir, "another", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.info.Version = "0.0.1"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if _, err := c.Log.End(t.Context(), "s"); !errors.Is(err, eventlog.ErrUnavailable) || !strings.Contains(err.Error(), "another version of the server") {
		t.Errorf("End: %v", err)
	}
	if _, err := c.Store.Swap(t.Context(), []onlinestore.Write{{Key: []byte("k"), Value: []byte("revision")}}); !errors.Is(err, onlinestore.ErrUnavailable) || errors.Is(err, onlinestore.ErrOutcomeUnknown) {
		t.Errorf("Swap: %v", err)
	}
	cancel()
	if err := errors.Join(<-ended, c.Log.Close(), c.Store.Close()); err != nil {
		t.Error(err)
	}
}
