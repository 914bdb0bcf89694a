package kernel

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel/window"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// State is the state of one entity in one view: tiles, and the events that are applied but not
// visible yet. It and its encoding depend only on the multiset of applied events. It is not
// safe for concurrent use.
type State struct {
	view    *View
	applied logpos.Vector   // newest position of each shard of the log that is applied
	newest  plan.EventTime  // newest visible time in the tiles; Always if there is none
	events  uint64          // visible events of the entity, before any filter
	series  []window.Series // by group of slots
	pending []pendingRow    // in any order; sorted when encoded
	aside   string          // why it was set aside or is lost; "" for a state with its events
	lost    bool
}

// NewState makes the state of an entity without events.
func (k *View) NewState() *State {
	s := &State{view: k, newest: plan.Always, series: make([]window.Series, len(k.groups))}
	for g := range k.groups {
		s.series[g] = window.NewSeries(k.groups[g].levels, k.groups[g].layout.NewBlock())
	}
	return s
}

// Reset makes s the state of an entity without events and keeps its memory.
func (s *State) Reset() {
	s.applied, s.newest, s.events, s.pending, s.aside, s.lost = s.applied[:0], plan.Always, 0, s.pending[:0], "", false
	for g := range s.series {
		s.series[g].Clear()
	}
}

// Applied is the newest position of each shard of the log that the state has applied. It is valid until s changes.
func (s *State) Applied() logpos.Vector { return s.applied }

// SetApplied records which positions are applied. It copies them.
func (s *State) SetApplied(v logpos.Vector) { s.applied = append(s.applied[:0], v...) }

// Revision is what the encoding of s begins with: one more than the number of records up to the
// applied positions. It grows with every position that grows.
func (s *State) Revision() uint64 { return s.applied.Sum() + 1 }

// Newest is the newest visible time among the folded events, Always if there are none. T of a
// read must be later.
func (s *State) Newest() plan.EventTime { return s.newest }

// Events is the number of folded events of the entity, before any filter.
func (s *State) Events() uint64 { return s.events }

// Pending is the number of rows that are not visible yet, over all slots.
func (s *State) Pending() int { return len(s.pending) }

// Tiles is the number of tiles.
func (s *State) Tiles() int {
	n := 0
	for g := range s.series {
		n += s.series[g].Tiles()
	}
	return n
}

// Apply adds the rows sel, all of this state's entity: rows that are visible before horizon go
// into the tiles, the others stay pending until Fold. A filling adds only to the slots that it
// completes and does not count as an event. The order and batching of calls do not matter, nor
// does the horizon, as long as no read is earlier. A horizon at or before Newest, from a clock
// that went back or is behind that of another applier, counts as Newest + 1 µs, so that every
// pending row becomes visible later than every row in the tiles.
func (s *State) Apply(rows *Rows, sel []int32, horizon plan.EventTime) {
	if s.aside != "" {
		panic("kernel: Apply to a state that was set aside or is lost")
	}
	horizon = max(horizon, s.newest+1)
	s.Fold(horizon)
	s.advance(rows, sel, horizon)
	for _, i := range sel {
		switch {
		case rows.events.Fills(int(i)):
		case rows.Visible[i] < horizon:
			s.events++
		default:
			s.pending = append(s.pending, pendingRow{visible: rows.Visible[i], slot: entityRow})
		}
	}
	for g := range s.view.groups {
		s.applyGroup(g, rows, sel, horizon)
	}
}

// advance raises the newest visible time to that of the rows that go into the tiles.
func (s *State) advance(rows *Rows, sel []int32, horizon plan.EventTime) {
	newest := s.newest
	for _, i := range sel {
		if v := rows.Visible[i]; v < horizon && !rows.events.Fills(int(i)) {
			newest = max(newest, v)
		}
	}
	// For late columns only the rows that a slot adds count, as in Fold.
	for _, slot := range s.view.late {
		in := &rows.slots[slot]
		for _, i := range sel {
			if v := in.visible[i]; v < horizon && in.pass.Get(int(i)) {
				newest = max(newest, v)
			}
		}
	}
	s.setNewest(newest)
}

func (s *State) setNewest(v plan.EventTime) {
	if v == s.newest {
		return
	}
	s.newest = v
	for g := range s.series {
		s.series[g].Advance(v)
	}
}

func (s *State) applyGroup(g int, rows *Rows, sel []int32, horizon plan.EventTime) {
	series, slots := &s.series[g], s.view.groups[g].slots
	tiles := series.Partials()
	for _, i := range sel {
		const none = -1
		tile := none - 1 // not searched for yet
		for c, slot := range slots {
			in := &rows.slots[slot]
			if !in.pass.Get(int(i)) {
				continue
			}
			if in.visible[i] >= horizon {
				s.pending = append(s.pending, newPending(in, int(i), slot))
				continue
			}
			if tile < none {
				tile = none
				if p, ok := series.Tile(rows.Time[i]); ok {
					tile = p
				}
			}
			if tile > none {
				tiles.Add(c, tile, &in.input, int(i))
			}
		}
	}
}

// The encoding of a state, see docs/formats/state.md: revision, format,
// fingerprint, applied positions (only in format 5), newest, events, series, pending, CRC-32C.
const (
	stateFormat5   = 5 // of a state that has applied records of another shard than the first
	stateFormat    = 4 // of any other
	stateFormat3   = 3 // read but not written
	fingerprintLen = 16
	stateHeader    = 8 + 1 + fingerprintLen
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errState   = fmt.Errorf("state: truncated or malformed: %w", ErrDamaged)
)

// Append appends the canonical encoding of s. It begins with the revision that the online
// store requires.
func (s *State) Append(dst []byte) []byte {
	begin := len(dst)
	if s.lost {
		panic("kernel: the record of a lost state is made by AppendLost")
	}
	if s.aside != "" {
		return seal(s.appendAside(s.appendHeader(dst, asideFormat, asideFormat5)), begin)
	}
	dst = s.appendHeader(dst, stateFormat, stateFormat5)
	dst = binary.AppendVarint(dst, int64(s.newest))
	dst = binary.AppendUvarint(dst, s.events)
	for g := range s.series {
		dst = s.series[g].Append(dst)
	}
	dst = s.appendPending(dst)
	return seal(dst, begin)
}

// Decode replaces s by the state encoded in b, which must be of the same view
// fingerprint. Decode keeps no reference to b. After an error s is empty.
func (s *State) Decode(b []byte) error {
	err := s.decode(b, false)
	if err != nil {
		s.Reset()
	}
	return err
}

// Load is Decode for reading: it decodes only what the features of the view need, unless rows
// are pending. s refers to b until it is reset, and must be neither added to nor encoded.
func (s *State) Load(b []byte) error {
	err := s.decode(b, true)
	if err == nil && len(s.pending) > 0 {
		err = s.decode(b, false) // Fold may have to add the pending rows
	}
	if err != nil {
		s.Reset()
	}
	return err
}

// NewestOf is the newest time of an encoded state; Always if it is before since or the state cannot be
// read.
func (k *View) NewestOf(b []byte, since plan.EventTime) plan.EventTime {
	h, err := k.head(b)
	if err != nil || h.newest < since || !intact(b) {
		return plan.Always
	}
	return h.newest
}

// AppliedOf is the positions that an encoded state has applied, none if it cannot be read. It does
// not check the rest.
func (k *View) AppliedOf(b []byte) logpos.Vector {
	h, err := k.head(b)
	if err != nil {
		return nil
	}
	var v logpos.Vector
	if h.decodeApplied(&v) != nil {
		return nil
	}
	return v
}

// stateHead is the front of an encoded state.
type stateHead struct {
	revision uint64
	sharded  bool   // there are encoded positions
	lost     bool   // it is the record of a lost state
	applied  []byte // begins with them
	newest   plan.EventTime
	body     []byte // what follows
}

func (k *View) head(b []byte) (h stateHead, err error) {
	if len(b) < stateHeader+4 {
		return h, errState
	}
	if f := b[8]; f != stateFormat && f != stateFormat5 && f != stateFormat3 && f != asideFormat && f != asideFormat5 && f != lostFormat {
		if !intact(b) {
			return h, fmt.Errorf("state: format %d, and the checksum does not match: %w", b[8], ErrDamaged)
		}
		return h, fmt.Errorf("state: format %d; this program reads %d to %d; run: unskew materialize --full --view %s",
			b[8], stateFormat3, stateFormat5, k.plan.Name)
	}
	if string(b[9:stateHeader]) != string(k.plan.Fingerprint[:fingerprintLen]) {
		return h, fmt.Errorf("state: belongs to another version of view %s (%x, not %x): %w", k.plan.Name, b[9:15], k.plan.Fingerprint[:6], ErrDamaged)
	}
	h.revision, h.body = binary.BigEndian.Uint64(b), b[stateHeader:len(b)-4]
	ok := true
	h.lost = b[8] == lostFormat
	if h.sharded = b[8] == stateFormat5 || b[8] == asideFormat5; h.sharded {
		h.applied = h.body
		if h.body, ok = logpos.Skip(h.body); !ok {
			return h, errState
		}
	}
	n, body, ok := varint(h.body)
	if !ok || h.revision == 0 {
		return h, errState
	}
	h.newest, h.body = plan.EventTime(n), body
	return h, nil
}

// decodeApplied decodes the applied positions into v.
func (h *stateHead) decodeApplied(v *logpos.Vector) error {
	*v = (*v)[:0]
	if h.lost {
		return nil
	}
	if !h.sharded {
		v.Raise(0, h.revision-1)
		return nil
	}
	if _, ok := v.Decode(h.applied); !ok || v.OnlyFirst() || v.Sum()+1 != h.revision {
		return errState
	}
	return nil
}

// intact reports whether an encoding has the checksum that it ends with.
func intact(b []byte) bool {
	n := len(b) - 4
	return crc32.Checksum(b[:n], castagnoli) == binary.BigEndian.Uint32(b[n:])
}

func (s *State) decode(b []byte, reading bool) error {
	s.Reset()
	h, err := s.view.head(b)
	if err != nil {
		return err
	}
	if !intact(b) {
		return fmt.Errorf("state: checksum does not match: %w", ErrDamaged)
	}
	if err := h.decodeApplied(&s.applied); err != nil {
		return err
	}
	s.newest = h.newest
	if b[8] == asideFormat || b[8] == asideFormat5 || b[8] == lostFormat {
		s.lost = h.lost
		return s.decodeAside(h.body)
	}
	var ok bool
	body := h.body
	if s.events, body, ok = uvarint(body); !ok {
		return errState
	}
	for g := range s.series {
		var err error
		switch series := &s.series[g]; {
		case b[8] == stateFormat3:
			body, err = series.DecodeFormat3(body, s.newest)
		case reading:
			body, err = series.Load(body, s.newest, s.view.groups[g].need)
		default:
			body, err = series.Decode(body, s.newest)
		}
		if err != nil {
			return fmt.Errorf("state: group %d: %w: %w", g, err, ErrDamaged)
		}
	}
	if err := s.decodePending(body); err != nil {
		return err
	}
	return s.Check()
}

// Check reports why Decode would refuse the encoding of s. It should be nil for every state
// that Apply and Fold make. Encode checks all the same, because a stored state that cannot be
// read is lost.
func (s *State) Check() error {
	if s.newest != plan.Always && !s.newest.Valid() {
		return fmt.Errorf("state: its newest time %d is outside the years 0001 to 9999", int64(s.newest))
	}
	for i := range s.pending {
		if p := &s.pending[i]; !s.view.accepts(p, s.newest) {
			return fmt.Errorf("state: invalid pending row of slot %d with visible time %v and event time %v; the newest visible time is %v", p.slot, p.visible, p.time, s.newest)
		}
	}
	return nil
}

// uvarint and varint read a number; they refuse one that is not encoded in the fewest bytes.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func varint(b []byte) (v int64, rest []byte, ok bool) {
	v, n := binary.Varint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// readAggregates stores the value of every windowed aggregate as of t in row i of out. No row
// in the tiles may be visible at or after t.
func (s *State) readAggregates(out []*vector.Vector, i int, t plan.EventTime) {
	for g := range s.view.groups {
		s.readGroup(g, out, i, t)
	}
}

// readGroup merges the tiles from the newest back and reads each window when it reaches the
// window's tail.
func (s *State) readGroup(g int, out []*vector.Vector, i int, t plan.EventTime) {
	series, grp := &s.series[g], &s.view.groups[g]
	acc, tiles := &grp.acc, series.Partials()
	acc.Reset(0)
	end := series.Tiles()
	for _, x := range grp.tailsAsOf(t) {
		if begin := series.Before(x.lower); begin < end {
			for c, need := range grp.need {
				if need {
					acc.Merge(c, 0, tiles, begin, end)
				}
			}
			end = begin
		}
		grp.emit(x.window, out, i)
	}
}

// emit stores the values of the aggregates over a window.
func (g *group) emit(window int, out []*vector.Vector, i int) {
	for _, r := range g.windows[window].aggs {
		g.acc.Value(r.column, 0, r.as, out[r.agg], i)
	}
}

// tail is the lower end of a window.
type tail struct {
	lower  plan.EventTime
	window int
}

// tailsAsOf lists the tails of the group's windows as of t, latest first.
func (g *group) tailsAsOf(t plan.EventTime) []tail {
	if len(g.tails) == len(g.windows) && g.tailsAt == t {
		return g.tails
	}
	g.tailsAt, g.tails = t, g.tails[:0]
	for w := range g.windows {
		x := tail{g.windows[w].window.Lower(t), w}
		j := len(g.tails)
		g.tails = append(g.tails, x)
		for ; j > 0 && g.tails[j-1].lower < x.lower; j-- {
			g.tails[j] = g.tails[j-1]
		}
		g.tails[j] = x
	}
	return g.tails
}
