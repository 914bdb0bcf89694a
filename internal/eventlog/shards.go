package eventlog

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
)

// Shards are the shards of the log of a source. Entries with one id are all in one shard, which the id
// determines, so ids are deduplicated in the whole log. Nothing is promised about the order of records of different shards.
//
// The number of shards is stored when the log begins, as the only record of a shard of its own. A log without that
// record is of a version that knew one shard.
type Shards struct {
	Source string
	N      int
}

// separator is between the name of a source, which has none, and what else is in the name of a shard.
const separator = "#"

// Name is the name of shard k, counted from 0. That of the first is the name of the source.
func (s Shards) Name(k int) string {
	if k == 0 {
		return s.Source
	}
	return s.Source + separator + strconv.Itoa(k)
}

// SourceOf is the source whose log has a shard.
func SourceOf(shard string) string {
	source, _, _ := strings.Cut(shard, separator)
	return source
}

// numberOf is the shard with the number of shards of a source.
func numberOf(source string) string { return source + separator + "shards" }

// Of is the shard of the entries with an id that is not empty.
func (s Shards) Of(id string) int {
	if s.N == 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	// FNV leaves the high bits of similar ids similar; this is the finalizer of MurmurHash3.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	high, _ := bits.Mul64(x^x>>33, uint64(s.N))
	return int(high)
}

// Layouts finds out how the logs of sources are divided, and remembers it. It is safe for
// concurrent use.
type Layouts struct {
	log  Log
	mu   sync.Mutex
	of   map[string]Shards
	turn atomic.Uint64
}

// NewLayouts returns the layouts of the logs in a log.
func NewLayouts(log Log) *Layouts {
	return &Layouts{log: log, of: map[string]Shards{}}
}

// Find returns the shards of the log of a source; one if the log has not begun.
func (l *Layouts) Find(ctx context.Context, source string) (Shards, error) {
	s, begun, err := l.find(ctx, source)
	if err == nil && !begun {
		s = Shards{source, 1}
	}
	return s, err
}

func (l *Layouts) find(ctx context.Context, source string) (s Shards, begun bool, err error) {
	l.mu.Lock()
	s, begun = l.of[source]
	l.mu.Unlock()
	if begun {
		return s, true, nil
	}
	s, begun, err = readShards(ctx, l.log, source)
	if err != nil {
		return s, false, fmt.Errorf("number of shards of the log of source %s: %w", source, err)
	}
	if begun {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.of[source] = s
	}
	return s, begun, nil
}

func readShards(ctx context.Context, log Log, source string) (s Shards, begun bool, err error) {
	stored, err := At(ctx, log, numberOf(source), 1)
	if err != nil || stored == nil {
		return s, false, err
	}
	n, err := strconv.Atoi(string(stored.Payload))
	if err != nil || n < 1 || n > logpos.MaxShards {
		return s, false, fmt.Errorf("it is %q: %w", stored.Payload, ErrDamaged)
	}
	return Shards{source, n}, true, nil
}

// DefaultShards is how many shards the log of a source has that declares no number.
const DefaultShards = 1

// Begin returns the shards of the log of a source. If the log has not begun, it begins with the declared
// number, or DefaultShards if that is 0. A log that has begun with another number than the declared one is an error.
func (l *Layouts) Begin(ctx context.Context, src *plan.Source) (Shards, error) {
	s, begun, err := l.find(ctx, src.Name)
	if err == nil && !begun {
		// Shards without a number may be of another writer who began the log meanwhile.
		if err = l.store(ctx, src); err == nil || errors.Is(err, ErrDamaged) {
			var failed error
			if s, begun, failed = l.find(ctx, src.Name); begun || failed != nil {
				err = failed
			}
		}
	}
	switch {
	case err != nil:
		return Shards{}, err
	case !begun:
		return Shards{}, fmt.Errorf("number of shards of the log of source %s: it was stored a moment ago and is gone: %w", src.Name, ErrDamaged)
	case src.Shards != 0 && src.Shards != s.N:
		return Shards{}, &ShardsError{Source: src.Name, Declared: src.Shards, Stored: s.N}
	}
	return s, nil
}

// store stores the number of shards, unless someone else does first.
func (l *Layouts) store(ctx context.Context, src *plan.Source) error {
	n := src.Shards
	if n == 0 {
		n = DefaultShards
	}
	old, err := l.begun(ctx, Shards{src.Name, max(n, 2)})
	if err != nil {
		return fmt.Errorf("log of source %s: %w", src.Name, err)
	}
	if old {
		n = 1
	}
	// The id makes this the only record: of several writers the first one wins.
	_, err = l.log.Append(ctx, numberOf(src.Name), []Entry{{ID: "shards", Payload: strconv.AppendInt(nil, int64(n), 10)}})
	if err != nil {
		return fmt.Errorf("number of shards of the log of source %s: %w", src.Name, err)
	}
	return nil
}

// begun reports whether the first shard exists, of a log whose number of shards is not stored. The others must not exist.
func (l *Layouts) begun(ctx context.Context, s Shards) (bool, error) {
	begun := make([]bool, s.N)
	err := s.Each(ctx, func(ctx context.Context, k int) (err error) {
		begun[k], err = l.log.Begun(ctx, s.Name(k))
		return err
	})
	if err == nil && slices.Contains(begun[1:], true) {
		err = fmt.Errorf("it has several shards, and the record of how many is missing: %w", ErrDamaged)
	}
	return begun[0], err
}

// ShardsError says that a log has another number of shards than its source declares.
type ShardsError struct {
	Source           string
	Declared, Stored int
}

func (e *ShardsError) Error() string {
	return fmt.Sprintf("source %s declares shards: %d, and its log began with %d, which cannot change while it has events; write shards: %d", e.Source, e.Declared, e.Stored, e.Stored)
}

// Ends are the ends of all shards.
func (s Shards) Ends(ctx context.Context, log Log) (logpos.Vector, error) {
	ends := make(logpos.Vector, s.N)
	return ends, s.Each(ctx, func(ctx context.Context, k int) error {
		end, err := log.End(ctx, s.Name(k))
		ends[k] = uint64(end)
		return err
	})
}

// Newest is the time at which the newest record of any shard was appended, Always if all are empty.
func (s Shards) Newest(ctx context.Context, log Log) (plan.EventTime, error) {
	times := make([]plan.EventTime, s.N)
	newest := plan.Always
	err := s.Each(ctx, func(ctx context.Context, k int) (err error) {
		times[k], err = Newest(ctx, log, s.Name(k))
		return err
	})
	for _, t := range times {
		newest = max(newest, t)
	}
	return newest, err
}

// Each calls f for every shard, concurrently if there are several. It returns the first error.
func (s Shards) Each(ctx context.Context, f func(ctx context.Context, k int) error) error {
	if s.N == 1 {
		return f(ctx, 0)
	}
	g, ctx := errgroup.WithContext(ctx)
	for k := range s.N {
		g.Go(func() error { return f(ctx, k) })
	}
	return g.Wait()
}

// Placed is a Result and the shard that it is about.
type Placed struct {
	Result
	Shard int
}

// Append appends entries to their shards, and begins the log if necessary. What goes to one shard is stored as a whole or not at all.
// Entries without an id are not divided by one call: all of them go to one shard, another one each time.
// After an error some shards may have their entries; sending the same entries again is safe if they have ids.
func (l *Layouts) Append(ctx context.Context, src *plan.Source, entries []Entry) ([]Placed, error) {
	s, err := l.Begin(ctx, src)
	if err != nil {
		return nil, err
	}
	out := make([]Placed, len(entries))
	err = s.divide(entries, int(l.turn.Add(1)%uint64(s.N)), func(k int, of []Entry, rows []int) error {
		results, err := l.log.Append(ctx, s.Name(k), of)
		for i := range results {
			out[rows[i]] = Placed{results[i], k}
		}
		return err
	})
	return out, err
}

// Register registers entries in their shards, and begins the log if necessary.
func (l *Layouts) Register(ctx context.Context, src *plan.Source, entries []Entry) error {
	s, err := l.Begin(ctx, src)
	if err != nil {
		return err
	}
	return s.divide(entries, 0, func(k int, of []Entry, _ []int) error { return l.log.Register(ctx, s.Name(k), of) })
}

// divide calls f concurrently for every shard that has some of the entries, with these and their
// indexes. Those without an id belong to the shard without. All calls are made; errors are joined.
func (s Shards) divide(entries []Entry, without int, f func(k int, of []Entry, rows []int) error) error {
	if s.N == 1 {
		all := make([]int, len(entries))
		for i := range all {
			all[i] = i
		}
		return f(0, entries, all)
	}
	of, rows := make([][]Entry, s.N), make([][]int, s.N)
	for i := range entries {
		k := without
		if entries[i].ID != "" {
			k = s.Of(entries[i].ID)
		}
		of[k], rows[k] = append(of[k], entries[i]), append(rows[k], i)
	}
	errs := make([]error, s.N)
	var g errgroup.Group
	for k := range s.N {
		if len(of[k]) > 0 {
			g.Go(func() error {
				errs[k] = f(k, of[k], rows[k])
				return nil
			})
		}
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}
