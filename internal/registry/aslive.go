package registry

import (
	"bytes"
	"context"

	"github.com/unskew/unskew/internal/onlinestore"
)

// AsLive is the store as it will be once a build is live: to whoever asks it, g is the live generation of its view. Everything else is
// that of the store, so a build can be brought up to date with the log before it is promoted.
func AsLive(store onlinestore.Store, g Generation) onlinestore.Store {
	return &asLive{Store: store, key: liveKey(g.View), record: g.record()}
}

type asLive struct {
	onlinestore.Store
	key, record []byte
}

// Get implements onlinestore.Store.
func (s *asLive) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := s.Store.Get(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if bytes.Equal(key, s.key) {
			values[i] = bytes.Clone(s.record)
		}
	}
	return values, nil
}
