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
//
// A log can be divided anew, see Reshard: it then has further shards, and only these take events.
type Shards struct {
	Source string
	N      int // how many there are
	First  int // of those that take events; the ones before are sealed
}

// Active is how many shards take events.
func (s Shards) Active() int { return s.N - s.First }

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
	if s.Active() == 1 {
		return s.First
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	// FNV leaves the high bits of similar ids similar; this is the finalizer of MurmurHash3.
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	high, _ := bits.Mul64(x^x>>33, uint64(s.Active()))
	return s.First + int(high)
}

// Layouts finds out how the logs of sources are divided, and remembers it. It is safe for
// concurrent use.
type Layouts struct {
	log  Log
	mu   sync.Mutex
	of   map[string]layout
	turn atomic.Uint64
}

// NewLayouts returns the layouts of the logs in a log.
func NewLayouts(log Log) *Layouts {
	return &Layouts{log: log, of: map[string]layout{}}
}

// Find returns the shards that the log of a source has now; one if the log has not begun.
func (l *Layouts) Find(ctx context.Context, source string) (Shards, error) {
	s, begun, err := l.refresh(ctx, source)
	if err == nil && !begun {
		s = Shards{Source: source, N: 1}
	}
	return s, err
}

// refresh returns the shards of a log, which may have been divided anew.
func (l *Layouts) refresh(ctx context.Context, source string) (s Shards, begun bool, err error) {
	l.mu.Lock()
	known := l.of[source]
	l.mu.Unlock()
	end, err := l.log.End(ctx, numberOf(source))
	if err == nil && end > 0 && int(end) == known.records {
		return known.Shards, true, nil
	}
	var now layout
	if err == nil {
		now, begun, err = readLayout(ctx, l.log, source)
	}
	if err != nil {
		return s, false, fmt.Errorf("number of shards of the log of source %s: %w", source, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if begun && now.records >= l.of[source].records {
		l.of[source] = now
	}
	return now.Shards, begun, nil
}

// find returns the shards as they were when they were last read; a shard that is sealed since refuses events.
func (l *Layouts) find(ctx context.Context, source string) (s Shards, begun bool, err error) {
	l.mu.Lock()
	known, begun := l.of[source]
	l.mu.Unlock()
	if begun {
		return known.Shards, true, nil
	}
	return l.refresh(ctx, source)
}

// DefaultShards is how many shards the log of a source has that declares no number.
const DefaultShards = 1

// Begin returns the shards of the log of a source. If the log has not begun, it begins with the declared
// number, or DefaultShards if that is 0. A log that has another number than the declared one is a *ShardsError.
func (l *Layouts) Begin(ctx context.Context, src *plan.Source) (Shards, error) {
	s, begun, err := l.find(ctx, src.Name)
	if begun && src.Shards != 0 && src.Shards != s.Active() {
		s, begun, err = l.refresh(ctx, src.Name)
	}
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
	}
	return s, s.Check(src)
}

// Check returns a *ShardsError if the log of a source has begun with another number of shards than it declares, or was divided into another one.
func (l *Layouts) Check(ctx context.Context, src *plan.Source) error {
	s, begun, err := l.refresh(ctx, src.Name)
	if err != nil || !begun {
		return err
	}
	return s.Check(src)
}

// Check returns a *ShardsError if the source declares another number of shards than take events.
func (s Shards) Check(src *plan.Source) error {
	if src.Shards != 0 && src.Shards != s.Active() {
		return &ShardsError{Source: src.Name, Declared: src.Shards, Stored: s.Active()}
	}
	return nil
}

// store stores the number of shards, unless someone else does first.
func (l *Layouts) store(ctx context.Context, src *plan.Source) error {
	n := src.Shards
	if n == 0 {
		n = DefaultShards
	}
	old, err := l.begun(ctx, Shards{Source: src.Name, N: max(n, 2)})
	if err != nil {
		return fmt.Errorf("log of source %s: %w", src.Name, err)
	}
	if old {
		n = 1
	}
	return appendLayout(ctx, l.log, src.Name, 1, strconv.Itoa(n))
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

// DividingError says that a log takes no events while it is divided anew. Some of a call's may be stored.
type DividingError struct{ Source string }

func (e *DividingError) Error() string {
	return fmt.Sprintf("the log of source %s is being divided into another number of shards (unskew log reshard); send the events again when that has ended", e.Source)
}

// Unwrap returns errors that it is, too.
func (e *DividingError) Unwrap() []error { return []error{ErrUnavailable, ErrSealed} }

// ShardsError says that a log has another number of shards than its source declares.
type ShardsError struct {
	Source           string
	Declared, Stored int
}

func (e *ShardsError) Error() string {
	return fmt.Sprintf("source %s declares shards: %d, and its log has %d; write shards: %d, or divide the log anew: unskew log reshard %s --shards %d", e.Source, e.Declared, e.Stored, e.Stored, e.Source, e.Declared)
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
	out := make([]Placed, len(entries))
	err := l.spread(ctx, src, entries, func(s Shards, k int, of []Entry, rows []int) error {
		results, err := l.log.Append(ctx, s.Name(k), of)
		for i, r := range results {
			shard, at := r.Position.place(k)
			r.Position = at
			out[rowOf(rows, i)] = Placed{r, shard}
		}
		return err
	})
	return out, err
}

// Register registers entries in their shards, and begins the log if necessary.
func (l *Layouts) Register(ctx context.Context, src *plan.Source, entries []Entry) error {
	return l.spread(ctx, src, entries, func(s Shards, k int, of []Entry, _ []int) error { return l.log.Register(ctx, s.Name(k), of) })
}

// spread calls store for every shard that some of the entries belong to, concurrently, with these and their indexes (see rowOf). If the log was divided anew, it does
// so again with what the old shards refused.
func (l *Layouts) spread(ctx context.Context, src *plan.Source, entries []Entry, store func(s Shards, k int, of []Entry, rows []int) error) error {
	s, err := l.Begin(ctx, src)
	var rows []int // of the entries among those of the caller; nil: all
	for err == nil {
		refused, failed := s.divide(entries, l.turnOf(s), func(k int, of []Entry, at []int) error { return store(s, k, of, rowsOf(rows, at, len(of))) })
		if !errors.Is(failed, ErrSealed) {
			return failed
		}
		before := s
		if s, _, err = l.refresh(ctx, src.Name); err == nil {
			err = s.Check(src)
		}
		if err == nil && s == before {
			err = &DividingError{src.Name}
		}
		again := make([]Entry, len(refused))
		for i, at := range refused {
			again[i] = entries[at]
		}
		entries, rows = again, rowsOf(rows, refused, len(refused))
	}
	return err
}

// rowsOf is which of the caller's entries n of them are, which are at some indexes of a list of them.
func rowsOf(rows, at []int, n int) []int {
	if rows == nil {
		return at
	}
	out := make([]int, n)
	for i := range out {
		out[i] = rows[rowOf(at, i)]
	}
	return out
}

// turnOf is the shard of entries without ids in this call.
func (l *Layouts) turnOf(s Shards) int { return s.First + int(l.turn.Add(1)%uint64(s.Active())) }

// rowOf is the index of the entry with number i of a shard. Without a list, as when there is one shard, it is i.
func rowOf(rows []int, i int) int {
	if rows == nil {
		return i
	}
	return rows[i]
}

// divide calls f concurrently for every shard that has some of the entries, with these and their
// indexes. Those without an id belong to the shard without. All calls are made; errors are joined. It returns the indexes of
// the entries that shards refused with ErrSealed, unless there was another error.
func (s Shards) divide(entries []Entry, without int, f func(k int, of []Entry, rows []int) error) (refused []int, err error) {
	if s.Active() == 1 {
		if err = f(s.First, entries, nil); errors.Is(err, ErrSealed) {
			for i := range entries {
				refused = append(refused, i)
			}
		}
		return refused, err
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
	for k, err := range errs {
		if errors.Is(err, ErrSealed) {
			refused = append(refused, rows[k]...)
		} else if err != nil {
			return nil, errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrSealed) })...)
		}
	}
	return refused, errors.Join(errs...)
}
