package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/onlinestore"
)

const (
	prefix    = 'v'
	format    = 1
	valueLen  = 8 + 1 + 8 + 8
	suffixLen = 8 + 8 // of a key: From, the writer

	// keep is how long runs are kept: training sets of a year, and some time to make them.
	keep = 400 * plan.Day
	// DefaultEvery is how often a Recorder stores what it has observed.
	DefaultEvery = time.Minute
)

// keys returns the prefix of the keys of a source's runs, of one view if view is not empty. docs/formats/state.md describes them.
func keys(source, view string, kind Kind) []byte {
	b := append([]byte{prefix}, byte(kind))
	b = append(binary.AppendUvarint(b, uint64(len(source))), source...)
	if view != "" {
		b = append(binary.AppendUvarint(b, uint64(len(view))), view...)
	}
	return b
}

// runKey is the key of a run that begins at a time.
func runKey(of []byte, from plan.EventTime, writer uint64) []byte {
	b := binary.BigEndian.AppendUint64(slices.Clip(of), uint64(from))
	return binary.BigEndian.AppendUint64(b, writer)
}

func value(revision uint64, r Run) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, revision), format)
	b = binary.BigEndian.AppendUint64(b, uint64(r.To))
	return binary.BigEndian.AppendUint64(b, uint64(r.Lag))
}

// decode decodes the run of a view; rest is its key without the kind and the source.
func decode(rest, value []byte) (view string, r Run, err error) {
	n, used := binary.Uvarint(rest)
	if used <= 0 || n > uint64(len(rest)-used) || uint64(len(rest)-used)-n != suffixLen || len(value) != valueLen || value[8] != format {
		return "", Run{}, errors.New("ledger: a run in the store is damaged or of another format; remove the keys that begin with v if training sets need not know when events became visible")
	}
	rest = rest[used:]
	r.From = plan.EventTime(binary.BigEndian.Uint64(rest[n:]))
	r.To = plan.EventTime(binary.BigEndian.Uint64(value[9:]))
	r.Lag = plan.Micros(binary.BigEndian.Uint64(value[17:]))
	return string(rest[:n]), r, nil
}

// Views are the ledgers of the views of a source, by the name of the view.
type Views struct {
	Log, Files map[string]*Times
}

// Read reads the ledgers of a source.
func Read(ctx context.Context, store onlinestore.Store, source string) (*Views, error) {
	read := func(kind Kind) (map[string]*Times, error) {
		runs := map[string][]Run{}
		of := keys(source, "", kind)
		err := store.Scan(ctx, of, func(key, value []byte) error {
			view, r, err := decode(key[len(of):], value)
			if err == nil {
				runs[view] = append(runs[view], r)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
		times := map[string]*Times{}
		for view, r := range runs {
			times[view] = NewTimes(kind, r)
		}
		return times, nil
	}
	log, err := read(Log)
	if err != nil {
		return nil, err
	}
	files, err := read(Files)
	return &Views{log, files}, err
}

// Of is what is recorded for the given views of the source; what is recorded for none of them, as
// for views that have not been served yet, is taken from all other ones. The result is nil if
// nothing is recorded.
func (v *Views) Of(views []string) *Source {
	choose := func(from map[string]*Times) (out []*Times) {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			if slices.Contains(views, name) {
				out = append(out, from[name])
			}
		}
		if out != nil {
			return out
		}
		for _, name := range slices.Sorted(maps.Keys(from)) {
			out = append(out, from[name])
		}
		return out
	}
	s := &Source{Log: choose(v.Log), Files: choose(v.Files)}
	if len(s.Log)+len(s.Files) == 0 {
		return nil
	}
	return s
}

// Built records that a build of a view that has the rows of files that are visible before
// materialized became live at the given time.
func Built(ctx context.Context, store onlinestore.Store, view *plan.View, at, materialized plan.EventTime) error {
	key := runKey(keys(view.Source.Name, view.Name, Files), at, rand.Uint64())
	_, err := store.Swap(ctx, []onlinestore.Write{{Key: key, Expect: onlinestore.Absent, Value: value(1, Run{at, at, plan.Micros(at - materialized)})}})
	if err != nil {
		return fmt.Errorf("record when view %s was materialized: %w", view.Name, err)
	}
	return nil
}

// Recorder records ledgers of logs. Its methods may be called concurrently.
type Recorder struct {
	store  onlinestore.Store
	writer uint64 // other servers record the same views

	mu     sync.Mutex
	tracks map[string]*track // by the prefix of the keys of their runs

	storing   sync.Mutex
	waiting   map[string][]Run  // of tracks: do not grow any more, and are not stored
	revisions map[string]uint64 // of stored runs that may change, by key
}

// NewRecorder makes a recorder that has observed nothing.
func NewRecorder(store onlinestore.Store) *Recorder {
	return &Recorder{store: store, writer: rand.Uint64(), tracks: map[string]*track{}, waiting: map[string][]Run{}, revisions: map[string]uint64{}}
}

// Observe adds that states of a view which are read at the given time, or later, have every record
// that the log stored before complete.
func (r *Recorder) Observe(view *plan.View, at, complete plan.EventTime) {
	of := string(keys(view.Source.Name, view.Name, Log))
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tracks[of]
	if t == nil {
		t = &track{at: plan.Always}
		r.tracks[of] = t
	}
	t.observe(at, complete)
}

// Run stores what is observed every so often, until ctx ends, which is not an error. It reports
// other errors; what could not be stored is stored the next time.
func (r *Recorder) Run(ctx context.Context, every time.Duration, now func() plan.EventTime, report func(error)) error {
	again := time.NewTicker(every)
	defer again.Stop()
	forgotten := plan.Always
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
		err := r.Store(ctx)
		if t := now(); err == nil && (forgotten == plan.Always || t-forgotten >= plan.EventTime(plan.Day)) {
			err, forgotten = Forget(ctx, r.store, t-plan.EventTime(keep)), t
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
	}
}

// Store stores what was observed.
func (r *Recorder) Store(ctx context.Context) error {
	r.storing.Lock()
	defer r.storing.Unlock()
	growing := r.take()
	runs := map[string]Run{} // by key
	for of, waiting := range r.waiting {
		for len(waiting) > maxPending {
			waiting = join(waiting)
		}
		r.waiting[of] = waiting
		for _, run := range waiting {
			runs[string(runKey([]byte(of), run.From, r.writer))] = run
		}
	}
	maps.Copy(runs, growing)
	if err := r.write(ctx, runs); err != nil {
		return fmt.Errorf("record when events became visible: %w", err)
	}
	clear(r.waiting)
	maps.DeleteFunc(r.revisions, func(key string, _ uint64) bool { _, grows := growing[key]; return !grows })
	return nil
}

// take moves the runs that do not grow any more to waiting, and returns those that do by their keys.
func (r *Recorder) take() map[string]Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	growing := map[string]Run{}
	for of, t := range r.tracks {
		last := len(t.runs) - 1
		r.waiting[of] = append(r.waiting[of], t.runs[:last]...)
		t.runs = slices.Clone(t.runs[last:])
		growing[string(runKey([]byte(of), t.runs[0].From, r.writer))] = t.runs[0]
	}
	return growing
}

// write stores runs under their keys. Nobody else writes these, but a write may have taken effect
// though it failed.
func (r *Recorder) write(ctx context.Context, runs map[string]Run) error {
	for len(runs) > 0 {
		var writes []onlinestore.Write
		var keys [][]byte
		for key, run := range runs {
			expect := r.revisions[key]
			writes = append(writes, onlinestore.Write{Key: []byte(key), Expect: expect, Value: value(expect+1, run)})
			keys = append(keys, []byte(key))
		}
		done, err := r.store.Swap(ctx, writes)
		if err != nil {
			return err
		}
		for i, key := range keys {
			if done[i] {
				r.revisions[string(key)]++
				delete(runs, string(key))
			}
		}
		keys = slices.DeleteFunc(keys, func(key []byte) bool { _, left := runs[string(key)]; return !left })
		values, err := r.store.Get(ctx, keys)
		if err != nil {
			return err
		}
		for i, key := range keys {
			r.revisions[string(key)] = onlinestore.Revision(values[i])
		}
	}
	return nil
}

// Forget removes runs that ended before a time.
func Forget(ctx context.Context, store onlinestore.Store, before plan.EventTime) error {
	var old [][]byte
	err := store.Scan(ctx, []byte{prefix}, func(key, value []byte) error {
		if len(value) == valueLen && plan.EventTime(binary.BigEndian.Uint64(value[9:])) < before {
			old = append(old, slices.Clone(key))
		}
		return nil
	})
	for _, key := range old {
		if err == nil {
			err = store.DeletePrefix(ctx, key)
		}
	}
	return err
}
