package redis

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

// tries bounds how often a call is retried because other writers changed the same ids. Each
// retry means that another call succeeded.
const tries = 100

// Append implements eventlog.Log. The server runs no other command during a call: hundreds of
// entries are fine, hundreds of thousands are not. A call takes one round trip if all ids are
// new, and usually two if some were seen.
func (l *Log) Append(ctx context.Context, shard string, entries []eventlog.Entry) ([]eventlog.Result, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.Check(shard, entries); err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, nil
	}
	k, now, stored := l.keys(shard), l.clock(), storedIDs{}
	for range tries {
		c := appendCall{stored: stored, ids: map[string]callID{}, results: make([]eventlog.Result, len(entries))}
		if err := c.classify(entries); err != nil {
			return nil, fmt.Errorf("append to shard %q: %w", shard, err)
		}
		if len(c.sent) == 0 {
			return c.results, nil
		}
		answer, err := l.write(ctx, appendScript, []string{k.events, k.ids, k.head}, c.args(l.stamp(now))).AsStrSlice()
		if err != nil {
			return nil, clockError(shard, now, writeError("append to", shard, err))
		}
		if stale := stored.learn(answer, c.sentIDs()); !stale {
			return c.answer(shard, answer)
		}
	}
	return nil, fmt.Errorf("append to shard %q: other writers changed the same ids %d times in a row; nothing was stored", shard, tries)
}

// storedIDs caches the values of ids on the server. An id without a value is assumed to be new.
type storedIDs map[string]string

// learn updates the cache if a script answered that ids were stale, and reports whether it did.
func (s storedIDs) learn(answer, ids []string) (stale bool) {
	if len(answer) == 0 || answer[0] != "stale" {
		return false
	}
	for i := 1; i+1 < len(answer); i += 2 {
		if n, err := strconv.Atoi(answer[i]); err == nil && n < len(ids) {
			s[ids[n]] = answer[i+1]
		}
	}
	return true
}

// seen decodes the cached value of an id.
func (s storedIDs) seen(id string) (seen eventlog.Seen, found bool, err error) {
	value := s[id]
	if value == "" {
		return eventlog.Seen{}, false, nil
	}
	if len(value) < 17 {
		return eventlog.Seen{}, false, fmt.Errorf("an id has %d bytes: %w", len(value), eventlog.ErrDamaged)
	}
	digits, versions, _ := bytes.Cut([]byte(value[16:]), []byte(":"))
	p, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return eventlog.Seen{}, false, fmt.Errorf("the position of an id is %q: %w", digits, eventlog.ErrDamaged)
	}
	seen = eventlog.Seen{Digest: eventlog.Digest([]byte(value[:16])), Position: eventlog.Position(p)}
	seen.Versions, err = eventlog.DecodeVersions(versions)
	return seen, true, err
}

// valueOf encodes the value of an id.
func valueOf(s *eventlog.Seen) string {
	value := append([]byte(nil), s.Digest[:]...)
	value = strconv.AppendUint(value, uint64(s.Position), 10)
	if s.Versions != nil {
		value = eventlog.AppendVersions(append(value, ':'), s.Versions)
	}
	return string(value)
}

// appendCall is one attempt of a call of Append.
type appendCall struct {
	stored  storedIDs
	ids     map[string]callID // the ids of the entries so far
	sent    []delivery
	results []eventlog.Result
}

// callID is the state of an id after the entries so far, and the index in sent of the delivery
// that is its event; -1 if the event is on the server.
type callID struct {
	seen  eventlog.Seen
	event int
}

// delivery is an entry that is to be stored.
type delivery struct {
	*eventlog.Entry
	entry    int // of the call
	expected string
	fields   []eventlog.Field // added to the event
	fills    bool
}

// classify decides the outcome of each entry, assuming that the cached ids are current.
func (c *appendCall) classify(entries []eventlog.Entry) error {
	for i := range entries {
		e := &entries[i]
		prior, again := c.ids[e.ID]
		found := again
		if !again {
			prior.event = -1
			var err error
			if prior.seen, found, err = c.stored.seen(e.ID); err != nil {
				return err
			}
		}
		d := delivery{Entry: e, entry: i, expected: c.stored[e.ID], fills: found}
		if again {
			d.expected = "="
		}
		if found {
			outcome, fields := prior.seen.Classify(e)
			if c.results[i] = (eventlog.Result{Outcome: outcome, Position: prior.seen.Position}); outcome != eventlog.Filled {
				c.results[i].Position = c.positionOf(prior)
				continue
			}
			d.fields, prior.seen = fields, prior.seen.Fill(e, fields, 0, plan.Always)
		} else {
			prior = callID{eventlog.FirstSeen(e, 0, plan.Always), len(c.sent)}
			if e.Late != nil {
				d.fields = prior.seen.Versions[0].Fields
			}
		}
		c.sent = append(c.sent, d)
		if e.ID != "" {
			c.ids[e.ID] = prior
		}
	}
	return nil
}

// inCall marks a position as an index in sent, until the server has assigned the position.
const inCall = 1 << 63

// positionOf is the position of the event with an id.
func (c *appendCall) positionOf(id callID) eventlog.Position {
	if id.event >= 0 {
		return inCall | eventlog.Position(id.event)
	}
	return id.seen.Position
}

// args are the arguments of the script.
func (c *appendCall) args(stamp string) []string {
	args := append(make([]string, 0, 1+6*len(c.sent)), stamp)
	for _, d := range c.sent {
		digest, known, fields := "", "", ""
		if !d.fills {
			first := eventlog.FirstSeen(d.Entry, 0, plan.Always).Digest
			digest = string(first[:])
		}
		if d.Late != nil {
			known, fields = encodeTime(d.Late.Known), string(eventlog.AppendFields(nil, d.fields))
		}
		args = append(args, d.ID, d.expected, digest, known, fields, string(d.Payload))
	}
	return args
}

func (c *appendCall) sentIDs() []string {
	ids := make([]string, len(c.sent))
	for i, d := range c.sent {
		ids[i] = d.ID
	}
	return ids
}

// answer copies the positions that the server assigned to the results.
func (c *appendCall) answer(shard string, answer []string) ([]eventlog.Result, error) {
	if len(answer) != len(c.sent) {
		return nil, fmt.Errorf("append to shard %q: redis answered %d of %d entries: %w", shard, len(answer), len(c.sent), eventlog.ErrOutcomeUnknown)
	}
	positions := make([]eventlog.Position, len(answer))
	for i, a := range answer {
		p, err := strconv.ParseUint(a, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("append to shard %q: redis answered %q for entry %d: %w", shard, a, i, eventlog.ErrOutcomeUnknown)
		}
		positions[i] = eventlog.Position(p)
	}
	for i := range c.results {
		if r := &c.results[i]; r.Position&inCall != 0 {
			r.Position = positions[r.Position&^inCall]
		}
	}
	for i, d := range c.sent {
		c.results[d.entry].Position = positions[i]
	}
	return c.results, nil
}

// Register implements eventlog.Log.
func (l *Log) Register(ctx context.Context, shard string, entries []eventlog.Entry) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.conn.Gate.Leave()
	if err := eventlog.Check(shard, entries); err != nil {
		return err
	}
	k := l.keys(shard)
	stored := storedIDs{}
	for range tries {
		ids, args, err := registration(entries, stored)
		if err != nil {
			return fmt.Errorf("register ids in shard %q: %w", shard, err)
		}
		if len(ids) == 0 {
			return nil
		}
		answer, err := l.write(ctx, registerScript, []string{k.ids, k.head}, args).AsStrSlice()
		if err != nil {
			return writeError("register ids in", shard, err)
		}
		if stale := stored.learn(answer, ids); !stale {
			return nil
		}
	}
	return fmt.Errorf("register ids in shard %q: other writers changed the same ids %d times in a row; nothing was stored", shard, tries)
}

// registration returns the ids that change and the arguments of the script, assuming that the
// cached ids are current.
func registration(entries []eventlog.Entry, stored storedIDs) (ids, args []string, err error) {
	changed := map[string]eventlog.Seen{}
	for i := range entries {
		e := &entries[i]
		if e.ID == "" {
			continue
		}
		seen, found := changed[e.ID]
		again := found
		if !again {
			if seen, found, err = stored.seen(e.ID); err != nil {
				return nil, nil, err
			}
		}
		change := true
		if found {
			seen, change = seen.Register(e)
		} else {
			seen = eventlog.FirstSeen(e, 0, plan.Always)
		}
		if change && !again {
			ids = append(ids, e.ID)
		}
		if change || again {
			changed[e.ID] = seen
		}
	}
	for _, id := range ids {
		seen := changed[id]
		args = append(args, id, stored[id], valueOf(&seen))
	}
	return ids, args, nil
}
