package explain

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
)

// maxEvents bounds how many events of the entity are kept, the newest; all are counted, and all are in the values.
const maxEvents = 100_000

// maxCompared bounds how many events of the entity are looked for on the other side, for their memory.
const maxCompared = 1_000_000

// defaultMemory is Config.Memory.
const defaultMemory = 1 << 30

// eventBytes is an event without its texts, with its identity and its place in a map; partBytes is what a part makes of it.
const (
	eventBytes = 256
	partBytes  = 48
)

// note calls f with the events of the entity in a batch.
func (x *explainer) note(probe *kernel.View, ev *kernel.Events, f func(e *Event, id identity)) {
	cols := probe.KeyColumns(ev, nil)
	var mine []int
	var key []byte
	for i := range ev.Batch.N {
		var whole bool
		if key, whole = entitykey.AppendRow(key[:0], cols, i); whole && bytes.Equal(key, x.key) {
			mine = append(mine, i)
		}
	}
	if len(mine) == 0 {
		return
	}
	rows := probe.Eval(ev)
	for _, i := range mine {
		f(x.event(rows, ev, i), x.identify(ev, i))
	}
}

// event describes row i of a batch.
func (x *explainer) event(rows *kernel.Rows, ev *kernel.Events, i int) *Event {
	e := &Event{Time: ev.Time[i].String(), Known: ev.Visible(i).String(), Fills: ev.Fills(i), time: ev.Time[i]}
	if ev.ID != nil {
		e.ID = shown(ev.ID[i])
	}
	for p := range x.out.Parts {
		e.Parts = append(e.Parts, x.inPart(&x.out.Parts[p], rows, ev, i))
	}
	return e
}

// shownBytes is how much of an id or a value is shown.
const shownBytes = 256

// shown is a copy of a text, cut if it is long.
func shown(text string) string {
	if len(text) <= shownBytes {
		return strings.Clone(text)
	}
	return strings.ToValidUTF8(text[:shownBytes], "") + "…"
}

// inPart says what a part makes of row i.
func (x *explainer) inPart(p *Part, rows *kernel.Rows, ev *kernel.Events, i int) (in InPart) {
	s, filtered := rows.Slot(p.probe, i), rows.Slot(p.probe+1, i)
	if s.Visible != plan.Never && s.Visible > ev.Visible(i) {
		in.Known = s.Visible.String()
	}
	switch {
	case ev.Time[i] >= x.At:
		in.LeftOut = After
	case !s.Taken || s.Visible >= x.At:
		in.LeftOut = NotKnown
	case ev.Time[i] < p.window.Lower(x.At):
		in.LeftOut = Before
	case !filtered.Passes:
		in.LeftOut = Where
	case !s.Passes:
		in.LeftOut = NoValue
	case x.View.Slots[p.slot].Arg != nil:
		in.Value = shown(s.Arg.String())
	}
	return in
}

// identity tells the events of the entity apart. It is a digest, because ids and texts can be large.
type identity [sha256.Size]byte

// identify returns the identity of an event, the same in both readings: of its id or, in a source without ids, of its content and how many
// equal ones came before.
func (x *explainer) identify(ev *kernel.Events, i int) identity {
	if ev.ID != nil {
		return sha256.Sum256(fmt.Append(nil, ev.Fills(i), filled(ev, i), ev.ID[i]))
	}
	b := plan.AppendCanonical(nil, plan.TimestampValue(ev.Time[i]))
	for _, c := range x.View.Columns() {
		if col := ev.Batch.Col(c); col != nil {
			b = plan.AppendCanonical(b, col.Value(i))
		}
	}
	content := sha256.Sum256(b)
	x.counts[content]++
	return sha256.Sum256(fmt.Append(content[:], x.counts[content]))
}

// filled names the late columns that a filling brings.
func filled(ev *kernel.Events, i int) (names []string) {
	if !ev.Fills(i) {
		return nil
	}
	for name, times := range ev.ColumnKnown {
		if times[i] != plan.Never && !ev.KnownBefore[name].Get(i) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// keep keeps an event, unless there are too many newer ones.
func (x *explainer) keep(e *Event) {
	if e.time < x.older {
		return
	}
	x.events = append(x.events, e)
	x.held += e.bytes()
	if len(x.events) < 2*maxEvents && x.held < x.Memory {
		return
	}
	slices.SortFunc(x.events, func(a, b *Event) int { return cmp.Compare(b.time, a.time) })
	n := min(maxEvents, len(x.events)/2)
	x.older = x.events[n].time
	for _, e := range x.events[n:] {
		x.held -= e.bytes()
	}
	clear(x.events[n:])
	x.events = x.events[:n]
}

// bytes is what an event takes in memory, about.
func (e *Event) bytes() int64 {
	n := eventBytes + len(e.ID) + len(e.Time) + len(e.Known)
	for i := range e.Parts {
		n += partBytes + len(e.Parts[i].Value) + len(e.Parts[i].Known)
	}
	return int64(n)
}
