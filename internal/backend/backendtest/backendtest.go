// Package backendtest opens logs and stores of each kind for tests.
package backendtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

// Each runs a test with each kind of log and store. Every call of open returns empty ones, which
// the test closes.
func Each(t *testing.T, test func(t *testing.T, open backend.Opener)) {
	t.Run("embedded", func(t *testing.T) { test(t, backend.InMemory) })
	t.Run("redis", func(t *testing.T) { test(t, OnRedis(redistest.Start(t))) })
}

// Any returns a function with which each case of a random test draws the kind of log and store
// that it uses.
func Any(t *testing.T) func(*rapid.T) backend.Opener {
	openers := map[string]backend.Opener{"embedded": backend.InMemory, "redis": OnRedis(redistest.Start(t))}
	return func(t *rapid.T) backend.Opener {
		return openers[rapid.SampledFrom([]string{"embedded", "redis"}).Draw(t, "log and store")]
	}
}

// OnRedis opens logs and stores on a server, each in a namespace of its own.
func OnRedis(server *redistest.Server) backend.Opener {
	var opened atomic.Int64
	return func(ctx context.Context, clock eventlog.Clock) (*backend.Backend, error) {
		conn := redisconn.Options{Addresses: []string{server.Address}, Namespace: fmt.Sprintf("test-%d", opened.Add(1))}
		return backend.Config{Redis: &conn}.Open(ctx, clock)
	}
}
