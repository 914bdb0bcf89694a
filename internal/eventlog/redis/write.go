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
	k, now, stored, before := l.keys(shard), l.clock(), storedIDs{}, l.known(shard)
	for range tries {
		c := appendCall{stored: stored, ids: map[string]callID{}, results: make([]eventlog.Result, len(entries)), now: now}
		var err error
		if c.list, err = l.changing(shard, now); err == nil {
			err = c.classify(entries)
		}
		if err != nil {
			return nil, fmt.Errorf("append to shard %q: %w", shard, err)
		}
		if len(c.sent) == 0 && !c.list.changed() {
			return c.results, nil
		}
		answer, err := l.write(ctx, appendScript, []string{k.events, k.ids, k.head}, c.args(l.stamp(now))).AsStrSlice()
		if err != nil {
			return nil, clockError(shard, now, writeError("append to", shard, err))
		}
		if !l.stale(shard, &c.list, stored, answer, c.sentIDs()) {
			results, err := c.answer(shard, answer)
			if err == nil {
				l.appended(shard, before, results)
			}
			return results, err
		}
	}
	return nil, fmt.Errorf("append to shard %q: other writers changed the same ids %d times in a row; nothing was stored", shard, tries)
}

// storedIDs caches what the server has of ids. An id without a value is assumed to be new.
type storedIDs map[string]storedID

type storedID struct {
	value   string
	segment string // number of the segment that has it, "" for 0
}

// learn updates the cache if a script answered that ids were stale, and reports whether it did.
func (s storedIDs) learn(answer, ids []string) (stale bool) {
	if len(answer) == 0 || answer[0] != "stale" {
		return false
	}
	for i := 1; i+2 < len(answer); i += 3 {
		if n, err := strconv.Atoi(answer[i]); err == nil && n < len(ids) {
			s[ids[n]] = storedID{answer[i+1], answer[i+2]}
		}
	}
	return true
}

// seen decodes the cached value of an id.
func (s storedIDs) seen(id string) (seen eventlog.Seen, segment uint32, found bool, err error) {
	value := s[id].value
	if value == "" {
		return eventlog.Seen{}, 0, false, nil
	}
	if len(value) < 17 {
		return eventlog.Seen{}, 0, false, fmt.Errorf("an id has %d bytes: %w", len(value), eventlog.ErrDamaged)
	}
	digits, versions, _ := bytes.Cut([]byte(value[16:]), []byte(":"))
	p, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return eventlog.Seen{}, 0, false, fmt.Errorf("the position of an id is %q: %w", digits, eventlog.ErrDamaged)
	}
	seen = eventlog.Seen{Digest: eventlog.Digest([]byte(value[:16])), Position: eventlog.Position(p)}
	if seen.Versions, err = eventlog.DecodeVersions(versions); err != nil {
		return eventlog.Seen{}, 0, false, err
	}
	segment, err = segmentNumber(s[id].segment)
	return seen, segment, true, err
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
	list    segmentList
	now     plan.EventTime
	ids     map[string]callID // the ids of the entries so far
	sent    []delivery
	results []eventlog.Result
}

// callID is the state of an id after the entries so far, and the index in sent of the delivery
// that is its event; -1 if the event is on the server.
type callID struct {
	seen    eventlog.Seen
	segment uint32
	event   int
}

// delivery is an entry that is to be stored, or refused if the server does not remember its id.
type delivery struct {
	*eventlog.Entry
	entry    int // of the call
	expected string
	segment  uint32
	fields   []eventlog.Field // added to the event
	fills    bool
	refused  bool
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
			if prior.seen, prior.segment, found, err = c.stored.seen(e.ID); err != nil {
				return err
			}
		}
		d := delivery{Entry: e, entry: i, expected: c.stored[e.ID].value, fills: found}
		if again {
			d.expected = "="
		}
		switch {
		case found:
			c.list.to.Cover(prior.segment, e)
			outcome, fields := prior.seen.Classify(e)
			if c.results[i] = (eventlog.Result{Outcome: outcome, Position: prior.seen.Position}); outcome != eventlog.Filled {
				c.results[i].Position = c.positionOf(prior)
				continue
			}
			d.fields, prior.seen = fields, prior.seen.Fill(e, fields, 0, plan.Always)
		case c.list.to.Refuses(e):
			c.results[i] = eventlog.Result{Outcome: eventlog.Expired, Forgotten: c.list.to.Forgotten}
			d.refused = true
			c.sent = append(c.sent, d)
			continue
		default:
			prior = callID{seen: eventlog.FirstSeen(e, 0, plan.Always), event: len(c.sent)}
			if e.ID != "" {
				prior.segment = c.list.to.Place(e, c.now)
			}
			if e.Late != nil {
				d.fields = prior.seen.Versions[0].Fields
			}
		}
		d.segment = prior.segment
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

// refused is in place of the segment of a delivery that is not to be stored.
const refused = "-"

// args are the arguments of the script.
func (c *appendCall) args(stamp string) []string {
	args := append(make([]string, 0, 24+7*len(c.sent)), stamp)
	args = c.list.appendArgs(args)
	for _, d := range c.sent {
		if d.refused {
			args = append(args, d.ID, d.expected, refused, "", "", "", "")
			continue
		}
		digest, known, fields := "", "", ""
		if !d.fills {
			first := eventlog.FirstSeen(d.Entry, 0, plan.Always).Digest
			digest = string(first[:])
		}
		if d.Late != nil {
			known, fields = encodeTime(d.Late.Known), string(eventlog.AppendFields(nil, d.fields))
		}
		args = append(args, d.ID, d.expected, segmentText(d.segment), digest, known, fields, string(d.Payload))
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
		if !d.refused {
			c.results[d.entry].Position = positions[i]
		}
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
	if err := l.checkClock(ctx, shard); err != nil {
		return fmt.Errorf("register ids in shard %q: %w", shard, err)
	}
	k, now := l.keys(shard), l.clock()
	stored := storedIDs{}
	for range tries {
		list, err := l.changing(shard, now)
		if err != nil {
			return fmt.Errorf("register ids in shard %q: %w", shard, err)
		}
		ids, args, err := registration(entries, stored, &list, now)
		if err != nil {
			return fmt.Errorf("register ids in shard %q: %w", shard, err)
		}
		if len(ids) == 0 && !list.changed() {
			return nil
		}
		answer, err := l.write(ctx, registerScript, []string{k.ids, k.head}, args).AsStrSlice()
		if err != nil {
			return writeError("register ids in", shard, err)
		}
		if !l.stale(shard, &list, stored, answer, ids) {
			return nil
		}
	}
	return fmt.Errorf("register ids in shard %q: other writers changed the same ids %d times in a row; nothing was stored", shard, tries)
}

// registration returns the ids that change or are left out and the arguments of the script, assuming that the
// cached ids are current. It changes the list of segments.
func registration(entries []eventlog.Entry, stored storedIDs, list *segmentList, now plan.EventTime) (ids, args []string, err error) {
	changed := map[string]callID{}
	for i := range entries {
		e := &entries[i]
		if e.ID == "" {
			continue
		}
		is, found := changed[e.ID]
		again := found
		if !again {
			if is.seen, is.segment, found, err = stored.seen(e.ID); err != nil {
				return nil, nil, err
			}
		}
		change := true
		switch {
		case found:
			list.to.Cover(is.segment, e)
			is.seen, change = is.seen.Register(e)
		case list.to.Refuses(e):
			ids = append(ids, e.ID) // the server may remember it
			continue
		default:
			is = callID{seen: eventlog.FirstSeen(e, 0, plan.Always), segment: list.to.Place(e, now)}
		}
		if change && !again {
			ids = append(ids, e.ID)
		}
		if change || again {
			changed[e.ID] = is
		}
	}
	args = list.appendArgs(args)
	for _, id := range ids {
		is, known := changed[id]
		if !known {
			args = append(args, id, stored[id].value, refused, "")
			continue
		}
		args = append(args, id, stored[id].value, segmentText(is.segment), valueOf(&is.seen))
	}
	return ids, args, nil
}
