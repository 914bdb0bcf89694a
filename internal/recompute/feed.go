package recompute

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// logged is events of records of one shard of a log, for a view. It is valid during a call.
type logged struct {
	*kernel.Events
	shard   int
	records []eventlog.Record // one for each row
	build   uint64            // up to this position, they are part of the build
}

func (b *logged) position(i int) uint64 { return uint64(b.records[i].Position) }

func (b *logged) inBuild(i int) bool { return b.position(i) <= b.build }

// reading is which roles read events, and what they do with them.
type reading struct {
	*pass
	build  func(r *role, worker int, ev *kernel.Events) error // those that the build began with
	logged func(r *role, worker int, b *logged) error         // those of the log that are not in the build
	known  func(r *role, worker int, ev *kernel.Events) error // those of the whole history
}

// run reads all events of some roles.
func (x *reading) run(ctx context.Context, roles []*role) error {
	for _, of := range x.grouped(roles, func(a, b *role) bool { return true }) {
		if err := x.read(ctx, of, Range{plan.Never, x.events.Ends[of[0].ref.View.Source.Name]}, x.known, func(r *role, why Reason) { r.unknown = why }); err != nil {
			return err
		}
	}
	built := slices.DeleteFunc(slices.Clone(roles), func(r *role) bool { return !r.built })
	for _, of := range x.grouped(built, func(a, b *role) bool {
		return a.build.Materialized == b.build.Materialized && a.build.Positions == b.build.Positions
	}) {
		from := Range{of[0].build.Materialized, of[0].build.Positions.Vector()}
		if from.To == plan.Always && from.Until.Sum() == 0 {
			continue // the applier began it, with an empty log
		}
		if err := x.read(ctx, of, from, x.build, func(r *role, why Reason) { r.unread = why }); err != nil {
			return err
		}
	}
	for _, of := range x.grouped(built, func(a, b *role) bool { return true }) {
		if err := x.readLog(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

// grouped groups roles whose views have one source and that are alike otherwise.
func (x *reading) grouped(roles []*role, alike func(a, b *role) bool) (groups [][]*role) {
	for _, r := range roles {
		g := slices.IndexFunc(groups, func(of []*role) bool { return of[0].ref.View.Source == r.ref.View.Source && alike(of[0], r) })
		if g < 0 {
			g = len(groups)
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], r)
	}
	return groups
}

// read reads a part of a history for some roles. If that cannot be read any more, unread hears why.
func (x *reading) read(ctx context.Context, roles []*role, of Range, f func(*role, int, *kernel.Events) error, unread func(*role, Reason)) error {
	var views []*plan.View
	for _, r := range roles {
		views = append(views, r.ref.View)
	}
	err := x.events.History(ctx, views, of, x.cfg.Threads, func(worker int, ev *kernel.Events) error {
		for _, r := range roles {
			if err := caught(func() error { return f(r, worker, ev) }); err != nil {
				return err
			}
		}
		x.report(Progress{"events", int64(ev.Batch.N)})
		return ctx.Err()
	})
	return x.gone(err, roles, unread)
}

// gone tells roles that their events cannot be read, if an error says so. It returns other errors.
func (x *reading) gone(err error, roles []*role, unread func(*role, Reason)) error {
	why := trimmed
	if none := (*eventlog.TrimmedError)(nil); errors.Is(err, ErrNoFiles) {
		why = noFiles
	} else if !errors.As(err, &none) {
		return err
	}
	for _, r := range roles {
		unread(r, why)
	}
	return nil
}

// page is records of a shard.
type page struct {
	shard   int
	records []eventlog.Record
}

// readLog reads the log of the source of some roles after the builds.
func (x *reading) readLog(ctx context.Context, roles []*role) error {
	src := roles[0].ref.View.Source
	ends := x.events.Ends[src.Name]
	if len(ends) == 0 {
		return nil
	}
	from := roles[0].build.Positions.Vector()
	for _, r := range roles[1:] {
		from = logpos.Min(from, r.build.Positions.Vector())
	}
	pages := make(chan page)
	workers, ctx := errgroup.WithContext(ctx)
	reads, reading := errgroup.WithContext(ctx)
	reads.SetLimit(x.cfg.Threads)
	for w := range x.cfg.Threads {
		in, err := ingest.NewSource(src)
		if err != nil {
			return err
		}
		workers.Go(func() error { return caught(func() error { return x.decode(ctx, in, w, roles, pages) }) })
	}
	shards := eventlog.Shards{Source: src.Name, N: len(ends)}
	for k, end := range ends {
		reads.Go(func() error {
			return x.readShard(reading, shards, k, eventlog.Position(from.At(k)), eventlog.Position(end), pages)
		})
	}
	err := reads.Wait()
	close(pages)
	if failed := workers.Wait(); failed != nil {
		err = failed
	}
	return x.gone(err, roles, func(r *role, why Reason) { r.unread = why })
}

func (x *reading) readShard(ctx context.Context, of eventlog.Shards, k int, after, end eventlog.Position, to chan<- page) error {
	return of.EachPage(ctx, x.events.Log, k, after, end, func(records []eventlog.Record) error {
		select {
		case to <- page{k, records}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// decode hands the events of pages to roles.
func (x *reading) decode(ctx context.Context, in *ingest.Source, worker int, roles []*role, from <-chan page) error {
	for p := range from {
		ev, kept, err := in.EventsOf(p.records)
		if err != nil {
			return err
		}
		for _, r := range roles {
			b := &logged{Events: ev, shard: p.shard, records: kept, build: r.build.Positions.Vector().At(p.shard)}
			if err := x.logged(r, worker, b); err != nil {
				return err
			}
		}
		x.report(Progress{"events", int64(ev.Batch.N)})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// entities are the numbers of the entities of events.
func (p *pass) entities(r *role, ev *kernel.Events) []int32 {
	keys := make([]*vector.Vector, len(r.ref.View.KeyColumns))
	for i, name := range r.ref.View.KeyColumns {
		keys[i] = ev.Batch.Col(name)
	}
	return p.spine.Find(make([]int32, 0, ev.Batch.N), r.number, keys, ev.Batch.N)
}

// compute reads all events and computes all rows.
func (p *pass) compute(ctx context.Context) error {
	for _, r := range p.roles {
		if err := p.begin(r); err != nil {
			return fmt.Errorf("view %s: %w", r.ref.View.Name, err)
		}
	}
	x := &reading{
		pass:  p,
		known: func(r *role, worker int, ev *kernel.Events) error { return r.known.replays[0].add(worker, ev) },
		build: func(r *role, worker int, ev *kernel.Events) error {
			for _, c := range r.compute.replays {
				if err := c.add(worker, ev); err != nil {
					return err
				}
			}
			return nil
		},
		logged: func(r *role, worker int, b *logged) error {
			of := p.entities(r, b.Events)
			for _, c := range r.compute.replays {
				if err := c.addLogged(worker, b, of); err != nil {
					return err
				}
			}
			return nil
		},
	}
	if err := x.run(ctx, p.roles); err != nil {
		return err
	}
	for _, r := range p.roles {
		for _, t := range []*track{&r.known, &r.compute} {
			if err := t.sweep(ctx, p.cfg.Threads); err != nil {
				return fmt.Errorf("view %s: %w", r.ref.View.Name, err)
			}
		}
	}
	p.held.swept()
	return nil
}
