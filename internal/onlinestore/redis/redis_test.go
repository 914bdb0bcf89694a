package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/onlinestore/storetest"
	"github.com/unskew/unskew/internal/redistest"
)

func openTest(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// conformance gives each test a namespace of its own on the server.
func conformance(t *testing.T, server *redistest.Server, crash func(*testing.T)) {
	storages := 0
	storetest.Run(t, func(*testing.T) storetest.Storage {
		storages++
		o := Options{Addresses: []string{server.Address}, Namespace: fmt.Sprintf("storage-%d", storages)}
		return storetest.Storage{
			Open:   func(t *testing.T) onlinestore.Store { return openTest(t, o) },
			Crash:  crash,
			Shared: true,
			// A crash restarts the server under all storages.
			Isolated: crash == nil,
		}
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Durable...)
	conformance(t, server, func(t *testing.T) { server.Restart(t) })
}

// A store that watches is as good a store.
func TestConformanceWatched(t *testing.T) {
	server, storages := redistest.Start(t), 0
	storetest.Run(t, func(*testing.T) storetest.Storage {
		storages++
		o := Options{Addresses: []string{server.Address}, Namespace: fmt.Sprintf("watched-%d", storages)}
		return storetest.Storage{
			Open: func(t *testing.T) onlinestore.Store {
				w, err := openTest(t, o).Watch(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				return w
			},
			Shared: true, Isolated: true,
		}
	})
}

func TestConformanceInCluster(t *testing.T) {
	t.Parallel()
	conformance(t, redistest.StartCluster(t, 2)[0], nil)
}
