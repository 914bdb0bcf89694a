package relation

import (
	"context"
	"errors"
	"sync"
)

// mostInFlight limits the estimated memory of the parts that are read concurrently, unless
// Options do.
const mostInFlight = 1 << 30

// run reads the parts of a scan with the given number of workers, as many at once as are estimated
// to take inFlight bytes; a larger part is read alone. It returns the error of the earliest failing part:
// parts before it are still read to the end.
func run(ctx context.Context, s scan, workers int, inFlight int64, f func(worker int, b *Batch) error) error {
	r := &runner{scan: s, f: f, inFlight: inFlight, failed: -1}
	r.room.L = &r.mu
	if workers <= 1 {
		r.work(ctx, 0)
	} else {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { r.work(ctx, w) })
		}
		wg.Wait()
	}
	err := r.err
	if ctx.Err() != nil && r.canceled {
		err = ctx.Err()
	}
	if closed := s.close(); closed != nil {
		return errors.Join(err, closed)
	}
	return err
}

type runner struct {
	scan     scan
	f        func(worker int, b *Batch) error
	inFlight int64

	mu       sync.Mutex
	room     sync.Cond // waits until bytes allows another part
	bytes    int64     // of the parts being read
	begun    int       // number of parts handed out
	ended    bool      // the scan has no more parts
	failed   int       // earliest part with an error; -1: none
	err      error     // its error
	canceled bool
}

func (r *runner) work(ctx context.Context, worker int) {
	for {
		p, number, ok := r.take(ctx)
		if !ok {
			return
		}
		err := p.read(func(b *Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.after(number) {
				return errSuperseded
			}
			return r.f(worker, b)
		})
		r.give(ctx, p, number, err)
	}
}

// errSuperseded ends a part that comes after a failed one.
var errSuperseded = errors.New("an earlier part failed")

// after reports whether a part before the given one has failed.
func (r *runner) after(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed >= 0 && r.failed < number
}

// take returns the next part once the memory limit allows it.
func (r *runner) take(ctx context.Context) (p part, number int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.failed >= 0 {
		return part{}, 0, false
	}
	if ctx.Err() != nil {
		r.ended, r.canceled = true, true
		return part{}, 0, false
	}
	number = r.begun
	p, ok, err := r.scan.next(ctx)
	r.begun++
	if err != nil {
		r.fail(ctx, number, err)
		return part{}, 0, false
	}
	if !ok {
		r.ended = true
		return part{}, 0, false
	}
	// Parts are handed out in order, so those being read finish without waiting for this
	// one.
	for r.bytes > 0 && r.bytes+p.bytes > r.inFlight {
		r.room.Wait()
	}
	r.bytes += p.bytes
	return p, number, true
}

func (r *runner) give(ctx context.Context, p part, number int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= p.bytes
	r.room.Broadcast()
	if err != nil {
		r.fail(ctx, number, err)
	}
}

// fail records the error of a part, unless an earlier part has failed. A cancelled part is
// ignored: its error is not about its rows.
func (r *runner) fail(ctx context.Context, number int, err error) {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		r.canceled, r.ended = true, true
		return
	}
	if errors.Is(err, errSuperseded) {
		return
	}
	if r.failed < 0 || number < r.failed {
		r.failed, r.err = number, err
	}
}
