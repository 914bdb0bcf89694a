package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
)

// ShardState says what a shard takes. Most shards have the first one for ever; the others are those of shards that a log is divided anew
// from, or into.
type ShardState uint8

// The states of a shard.
const (
	Taking   ShardState = iota // events
	Sealed                     // nothing: what it has does not change
	Adopting                   // only ids of other shards
	Opened                     // events, beside the ids that it has adopted
	Emptied                    // nothing, and it has forgotten its ids, which other shards have adopted
)

// Takes reports whether Append and Register succeed.
func (s ShardState) Takes() bool { return s == Taking || s == Opened }

// Next returns an error unless a shard in state s can be brought to another state, in which it may be.
func (s ShardState) Next(shard string, to ShardState) error {
	if s == to || s.Takes() && to == Sealed || s == Sealed && to == Emptied || s == Adopting && to == Opened {
		return nil
	}
	return fmt.Errorf("shard %q cannot go from state %d to %d", shard, s, to)
}

// ErrSealed is wrapped by errors of Append and Register, which have stored nothing, because the shard takes no events any
// more, or not yet.
var ErrSealed = errors.New("the shard takes no events")

// ErrAdopted is wrapped by errors of Adopt when the shard takes events already, or has begun otherwise.
var ErrAdopted = errors.New("the shard adopts no ids any more")

// KeptID is an id that a shard remembers, and what it knows of it.
type KeptID struct {
	ID      string
	Segment uint32
	Seen    Seen
}

// movedShift is how many bits a position has, below the number of the shard that it is in, plus one, when another shard knows it.
const movedShift = 48

// in is the position as other shards know it; 0, of what was registered from history, is the same everywhere.
func (p Position) in(shard int) Position {
	if p == 0 || p.moved() {
		return p
	}
	return Position(shard+1)<<movedShift | p
}

func (p Position) moved() bool { return p>>movedShift != 0 }

// place is the shard and the position there of p, which shard k knows.
func (p Position) place(k int) (shard int, at Position) {
	if p.moved() {
		return int(p>>movedShift) - 1, p & (1<<movedShift - 1)
	}
	return k, p
}

// ReshardError says that a log cannot be divided anew as asked.
type ReshardError struct{ Message string }

func (e *ReshardError) Error() string { return e.Message }

// Reshard divides the log of a source: from then on it has n shards that take events, after those that it had, whose records stay where they
// are. What these remember of ids goes to the new ones. Pushes are refused with ErrSealed meanwhile. When it was interrupted, calling it again
// with the same number completes it. progress, if set, is called with the number of ids that were moved so far.
//
// The order makes every step repeatable: the number is announced; the old shards are sealed, so that what they have stays the
// same; the new ones adopt their ids, each with the same value however often; they are opened, after which they adopt nothing; and the
// number is stored. Whoever reads it finds complete shards.
func Reshard(ctx context.Context, log Log, source string, n int, now plan.EventTime, progress func(ids int64)) (before, after Shards, err error) {
	if n < 1 || n > logpos.MaxShards {
		return before, after, &ReshardError{fmt.Sprintf("a log has 1 to %d shards, not %d", logpos.MaxShards, n)}
	}
	before, after, err = announce(ctx, log, source, n)
	if err != nil || before == after {
		return before, after, err
	}
	r := &resharding{log, before, after, progress, 0}
	if err := r.checkClock(ctx, now); err != nil {
		return before, after, err
	}
	for _, step := range []func(context.Context) error{r.seal, r.adopt, r.open, r.store, r.empty} {
		if err := step(ctx); err != nil {
			// Another process may have completed it meanwhile, and even divided the log once more.
			if now, _, failed := readLayout(ctx, log, source); failed == nil && now.N >= after.N {
				break
			}
			return before, after, fmt.Errorf("divide the log of source %s: %w", source, err)
		}
	}
	return before, after, nil
}

// announce stores that the log is being divided, and returns its shards before and after. They are equal if it has so many already.
func announce(ctx context.Context, log Log, source string, n int) (before, after Shards, err error) {
	l, begun, err := readLayout(ctx, log, source)
	if err != nil {
		return before, after, err
	}
	if !begun {
		if l, err = layoutOfOld(ctx, log, source); err != nil {
			return before, after, err
		}
	}
	before = l.Shards
	switch {
	case l.pending == n:
	case l.pending != 0:
		return before, after, &ReshardError{fmt.Sprintf("the log of source %s is being divided into %d shards, and that is not complete; run: unskew log reshard %s --shards %d", source, l.pending, source, l.pending)}
	case l.Active() == n:
		// An earlier run may not have removed the ids.
		return before, before, (&resharding{log: log, before: Shards{Source: source, N: l.First}}).empty(ctx)
	}
	after = Shards{Source: source, N: before.N + n, First: before.N}
	if after.N > logpos.MaxShards {
		return before, after, &ReshardError{fmt.Sprintf(
			"the log of source %s has used %d numbers of shards, and %d more would be over %d; a log with fewer shards has to be begun anew, under another name of the source", source, before.N, n, logpos.MaxShards)}
	}
	if l.pending == 0 {
		err = appendLayout(ctx, log, source, l.records+1, announcing+strconv.Itoa(n))
	}
	return before, after, err
}

// layoutOfOld is the layout of a log that began before layouts were stored. It stores it.
func layoutOfOld(ctx context.Context, log Log, source string) (layout, error) {
	begun, err := log.Begun(ctx, source)
	if err != nil {
		return layout{}, err
	}
	if !begun {
		return layout{}, &ReshardError{fmt.Sprintf("the log of source %s is empty: it begins with the number of shards that the source declares", source)}
	}
	if _, err := NewLayouts(log).Begin(ctx, &plan.Source{Name: source}); err != nil {
		return layout{}, err
	}
	l, _, err := readLayout(ctx, log, source)
	return l, err
}

// resharding is a log that is being divided.
type resharding struct {
	log           Log
	before, after Shards
	progress      func(int64)
	moved         int64
}

// checkClock refuses a log with records of the future: it has to be set back first, since sealed shards cannot be.
func (r *resharding) checkClock(ctx context.Context, now plan.EventTime) error {
	newest, err := r.before.Newest(ctx, r.log)
	if err != nil {
		return err
	}
	if newest > now {
		return &ReshardError{fmt.Sprintf("the newest event of source %s was stored at %v, which is after now; correct that first: unskew log set-back %s", r.before.Source, newest, r.before.Source)}
	}
	return nil
}

// old calls f for the shards that took events.
func (r *resharding) old(ctx context.Context, f func(name string, k int) error) error {
	for k := r.before.First; k < r.before.N; k++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(r.before.Name(k), k); err != nil {
			return err
		}
	}
	return nil
}

func (r *resharding) seal(ctx context.Context) error {
	return r.old(ctx, func(name string, _ int) error { return r.log.SetState(ctx, name, Sealed) })
}

// adopt copies the ids to the new shards.
func (r *resharding) adopt(ctx context.Context) error {
	list, number, err := r.segments(ctx)
	if err != nil {
		return err
	}
	// Every new shard exists, with the list, whether or not it gets an id.
	for k := r.after.First; k < r.after.N; k++ {
		if err := r.log.Adopt(ctx, r.after.Name(k), list, nil); errors.Is(err, ErrAdopted) {
			return nil // an earlier run has opened it, after it had copied everything
		} else if err != nil {
			return err
		}
	}
	return r.old(ctx, func(name string, k int) error {
		return r.log.IDs(ctx, name, func(ids []KeptID) error {
			for i := range ids {
				ids[i].Segment = number[segmentOf{k, ids[i].Segment}]
				ids[i].Seen = ids[i].Seen.in(k)
			}
			if err := r.adoptPage(ctx, list, ids); err != nil {
				return err
			}
			if r.moved += int64(len(ids)); r.progress != nil {
				r.progress(r.moved)
			}
			return nil
		})
	})
}

func (r *resharding) adoptPage(ctx context.Context, list Segments, ids []KeptID) error {
	to := map[int][]KeptID{}
	for _, id := range ids {
		k := r.after.Of(id.ID)
		to[k] = append(to[k], id)
	}
	g, ctx := errgroup.WithContext(ctx)
	for k, ids := range to {
		g.Go(func() error {
			err := r.log.Adopt(ctx, r.after.Name(k), list, ids)
			if errors.Is(err, ErrAdopted) {
				return nil // another process was faster: it has copied the same
			}
			return err
		})
	}
	return g.Wait()
}

// in is what another shard remembers of an id of shard k.
func (s Seen) in(k int) Seen {
	s.Position = s.Position.in(k)
	if s.Versions != nil {
		s.Versions = slices.Clone(s.Versions)
		for i := range s.Versions {
			s.Versions[i].Position = s.Versions[i].Position.in(k)
		}
	}
	return s
}

// segmentOf is a segment of a shard.
type segmentOf struct {
	shard  int
	number uint32
}

// segments returns a list for the new shards, and the segment in it of each segment of the old ones. Ids are remembered at least as long as they
// were: segments that end at similar times become one.
func (r *resharding) segments(ctx context.Context) (Segments, map[segmentOf]uint32, error) {
	type old struct {
		segmentOf
		Segment
	}
	var all []old
	merged, number := NoSegments(), map[segmentOf]uint32{}
	err := r.old(ctx, func(name string, k int) error {
		list, err := r.log.Segments(ctx, name)
		merged.Forgotten = max(merged.Forgotten, list.Forgotten)
		for _, g := range list.List {
			all = append(all, old{segmentOf{k, g.Number}, g})
		}
		return err
	})
	if err != nil {
		return merged, nil, err
	}
	slices.SortStableFunc(all, func(a, b old) int { return int(min(1, max(-1, a.Until-b.Until))) })
	// Some are left to be begun.
	size := max(1, (len(all)+mostSegments/2-1)/(mostSegments/2))
	for page := range slices.Chunk(all, size) {
		to := Segment{Number: uint32(len(merged.List) + 1), Began: page[0].Began, Newest: plan.Always, Until: plan.Always}
		for _, g := range page {
			to.Began, to.Newest, to.Until = max(to.Began, g.Began), max(to.Newest, g.Newest), max(to.Until, g.Until)
			number[g.segmentOf] = to.Number
		}
		merged.List = append(merged.List, to)
	}
	return merged, number, nil
}

func (r *resharding) open(ctx context.Context) error {
	for k := r.after.First; k < r.after.N; k++ {
		if err := r.log.SetState(ctx, r.after.Name(k), Opened); err != nil {
			return err
		}
	}
	return nil
}

// store stores the new number, unless someone else has.
func (r *resharding) store(ctx context.Context) error {
	l, _, err := readLayout(ctx, r.log, r.before.Source)
	if err != nil || l.Shards == r.after {
		return err
	}
	return appendLayout(ctx, r.log, r.before.Source, l.records+1, strconv.Itoa(r.after.Active()))
}

// empty removes the ids of all shards that take nothing any more, also those of which an earlier run did not.
func (r *resharding) empty(ctx context.Context) error {
	for k := range r.before.N {
		if err := r.log.SetState(ctx, r.before.Name(k), Emptied); err != nil {
			return err
		}
	}
	return nil
}

// layout is how a log is divided, as it is stored: the first record has the number of its shards; further ones announce a number and then
// have it, again and again.
type layout struct {
	Shards
	pending int // the number that was announced; 0: none
	records int
}

const announcing = "to "

// readLayout reads the layout of a log. begun is false if none is stored.
func readLayout(ctx context.Context, log Log, source string) (l layout, begun bool, err error) {
	l = layout{Shards: Shards{Source: source}}
	records, err := log.Read(ctx, numberOf(source), 0, 2*logpos.MaxShards)
	if err != nil {
		return l, false, err
	}
	for i, r := range records {
		text, announced := strings.CutPrefix(string(r.Payload), announcing)
		n, err := strconv.Atoi(text)
		switch {
		case err != nil, n < 1, l.N+n > logpos.MaxShards, announced != (i%2 == 1), i > 0 && !announced && n != l.pending:
			return l, false, fmt.Errorf("it is %q: %w", r.Payload, ErrDamaged)
		case announced:
			l.pending = n
		default:
			l.First, l.N, l.pending = l.N, l.N+n, 0
		}
	}
	l.records = len(records)
	return l, len(records) > 0, nil
}

// appendLayout stores the record with a number of the layout. Its id makes it the only one: of several writers the first one wins.
func appendLayout(ctx context.Context, log Log, source string, number int, text string) error {
	id := "shards"
	if number > 1 {
		id += " " + strconv.Itoa(number)
	}
	results, err := log.Append(ctx, numberOf(source), []Entry{{ID: id, Payload: []byte(text)}})
	if err != nil {
		return fmt.Errorf("number of shards of the log of source %s: %w", source, err)
	}
	if number > 1 && results[0].Outcome == Conflict {
		return &ReshardError{fmt.Sprintf("another process divides the log of source %s otherwise at the same time; look at unskew log status %s", source, source)}
	}
	return nil
}
