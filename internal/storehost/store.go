package storehost

import (
	"bytes"
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/onlinestore"
)

// remoteStore is the store of a host.
type remoteStore struct{ side }

var _ onlinestore.Batching = (*remoteStore)(nil)

// PrefersBatches implements onlinestore.Batching.
func (*remoteStore) PrefersBatches() {}

func (s *remoteStore) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := call[[][]byte, [][]byte](ctx, &s.side, "/store/get", false, keys)
	return absent(values), err
}

func (s *remoteStore) Swap(ctx context.Context, w []onlinestore.Write) ([]bool, error) {
	if err := onlinestore.CheckWrites(w); err != nil {
		return nil, err
	}
	done := make([]bool, 0, len(w))
	for _, part := range parts(withoutMarks(w), swapBytes) {
		swapped, err := call[[]onlinestore.Write, []bool](ctx, &s.side, "/store/swap", true, part)
		if err != nil {
			return nil, err
		}
		done = append(done, swapped...)
	}
	return done, nil
}

// swapBytes is the size from which writes are sent in parts. They are independent of each other, and one of them always fits in a message.
const swapBytes = maxMessage / 4

// parts divides writes into parts of at most so many bytes, or of one write.
func parts(of []onlinestore.Write, bytes int) (parts [][]onlinestore.Write) {
	begin, size := 0, 0
	for i, w := range of {
		n := pairBytes(w.Key, w.Value)
		if i > begin && size+n > bytes {
			parts = append(parts, of[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	if begin < len(of) {
		parts = append(parts, of[begin:])
	}
	return parts
}

func (s *remoteStore) DeletePrefix(ctx context.Context, prefix []byte) error {
	if err := onlinestore.CheckPrefix(prefix); err != nil {
		return err
	}
	_, err := call[[]byte, none](ctx, &s.side, "/store/deleteprefix", true, prefix)
	return err
}

func (s *remoteStore) Scan(ctx context.Context, prefix []byte, f func(key, value []byte) error) error {
	if err := onlinestore.CheckPrefix(prefix); err != nil {
		return err
	}
	return each(ctx, &s.side, "/store/scan", prefix, func(pairs []pair) error {
		for _, p := range pairs {
			if err := f(p.Key, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Load implements onlinestore.Store. Its loader ends with ctx.
func (s *remoteStore) Load(ctx context.Context) (onlinestore.Loader, error) {
	if _, leave, err := s.enter(ctx); err != nil {
		return nil, err
	} else {
		leave()
	}
	out := s.client("/store/load").CallClientStream(ctx)
	return &remoteLoader{s: s, ctx: ctx, out: out, pairs: gather[pair]{send: out.Send}}, nil
}

// remoteLoader is a bulk load into the store of a host.
type remoteLoader struct {
	s     *remoteStore
	ctx   context.Context // of Load
	out   *connect.ClientStreamForClient[frame, frame]
	pairs gather[pair]
	ended error // why it takes no more pairs; nil: it does
}

var errLoaded = errors.New("the loader is closed")

func (l *remoteLoader) Put(key, value []byte) error {
	if err := onlinestore.CheckPair(key, value); err != nil {
		return err
	}
	return l.send(func() error {
		return l.pairs.add(pair{bytes.Clone(key), bytes.Clone(value)}, pairBytes(key, value))
	})
}

// Close implements onlinestore.Loader.
func (l *remoteLoader) Close() error {
	err := l.send(func() error { return l.pairs.end(nil) })
	if err != nil {
		return err
	}
	l.ended = errLoaded
	return l.answer()
}

// send sends something, unless the load has ended. If that fails, the answer says why.
func (l *remoteLoader) send(f func() error) error {
	_, leave, err := l.s.enter(l.ctx)
	if err != nil {
		return err
	}
	defer leave()
	if l.ended != nil {
		return l.ended
	}
	if err := f(); err != nil {
		if l.ended = l.answer(); l.ended == nil {
			l.ended = l.s.failed(l.ctx, err, true)
		}
	}
	return l.ended
}

// answer ends the stream and returns the error of the host.
func (l *remoteLoader) answer() error {
	answer, err := l.out.CloseAndReceive()
	if err != nil {
		return l.s.failed(l.ctx, err, true)
	}
	var r reply[none]
	if err := answer.Msg.unpack(&r); err != nil {
		return l.s.failed(l.ctx, err, true)
	}
	return r.Fault.err()
}
