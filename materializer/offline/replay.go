package offline

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// role is a view of the service in one role: what is replayed for it.
type role struct {
	ref     *plan.ViewRef
	view    *kernel.View
	keys    []*vector.Vector // of the spine
	pass    []uint8          // the pass that each spine row is computed in; nil: one pass
	replay  *kernel.Replay   // of the current pass
	rows    []int            // of the spine, in the current pass; nil: all
	leftOut []leftOut        // of each feature
	failed  *failedRows      // of each feature
	nulls   int              // events without an entity

	withEvents int64 // rows of the files of whose entity an event is visible
}

// leftOut is the events that a feature leaves out because a filter or an argument
// failed on them, and the first few of them.
type leftOut struct {
	events int
	first  []kernel.Failure
}

func newRole(ref *plan.ViewRef, s *spine, p *partition) (*role, error) {
	view, err := kernel.NewView(ref.View)
	if err != nil {
		return nil, err
	}
	r := &role{ref: ref, view: view, keys: s.keys(ref)}
	r.failed = newFailedRows(p, len(ref.View.Features))
	return r, nil
}

// maxPasses bounds how often a history is read.
const maxPasses = 200

// divide gives every spine row a pass by the hash of its entity's key.
func (r *role) divide(rows, passes int) {
	if passes == 1 {
		return
	}
	r.pass = make([]uint8, rows)
	var key []byte
	for i := range r.pass {
		var ok bool
		if key, ok = entitykey.AppendRow(key[:0], r.keys, i); !ok {
			continue
		}
		h := fnv.New64a()
		h.Write(key)
		r.pass[i] = uint8(h.Sum64() % uint64(passes))
	}
}

// begin starts a pass: the replay gets its spine rows, in their order.
func (r *role) begin(pass int, at []plan.EventTime) {
	r.replay = kernel.NewReplay(r.view)
	if r.pass == nil {
		r.replay.AddSpine(r.keys, at)
		return
	}
	r.rows = r.rows[:0]
	for i, p := range r.pass {
		if int(p) == pass {
			r.rows = append(r.rows, i)
		}
	}
	b := &vector.Batch{Cols: r.keys, Fields: make([]plan.Field, len(r.keys))}
	r.replay.AddSpine(ingest.Take(nil, b, r.rows).Cols, pick(at, r.rows))
}

// settle keeps what the first pass learned of the events, which is the same in every one.
func (r *role) settle() {
	r.nulls = r.replay.NullKeys()
	r.leftOut = make([]leftOut, len(r.ref.View.Features))
	for i := range r.leftOut {
		l := &r.leftOut[i]
		l.events, l.first = r.replay.LeftOut(i)
	}
}

// sweep computes the replays of a pass with the given number of threads.
func sweep(ctx context.Context, roles []*role, threads int, progress func(done, total int64)) error {
	var shards []*kernel.Shard
	for _, r := range roles {
		// More shards than threads, so that a big entity does not keep the others waiting.
		s, err := r.replay.Shards(4 * threads)
		if err != nil {
			return fmt.Errorf("view %s: %w", r.ref.View.Name, err)
		}
		shards = append(shards, s...)
	}
	var mu sync.Mutex
	done := int64(0)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(threads)
	for _, s := range shards {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.Sweep()
			mu.Lock()
			defer mu.Unlock()
			done++
			progress(done, int64(len(shards)))
			return nil
		})
	}
	return g.Wait()
}

// featureStream yields the results of a role in the order of the spine.
type featureStream interface {
	// next returns the results of the next rows, at most n of them, valid until the
	// next call.
	next(n int) (*kernel.Features, error)
	close()
}

// replayStream pulls the results of a replay.
type replayStream struct {
	pull func() (*kernel.Features, error, bool)
	stop func()
}

var errStopped = errors.New("stopped")

func newReplayStream(r *kernel.Replay) *replayStream {
	pull, stop := iter.Pull2(func(yield func(*kernel.Features, error) bool) {
		err := r.Results(func(_ int, f *kernel.Features) error {
			if !yield(f, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(nil, err)
		}
	})
	return &replayStream{pull, stop}
}

func (s *replayStream) next(int) (*kernel.Features, error) {
	f, err, ok := s.pull()
	if !ok {
		return nil, errors.New("a replay has fewer results than the spine has rows")
	}
	return f, err
}

func (s *replayStream) close() { s.stop() }
