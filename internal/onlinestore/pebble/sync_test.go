package pebble

import (
	"context"
	"encoding/binary"
	"path"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/unskew/unskew/internal/onlinestore"
)

var ctx = context.Background()

// TestO7_WritesReturnWhenDurable holds up the disk while it syncs what is written:
// no call may return before. Pebble treats batches above half a memtable apart.
func TestO7_WritesReturnWhenDurable(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(*Store) error
	}{
		{"small Swap", func(s *Store) error { return create(s, "small", 10) }},
		{"large Swap", func(s *Store) error { return create(s, "large", memTableBytes/2) }},
		{"DeletePrefix", func(s *Store) error { return s.DeletePrefix(ctx, []byte("old")) }},
		{"Load", func(s *Store) error {
			loader, err := s.Load(ctx)
			if err != nil {
				return err
			}
			return loader.Close()
		}},
	} {
		t.Run(c.name, func(t *testing.T) { returnsAfterSync(t, c.call) })
	}
}

func create(s *Store, key string, size int) error {
	value := append(binary.BigEndian.AppendUint64(nil, 1), make([]byte, size)...)
	_, err := s.Swap(ctx, []onlinestore.Write{{Key: []byte(key), Value: value}})
	return err
}

func returnsAfterSync(t *testing.T, call func(*Store) error) {
	var held, let atomic.Bool
	syncing, release := make(chan struct{}, 100), make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		isSync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
		if isSync && path.Ext(op.Path) == ".log" && held.Load() {
			syncing <- struct{}{}
			<-release
		}
		return nil
	}))
	s, err := Open("store", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := create(s, "old", 10); err != nil {
		t.Fatal(err)
	}
	held.Store(true)
	returned := make(chan error, 1)
	go func() {
		err := call(s)
		if !let.Load() {
			t.Error("returned before the sync")
		}
		returned <- err
	}()
	<-syncing
	for range 10000 { // gives a call that does not wait the time to return
		runtime.Gosched()
	}
	let.Store(true)
	held.Store(false)
	close(release)
	if err := <-returned; err != nil {
		t.Error(err)
	}
}
