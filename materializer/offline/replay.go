package offline

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// role is a view of the service in one role.
type role struct {
	ref    *plan.ViewRef
	of     *replay
	view   int         // its number in the replay
	failed *failedRows // of each feature

	withEvents int64 // rows of the files whose entity has a visible event
}

// replay computes the views that read one source by the same keys of the source and of the
// spine, so that events are evaluated, looked up and kept once for all of them.
type replay struct {
	number  int
	source  *source
	tuple   int // of the spine
	views   []*plan.View
	kernel  *kernel.Replay
	blocks  *blocks
	tally   *kernel.Tally
	results *results

	sweepBytes int64 // memory of one thread for sweeping a part; 0: no limit
}

// fits reports whether the replay can compute a view.
func (r *replay) fits(v *plan.View, tuple int) bool {
	return r.source.plan == v.Source && r.tuple == tuple && slices.Equal(r.views[0].KeyColumns, v.KeyColumns)
}

// collect feeds the history of a source to its replays.
func (t *trainer) collect(ctx context.Context, s *source) error {
	collectors, err := t.newCollectors(s)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	done := int64(0)
	seen := make([]timeRange, t.Threads)
	s.counts, err = s.history.ReadParallel(ctx, t.Threads, func(worker int, at kernel.Place, ev *kernel.Events) error {
		for _, c := range collectors[worker] {
			if err := c.Add(at, ev); err != nil {
				return err
			}
		}
		seen[worker].add(ev.Time)
		mu.Lock()
		defer mu.Unlock()
		done += int64(ev.Batch.N)
		t.Progress(Progress{"history", done, s.rows})
		return nil
	})
	if err != nil {
		return err
	}
	for w, ofWorker := range collectors {
		s.seen.merge(seen[w])
		for i, c := range ofWorker {
			tally, err := c.Close()
			if err != nil {
				return err
			}
			if r := s.replays[i]; r.tally == nil {
				r.tally = tally
			} else {
				r.tally.Add(tally)
			}
		}
	}
	return nil
}

// newCollectors makes, for each worker, a collector of each replay of a source.
func (t *trainer) newCollectors(s *source) ([][]*kernel.Collector, error) {
	out := make([][]*kernel.Collector, t.Threads)
	for w := range out {
		for _, r := range s.replays {
			c, err := r.kernel.NewCollector(r.blocks.put)
			if err != nil {
				return nil, fmt.Errorf("view %s: %w", r.views[0].Name, err)
			}
			out[w] = append(out[w], c)
		}
	}
	return out, nil
}

// sweep computes the aggregates of all replays.
func (t *trainer) sweep(ctx context.Context) error {
	type job struct {
		replay *replay
		part   int
	}
	var jobs []job
	for _, r := range t.replays {
		for part := range r.kernel.Parts() {
			jobs = append(jobs, job{r, part})
		}
	}
	var mu sync.Mutex
	next := 0
	take := func() (job, bool) {
		mu.Lock()
		defer mu.Unlock()
		if next == len(jobs) {
			return job{}, false
		}
		t.Progress(Progress{"replay", int64(next), int64(len(jobs))})
		next++
		return jobs[next-1], true
	}
	g, ctx := errgroup.WithContext(ctx)
	for range t.Threads {
		g.Go(func() error {
			var of *replay
			var sweeper *kernel.Sweeper
			for ctx.Err() == nil {
				j, ok := take()
				if !ok {
					return nil
				}
				if j.replay != of {
					of, sweeper = j.replay, j.replay.kernel.NewSweeper()
				}
				if err := of.sweep(ctx, sweeper, j.part); err != nil {
					return fmt.Errorf("view %s: %w", of.views[0].Name, err)
				}
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	if err == nil {
		t.Progress(Progress{"replay", int64(len(jobs)), int64(len(jobs))})
	}
	return err
}

// sweep computes the aggregates of a part.
func (r *replay) sweep(ctx context.Context, s *kernel.Sweeper, part int) error {
	if most := r.sweepBytes / wholeShare; r.sweepBytes > 0 && (r.blocks.bytes(part) > most || r.resultBytes(part, r.kernel.PartRows(part)) > most) {
		return r.sweepStored(ctx, s, part)
	}
	events, err := r.blocks.take(part)
	if err != nil {
		return err
	}
	out, err := s.Sweep(part, events)
	if err != nil {
		return err
	}
	return r.results.put(part, out)
}

// leastStep is the least number of spine rows for which a part's events are read from the file.
const leastStep = 512

// sweepStored computes the aggregates of a part whose events do not fit into memory.
func (r *replay) sweepStored(ctx context.Context, s *kernel.Sweeper, part int) error {
	store := &storedBlocks{ctx: ctx, scratch: r.blocks.room.scratch}
	stored, err := r.kernel.StorePart(part, r.blocks.each(part), r.blocks.bytes(part), store, int(r.sweepBytes))
	if err != nil {
		return err
	}
	rows := r.kernel.PartRows(part)
	step := max(leastStep, int(r.sweepBytes/wholeShare/max(1, r.resultBytes(part, 64)))*64)
	for from := 0; from < rows; from += step {
		out, err := s.SweepStored(stored, from, min(from+step, rows))
		if err != nil {
			return err
		}
		if err := r.results.put(part, out); err != nil {
			return err
		}
	}
	return nil
}

// resultBytes is about the size of the results of so many rows of a part, if their texts are like those of its
// events.
func (r *replay) resultBytes(part, rows int) int64 {
	return int64(rows) * (int64(r.kernel.ResultBytes()) + r.blocks.meanText(part)*int64(r.kernel.ResultTexts()))
}
