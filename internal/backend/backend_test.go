package backend_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

func noon() plan.EventTime { return 1735732800000000 }

// fill appends an event and stores a state.
func fill(t *testing.T, b *backend.Backend) {
	t.Helper()
	got, err := b.Log.Append(t.Context(), "clicks", []eventlog.Entry{{ID: "a", Payload: []byte("x")}})
	if err != nil || got[0].Outcome != eventlog.Appended {
		t.Fatalf("append: %v, %v", got, err)
	}
	if _, err := b.Store.Swap(t.Context(), []onlinestore.Write{{Key: []byte("k"), Value: binary.BigEndian.AppendUint64(nil, 1)}}); err != nil {
		t.Fatal(err)
	}
}

// After Close, a scratch backend has left nothing in the temporary directory or on the server.
func TestScratch_LeavesNothingBehind(t *testing.T) {
	server := redistest.Start(t)
	conn := redisconn.Options{Addresses: []string{server.Address}}
	for name, c := range map[string]backend.Config{"embedded": {}, "redis": {Redis: &conn}} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			b, err := c.Scratch(t.Context(), noon)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, b)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("in the temporary folder: %v, %v", left, err)
			}
		})
	}
	client, err := redisconn.Dial(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if n, err := client.Do(context.Background(), client.B().Dbsize().Build()).AsInt64(); err != nil || n != 0 {
		t.Errorf("on the server: %d keys, %v", n, err)
	}
}

// A directory that is opened again has its records.
func TestOpen_FindsWhatWasThere(t *testing.T) {
	c := backend.Config{Dir: filepath.Join(t.TempDir(), "data")}
	for _, want := range []eventlog.Outcome{eventlog.Appended, eventlog.Duplicate} {
		b, err := c.Open(t.Context(), noon)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Log.Append(t.Context(), "clicks", []eventlog.Entry{{ID: "a", Payload: []byte("x")}})
		if err != nil || got[0].Outcome != want {
			t.Errorf("append: %v, %v, want %v", got, err, want)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Two backends of one kind share nothing.
func TestEach_OpensEmptyOnes(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for range 2 {
			b, err := open(t.Context(), noon)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, b)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
