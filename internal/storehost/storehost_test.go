package storehost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/logtest"
	pebblelog "github.com/unskew/unskew/internal/eventlog/pebble"
	"github.com/unskew/unskew/internal/gate"
	"github.com/unskew/unskew/internal/onlinestore"
	pebblestore "github.com/unskew/unskew/internal/onlinestore/pebble"
	"github.com/unskew/unskew/internal/onlinestore/storetest"
)

// hosting shares an embedded log and store until stop is called, which closes them.
func hosting(t *testing.T, fs vfs.FS, dir string, clock eventlog.Clock) (c *Client, stop func()) {
	t.Helper()
	log, err := pebblelog.Open("log", pebblelog.Options{FS: fs, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	store, err := pebblestore.Open("store", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(dir, "a test", log, store)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	if c, err = Dial(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	return c, func() {
		cancel()
		for _, err := range []error{<-ended, log.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// hosted is the log of a host that is closed with it.
type hosted struct {
	eventlog.Log
	stop func()
}

func (h *hosted) Close() error {
	err := h.Log.Close()
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	return err
}

func TestLogConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long with the race detector, and the databases' own tests run the suite; this runs without -short")
	}
	logtest.Run(t, func(t *testing.T) logtest.Storage {
		fs, dir := vfs.NewCrashableMem(), t.TempDir()
		return logtest.Storage{
			Open: func(t *testing.T, clock eventlog.Clock) eventlog.Log {
				c, stop := hosting(t, fs, dir, clock)
				return &hosted{c.Log, stop}
			},
			Isolated: true,
		}
	})
}

// hostedStore is the store of a host that is closed with it.
type hostedStore struct {
	onlinestore.Store
	stop func()
}

func (h *hostedStore) Close() error {
	err := h.Store.Close()
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	return err
}

func TestStoreConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long with the race detector, and the databases' own tests run the suite; this runs without -short")
	}
	storetest.Run(t, func(t *testing.T) storetest.Storage {
		fs, dir := vfs.NewCrashableMem(), t.TempDir()
		return storetest.Storage{
			Open: func(t *testing.T) onlinestore.Store {
				c, stop := hosting(t, fs, dir, nil)
				return &hostedStore{c.Store, stop}
			},
			Isolated: true,
		}
	})
}

func TestDeepFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, stop := hosting(t, vfs.NewMem(), dir, nil)
	defer stop()
	if _, err := c.Log.End(t.Context(), "s"); err != nil {
		t.Error(err)
	}
}

// Errors that callers look at are the same on both sides.
func TestP22_ErrorsKeepWhatTheyAre(t *testing.T) {
	clock := &eventlog.ClockError{Shard: "s", Clock: 5, Newest: 9}
	trimmed := &eventlog.TrimmedError{Shard: "s", Trimmed: eventlog.Trimmed{Position: 7, Mark: 3, Appended: 2}}
	back := &eventlog.SetBackError{Shard: "s", Position: 4}
	for _, err := range append(slices.Clone(sentinels), clock, trimmed, back) {
		sent, err1 := pack(&reply[none]{Fault: faultOf(fmt.Errorf("more: %w", err))})
		var got reply[none]
		if err := errors.Join(err1, sent.unpack(&got)); err != nil {
			t.Fatal(err)
		}
		here := got.Fault.err()
		if here.Error() != "more: "+err.Error() {
			t.Errorf("%q became %q", err, here)
		}
		for _, s := range sentinels {
			if errors.Is(here, s) != (err == s) {
				t.Errorf("%v: is %v: %v", err, s, errors.Is(here, s))
			}
		}
	}
	var c *eventlog.ClockError
	var r *eventlog.TrimmedError
	var b *eventlog.SetBackError
	if !errors.As(faultOf(clock).err(), &c) || *c != *clock || !errors.As(faultOf(trimmed).err(), &r) || *r != *trimmed || !errors.As(faultOf(back).err(), &b) || *b != *back {
		t.Errorf("typed errors became %v, %v, %v", c, r, b)
	}
}

// Without a host, and with the socket of one that was killed, there is none. Another version is named.
func TestP22_WhoHosts(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoHost) {
		t.Errorf("an empty folder: %v", err)
	}
	ln, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(socketPath(dir)); err != nil {
		t.Fatal("the socket is not left behind: ", err)
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoHost) {
		t.Errorf("a socket that was left behind: %v", err)
	}
	c, stop := hosting(t, vfs.NewMem(), dir, nil)
	if c.Host.PID != os.Getpid() || c.Host.Command != "a test" {
		t.Errorf("the host is %+v", c.Host)
	}
	for path, mode := range map[string]os.FileMode{socketPath(dir): 0o600, filepath.Dir(socketPath(dir)): 0o700} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has the mode %v: %v", path, info.Mode(), err)
		}
	}
	stop()
	if _, err := os.Lstat(socketPath(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}

	h, err := New(dir, "another", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.info.Version = "0.0.1"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	var other *VersionError
	if _, err := Dial(t.Context(), dir); !errors.As(err, &other) || other.Host.Version != "0.0.1" {
		t.Errorf("another version: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whether a write took effect is not known if its answer is missing, and only then.
func TestP22_MissingAnswers(t *testing.T) {
	s := &side{gate: gate.New(), closed: eventlog.ErrClosed, unavailable: eventlog.ErrUnavailable, unknown: eventlog.ErrOutcomeUnknown}
	cut := errors.New("connection reset")
	for _, c := range []struct {
		err     error
		changes bool
		unknown bool
	}{{cut, true, true}, {cut, false, false}, {ErrNoHost, true, false}} {
		err := s.failed(t.Context(), c.err, c.changes)
		if !errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrOutcomeUnknown) != c.unknown {
			t.Errorf("%v of a call that changes something (%v) is %v", c.err, c.changes, err)
		}
	}
}

// When the host has ended, calls say so; of those that change something, only a repetition tells the outcome.
func TestP22_HostEnds(t *testing.T) {
	c, stop := hosting(t, vfs.NewMem(), t.TempDir(), nil)
	waiting := make(chan error, 1)
	go func() { waiting <- c.Log.Wait(t.Context(), eventlog.Ends{"s": 0}) }()
	loader, err := c.Store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.Put([]byte("k"), []byte("revision and more")); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-waiting; !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("Wait: %v", err)
	}
	if err := loader.Close(); !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Close of a loader: %v", err)
	}
	if _, err := c.Log.End(t.Context(), "s"); !errors.Is(err, eventlog.ErrUnavailable) || !errors.Is(err, ErrNoHost) {
		t.Errorf("End: %v", err)
	}
	if _, err := c.Store.Get(t.Context(), [][]byte{[]byte("k")}); !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	if err := errors.Join(c.Log.Close(), c.Store.Close()); err != nil {
		t.Error(err)
	}
}
