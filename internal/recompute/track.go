package recompute

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// track computes a view as of rows.
type track struct {
	replays []*replay             // of the chains; the first one is of all rows
	of      []int8                // by row: its chain; nil: the first
	at      []kernel.At           // by row: where its aggregates are in parts
	parts   []*kernel.PartResults // of all replays
}

// replay is a kernel.Replay of one chain.
type replay struct {
	kernel     *kernel.Replay
	chain      *chain // nil: events are seen at their own times
	rows       []int32
	spine      *kernel.Spine
	held       *held
	collectors []*kernel.Collector // by worker
	next       []kernel.Place      // by worker
	mu         sync.Mutex
	blocks     [][]*kernel.Block // by part
}

// held counts bytes besides those that rowBytes accounts for: of events, and of what stays when they are swept.
type held struct {
	bytes, kept atomic.Int64
	most        int64
}

// errNoRoom says that the rows and events of a pass do not fit into memory.
var errNoRoom = errors.New("the events do not fit into memory")

func (h *held) add(n int) error {
	if h.bytes.Add(int64(n)) > h.most {
		return errNoRoom
	}
	return nil
}

// keep is add for what stays.
func (h *held) keep(n int) error {
	h.kept.Add(int64(n))
	return h.add(n)
}

// swept drops what does not stay.
func (h *held) swept() { h.bytes.Store(h.kept.Load()) }

// parts is into how many parts a replay divides its entities.
const parts = 32

// openBytes bounds the open blocks of a collector.
const openBytes = 1 << 20

// newReplay makes a replay of a view over the rows of a spine.
func newReplay(v *plan.View, spine *kernel.Spine, tuple, workers int, h *held) (*replay, error) {
	r := &replay{spine: spine, held: h, blocks: make([][]*kernel.Block, parts), next: make([]kernel.Place, workers)}
	var err error
	if r.kernel, err = kernel.NewReplay(v); err != nil {
		return nil, err
	}
	r.kernel.LimitOpen(openBytes)
	r.kernel.Begin(spine, tuple, parts)
	for w := range workers {
		r.next[w].File = w
		c, err := r.kernel.NewCollector(r.keep)
		if err != nil {
			return nil, err
		}
		r.collectors = append(r.collectors, c)
	}
	return r, nil
}

func (r *replay) keep(part int, b *kernel.Block) error {
	r.mu.Lock()
	r.blocks[part] = append(r.blocks[part], b)
	r.mu.Unlock()
	if r.kernel.ResultTexts() == 0 {
		return r.held.add(b.Bytes())
	}
	// Texts of results are in the memory of the events.
	return errors.Join(r.held.add(b.Bytes()-b.TextBytes()), r.held.keep(b.TextBytes()))
}

func (r *replay) add(worker int, ev *kernel.Events) error {
	at := r.next[worker]
	r.next[worker].Row += int64(ev.Batch.N)
	return r.collectors[worker].Add(at, ev)
}

// addLogged adds events of records of the log, of entities by number.
func (r *replay) addLogged(worker int, b *logged, entities []int32) error {
	ev := *b.Events
	ev.Known = make([]plan.EventTime, ev.Batch.N)
	for i, e := range entities {
		ev.Known[i] = plan.Never
		if e > 0 && !b.inBuild(i) {
			ev.Known[i] = max(b.Visible(i), r.chain.since(e, b.shard, b.position(i)))
		}
	}
	return r.add(worker, &ev)
}

// sweep computes the aggregates.
func (t *track) sweep(ctx context.Context, threads int) error {
	t.parts = make([]*kernel.PartResults, len(t.replays)*parts)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range t.replays {
		for _, c := range r.collectors {
			if _, err := c.Close(); err != nil {
				return err
			}
		}
	}
	for range threads {
		g.Go(func() error { return caught(func() error { return t.sweepSome(ctx, &next) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	t.place()
	return nil
}

// sweepSome sweeps parts until none is left; next is the number of the next one.
func (t *track) sweepSome(ctx context.Context, next *atomic.Int64) (err error) {
	var of *replay
	var s *kernel.Sweeper
	for err == nil {
		n := int(next.Add(1)) - 1
		if n >= len(t.parts) || ctx.Err() != nil {
			return ctx.Err()
		}
		if r := t.replays[n/parts]; r != of {
			of, s = r, r.kernel.NewSweeper()
		}
		t.parts[n], err = s.Sweep(n%parts, of.blocks[n%parts])
		of.blocks[n%parts] = nil
	}
	return err
}

// place finds where the aggregates of each row are.
func (t *track) place() {
	t.at = make([]kernel.At, t.replays[0].spine.Rows())
	for c, r := range t.replays {
		next := make([]int32, parts)
		for i := range r.spine.Rows() {
			part := r.kernel.Part(i)
			at := kernel.At{Part: int32(c*parts + part), Row: next[part]}
			next[part]++
			if c == 0 {
				t.at[i] = at
			} else {
				t.at[r.rows[i]] = at
			}
		}
	}
}

// reader makes a reader of the features.
func (t *track) reader() (*kernel.Reader, error) { return t.replays[0].kernel.NewReader(0) }

// begin makes the replays of a role.
func (p *pass) begin(r *role) error {
	v, entity := r.ref.View, p.spine.Entity(r.number)
	var err error
	first, err := newReplay(v, p.spine, r.number, p.cfg.Threads, &p.held)
	if err != nil {
		return err
	}
	r.known.replays = []*replay{first}
	all, of := chains(entity, p.spine.Entities(r.number), p.spine.At(), r.positions, func(row int) bool { return r.why[row] == compared })
	r.compute.of = of
	for row, c := range of {
		if c < 0 {
			r.why[row] = manyOrders
		}
	}
	if len(all) == 0 {
		all = []*chain{{first: make([]int32, p.spine.Entities(r.number)+2)}}
	}
	for c, chain := range all {
		spine, tuple, rows := p.spine, r.number, []int32(nil)
		if c > 0 {
			spine, tuple, rows = p.spineOf(r, chain), 0, chain.rows
		}
		x, err := newReplay(v, spine, tuple, p.cfg.Threads, &p.held)
		if err != nil {
			return err
		}
		x.chain, x.rows = chain, rows
		r.compute.replays = append(r.compute.replays, x)
	}
	return nil
}

// spineOf is a spine of the rows of a chain.
func (p *pass) spineOf(r *role, c *chain) *kernel.Spine {
	s := kernel.NewSpine(1)
	fields := p.keyFields(r)
	for from := 0; from < len(c.rows); from += batchRows {
		rows := c.rows[from:min(from+batchRows, len(c.rows))]
		keys, at := vector.NewBatch(fields, len(rows)), make([]plan.EventTime, len(rows))
		for i, row := range rows {
			u := p.unitOf(int(row))
			for k, f := range fields {
				keys.Cols[k].Set(i, u.keys.Col(f.Name).Value(int(row)-u.first))
			}
			at[i] = p.spine.At()[row]
		}
		s.Add([][]*vector.Vector{keys.Cols}, at)
	}
	return s
}

// keyFields are the keys of the service that a role reads.
func (p *pass) keyFields(r *role) []plan.Field {
	var out []plan.Field
	for _, key := range r.ref.Keys {
		for _, f := range p.cfg.Service.Keys {
			if f.Name == key {
				out = append(out, f)
			}
		}
	}
	return out
}

// unitOf is the unit of a row.
func (p *pass) unitOf(row int) *rowsOf {
	lo, hi := 0, len(p.units)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); p.units[mid].first <= row {
			lo = mid
		} else {
			hi = mid
		}
	}
	return p.units[lo]
}
