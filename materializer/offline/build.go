package offline

import (
	"cmp"
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
)

// build is a running backfill: pass p of parts builds the states of the entities
// whose hash is p modulo parts. Whenever too many states are in memory, the first pass
// doubles parts and drops the states that belong to later passes.
//
// Several workers read the history and evaluate what they read. The entities are divided among
// stripes, more of them than workers, and a worker adds its rows stripe by stripe. States do not
// depend on the order in which they get their events.
type build struct {
	*Backfill
	result  *BackfillResult
	loader  onlinestore.Loader
	seed    maphash.Seed
	now     plan.EventTime
	workers []*buildWorker
	stripes []*stripe

	dividing sync.RWMutex // held for reading while rows are added, for writing while parts is doubled
	parts    uint64       // a power of two
	states   atomic.Int64 // in memory
	progress sync.Mutex
	putting  sync.Mutex // guards loader and entities
	seeing   sync.Mutex // guards seen
	entities []uint64   // hashes of those that have a state
}

// stripe is the states of some of the entities of a pass.
type stripe struct {
	mu      sync.Mutex
	kernel  *kernel.View
	states  map[string]*buildState
	touched []*buildState // scratch
}

// buildState is a state being built and the rows of its entity in the batch at hand.
type buildState struct {
	*kernel.State
	rows    []int32
	applied int64
}

// buildWorker evaluates batches.
type buildWorker struct {
	kernel    *kernel.View
	keys      []*vector.Vector
	key       []byte    // the encoded keys of the rows of a batch
	ends      []int     // where each of them ends in key
	rows      [][]int32 // by stripe: rows of the batch
	events    int64     // of the history, counted in the first pass
	nullKeys  int64     // counted in the first pass
	rowErrors []int     // by slot, counted in the first pass
}

// stripesPerWorker is how many stripes there are for each worker, so that workers seldom wait for each other.
const stripesPerWorker = 4

func (b *Backfill) load(ctx context.Context, r *BackfillResult) error {
	w := &build{Backfill: b, result: r, parts: 1, seed: maphash.MakeSeed(), now: b.Clock()}
	if err := w.makeWorkers(); err != nil {
		return err
	}
	var err error
	if w.loader, err = b.Store.Load(ctx); err != nil {
		return err
	}
	for part := uint64(0); part < w.parts && err == nil; part++ {
		err = w.pass(ctx, part)
	}
	if err == nil {
		err = registry.LoadIndex(w.loader, &r.Generation, w.entities)
	}
	if err == nil && r.SetAside > 0 {
		err = w.loader.Put(r.Generation.LettersLoaded())
	}
	if closeErr := w.loader.Close(); err == nil {
		err = closeErr
	}
	w.addCounts()
	return err
}

func (w *build) makeWorkers() error {
	threads := w.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	for range threads {
		k, err := kernel.NewView(w.View)
		if err != nil {
			return err
		}
		w.workers = append(w.workers, &buildWorker{kernel: k, rowErrors: make([]int, len(w.View.Slots))})
	}
	for range threads * stripesPerWorker {
		k, err := kernel.NewView(w.View)
		if err != nil {
			return err
		}
		w.stripes = append(w.stripes, &stripe{kernel: k})
	}
	for _, o := range w.workers {
		o.rows = make([][]int32, len(w.stripes))
	}
	return nil
}

// addCounts adds what the workers counted to the result.
func (w *build) addCounts() {
	r := w.result
	r.Passes, r.RowErrors = int(w.parts), make([]int, len(w.View.Slots))
	for _, o := range w.workers {
		r.Events += o.events
		r.NullKeys += o.nullKeys
		for i, n := range o.rowErrors {
			r.RowErrors[i] += n
		}
	}
}

func (w *build) pass(ctx context.Context, part uint64) error {
	w.states.Store(0)
	for _, s := range w.stripes {
		s.states = map[string]*buildState{}
	}
	err := w.History(ctx, w.result.Generation.Positions.Vector(), len(w.workers), func(worker int, ev *kernel.Events) error {
		events := w.add(worker, ev, part)
		if part == 0 {
			events -= w.divide()
		}
		if w.Progress != nil {
			w.progress.Lock()
			defer w.progress.Unlock()
			w.Progress(events)
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	return w.write(ctx)
}

// add applies one batch of events to the states of the pass, and returns how many of them no other pass counts.
func (w *build) add(worker int, ev *kernel.Events, part uint64) (events int64) {
	o := w.workers[worker]
	rows := o.kernel.Eval(ev)
	if part == 0 {
		o.count(ev, rows)
	}
	w.dividing.RLock()
	defer w.dividing.RUnlock()
	events = o.assign(w, ev, part)
	for i := range w.stripes {
		n := (i + worker*stripesPerWorker) % len(w.stripes) // each begins at another one
		if len(o.rows[n]) > 0 {
			w.states.Add(w.stripes[n].add(o, rows, ev, o.rows[n], w.now))
		}
	}
	return events
}

func (o *buildWorker) count(ev *kernel.Events, rows *kernel.Rows) {
	o.events += int64(ev.Batch.N - ev.Filling.Count())
	for i := range o.rowErrors {
		o.rowErrors[i] += rows.Errors(i)
	}
}

// assign divides the rows of a batch whose entities belong to the pass among the stripes, and counts their events. Those that
// belong to no state count in the first pass.
func (o *buildWorker) assign(w *build, ev *kernel.Events, part uint64) (events int64) {
	o.keys = o.kernel.KeyColumns(ev, o.keys)
	o.key, o.ends = o.key[:0], o.ends[:0]
	for n := range o.rows {
		o.rows[n] = o.rows[n][:0]
	}
	for i := range ev.Batch.N {
		begin := len(o.key)
		var ok bool
		if o.key, ok = entitykey.AppendRow(o.key, o.keys, i); !ok {
			if part == 0 && !ev.Fills(i) {
				o.nullKeys++
				events++
			}
			o.key = o.key[:begin]
			o.ends = append(o.ends, begin)
			continue
		}
		h := maphash.Bytes(w.seed, o.key[begin:])
		mine := h%w.parts == part
		if w.takes(o.key[begin:], part) {
			if mine {
				n := (h >> 32) % uint64(len(w.stripes))
				o.rows[n] = append(o.rows[n], int32(i))
			}
		} else {
			mine = part == 0
		}
		if mine && !ev.Fills(i) {
			events++
		}
		o.ends = append(o.ends, len(o.key))
	}
	return events
}

// takes reports whether the state of an entity is built. In the first pass it must be asked about every entity.
func (w *build) takes(entity []byte, part uint64) bool {
	if w.only == nil {
		return true
	}
	hash := registry.EntityHash(entity)
	if w.seen != nil && part == 0 {
		w.seeing.Lock()
		w.seen[hash] = true
		w.seeing.Unlock()
	}
	return w.only(hash)
}

// keyOf is the encoded key of a row, valid until the next batch.
func (o *buildWorker) keyOf(row int32) []byte {
	begin := 0
	if row > 0 {
		begin = o.ends[row-1]
	}
	return o.key[begin:o.ends[row]]
}

// add applies rows of a worker's batch and returns the number of new states.
func (s *stripe) add(o *buildWorker, rows *kernel.Rows, ev *kernel.Events, of []int32, now plan.EventTime) (made int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched = s.touched[:0]
	for _, row := range of {
		key := o.keyOf(row)
		state := s.states[string(key)]
		if state == nil {
			state = &buildState{State: s.kernel.NewState()}
			s.states[string(key)] = state
			made++
		}
		if len(state.rows) == 0 {
			s.touched = append(s.touched, state)
		}
		state.rows = append(state.rows, row)
		if !ev.Fills(int(row)) {
			state.applied++
		}
	}
	for _, state := range s.touched {
		state.Apply(rows, state.rows, now)
		state.rows = state.rows[:0]
	}
	return made
}

// divide leaves half of the entities to later passes until few enough are in memory, and returns how many events their states had.
func (w *build) divide() (events int64) {
	most := int64(cmp.Or(w.Entities, 50_000))
	if w.states.Load() <= most {
		return 0
	}
	w.dividing.Lock()
	defer w.dividing.Unlock()
	for w.states.Load() > most {
		w.parts *= 2
		for _, s := range w.stripes {
			for key, state := range s.states {
				if maphash.String(w.seed, key)%w.parts != 0 {
					events += state.applied
					delete(s.states, key)
					w.states.Add(-1)
				}
			}
		}
	}
	return events
}

// write puts the states of the pass into the store.
func (w *build) write(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range w.workers {
		g.Go(func() error {
			p := pairs{build: w}
			for n := next.Add(1) - 1; n < int64(len(w.stripes)); n = next.Add(1) - 1 {
				if err := p.addStripe(ctx, w.stripes[n]); err != nil {
					return err
				}
			}
			return p.flush()
		})
	}
	return g.Wait()
}

// pairsBytes is how many bytes of keys and values a worker encodes until it hands them to the store.
const pairsBytes = 256 << 10

// pairs are encoded states that the store has not got yet.
type pairs struct {
	*build
	bytes    []byte
	ends     []int // of keys and values in bytes, in turns
	entities []uint64
	part     BackfillResult
}

func (p *pairs) addStripe(ctx context.Context, s *stripe) error {
	for key, state := range s.states {
		generation := &p.result.Generation
		p.end(append(p.bytes, generation.StateKey([]byte(key))...))
		begin := len(p.bytes)
		value, reason := state.Encode(p.bytes, p.stateBytes())
		p.end(value)
		p.part.Bytes += int64(len(value) - begin)
		p.part.Entities++
		p.entities = append(p.entities, registry.EntityHash([]byte(key)))
		p.part.Applied += state.applied
		if reason != "" {
			l := registry.DeadLetter{At: p.now, Entity: []byte(key), Reason: reason}
			p.end(append(p.bytes, generation.LetterKey(l)...))
			p.end(append(p.bytes, l.Value()...))
			p.part.SetAside++
		}
		if len(p.bytes) >= pairsBytes {
			if err := p.flush(); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end ends a key or value, which is what bytes has more than before.
func (p *pairs) end(bytes []byte) {
	p.bytes = bytes
	p.ends = append(p.ends, len(bytes))
}

// flush hands the pairs to the store and adds what they count to the result.
func (p *pairs) flush() error {
	p.putting.Lock()
	defer p.putting.Unlock()
	begin := 0
	for i := 0; i < len(p.ends); i += 2 {
		if err := p.loader.Put(p.bytes[begin:p.ends[i]], p.bytes[p.ends[i]:p.ends[i+1]]); err != nil {
			return err
		}
		begin = p.ends[i+1]
	}
	r := p.result
	r.Entities, r.Applied, r.Bytes, r.SetAside = r.Entities+p.part.Entities, r.Applied+p.part.Applied, r.Bytes+p.part.Bytes, r.SetAside+p.part.SetAside
	p.build.entities = append(p.build.entities, p.entities...)
	p.bytes, p.ends, p.entities, p.part = p.bytes[:0], p.ends[:0], p.entities[:0], BackfillResult{}
	return nil
}
