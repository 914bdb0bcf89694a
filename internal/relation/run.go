package relation

import (
	"context"
	"errors"
	"sync"
)

// inFlight is how many bytes the parts that are read at a time may take, about; a
// larger part is read alone.
const inFlight = 1 << 30

// run reads the parts of a scan with the given number of workers. The error is the one of
// the earliest part that fails: parts before it are still read to their end.
func run(ctx context.Context, s scan, workers int, f func(worker int, b *Batch) error) error {
	r := &runner{scan: s, f: f, failed: -1}
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
	scan scan
	f    func(worker int, b *Batch) error

	mu       sync.Mutex
	room     sync.Cond // waits for bytes
	bytes    int64     // of the parts being read
	begun    int       // parts that were handed out
	ended    bool      // there are no more
	failed   int       // the earliest part with an error; -1 for none
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
				return errOvertaken
			}
			return r.f(worker, b)
		})
		r.give(ctx, p, number, err)
	}
}

// errOvertaken ends a part behind one that failed.
var errOvertaken = errors.New("an earlier part failed")

// after reports whether a part before the given one has failed.
func (r *runner) after(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed >= 0 && r.failed < number
}

// take hands out the next part when there is room for it.
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
	// Parts are handed out in order, so the ones that hold the room come to their end.
	for r.bytes > 0 && r.bytes+p.bytes > inFlight {
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

// fail notes the error of a part, if no earlier one has failed. A cancelled part says
// nothing about the rows in it.
func (r *runner) fail(ctx context.Context, number int, err error) {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		r.canceled, r.ended = true, true
		return
	}
	if errors.Is(err, errOvertaken) {
		return
	}
	if r.failed < 0 || number < r.failed {
		r.failed, r.err = number, err
	}
}
