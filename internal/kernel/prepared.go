package kernel

import (
	"math"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// Prepared is what a View reads from the stored state of one entity before it evaluates outer
// expressions: the values of its aggregates. They are those of every time from From on and before
// Until, because in between no row enters or leaves a window. It is immutable, refers to no stored
// bytes, and belongs to the View that made it and to others compiled from the same plan with the
// same features.
type Prepared struct {
	From, Until plan.EventTime
	Applied     logpos.Vector  // of the state, as AppliedOf returns it
	Newest      plan.EventTime // of the state, as NewestOf returns it
	StateBytes  int            // length of the encoded state; 0 if there is none

	known   bool
	missing missing  // its reason is "" if there is a state
	values  []uint64 // by wanted aggregate: a number, or an index in texts or boxed
	null    vector.Bitmap
	err     vector.Bitmap
	texts   []string
	boxed   []plan.Value
}

// ValidAt reports whether the values are those as of t.
func (p *Prepared) ValidAt(t plan.EventTime) bool { return p.From <= t && t < p.Until }

// Bytes is about how much memory p takes.
func (p *Prepared) Bytes() int {
	n := preparedBytes + len(p.missing.reason) + 8*(len(p.values)+len(p.null)+len(p.err)+len(p.Applied))
	for _, s := range p.texts {
		n += textBytes + len(s)
	}
	for i := range p.boxed {
		// A boxed element takes several times its encoding.
		n += boxedBytes + boxedFactor*len(plan.AppendCanonical(nil, p.boxed[i]))
	}
	return n
}

// The size of a Prepared and its slices' rounding, of a text's header, and of a boxed value.
const (
	preparedBytes = 256
	textBytes     = 16
	boxedBytes    = 64
	boxedFactor   = 8
)

// ReadPrepared is ReadStored in which row i is prepared[i] unless that is nil; prepared[i] must be
// valid at t. Another row for which want is set is prepared, too.
func (k *View) ReadPrepared(states [][]byte, prepared []*Prepared, want []bool, t plan.EventTime) *Features {
	return k.readRows(len(states), t, func(i int) {
		if p := prepared[i]; p != nil {
			k.readKept(i, p, t)
			return
		}
		if k.readRow(i, states[i], t); want[i] {
			prepared[i] = k.prepared(i, states[i], t)
		}
	})
}

// readKept stores the values of p in row i.
func (k *View) readKept(i int, p *Prepared, t plan.EventTime) {
	if !p.ValidAt(t) {
		panic("kernel: prepared values are read at a time at which they are not valid")
	}
	k.events.Put(i, p.known)
	if p.missing.reason != "" {
		k.readMissing(i, p.missing)
		return
	}
	for n, a := range k.wanted {
		v, x := k.aggs[a], p.values[n]
		switch vector.Lane(v.Type) {
		case plan.Bool:
			v.Bits.Put(i, x != 0)
		case plan.Int:
			v.Int[i] = int64(x)
		case plan.Double:
			v.Double[i] = math.Float64frombits(x)
		case plan.String:
			v.Str[i] = p.texts[x]
		default:
			v.Any[i] = p.boxed[x]
		}
	}
	for n, a := range k.wanted {
		if p.null.Get(n) {
			k.aggs[a].SetNull(i)
		}
		if p.err.Get(n) {
			k.aggs[a].SetErr(i)
		}
	}
}

// prepared copies row i, which was just read from the state b as of t.
func (k *View) prepared(i int, b []byte, t plan.EventTime) *Prepared {
	p := &Prepared{From: plan.Always, Until: plan.Never, Newest: plan.Always, StateBytes: len(b), known: k.events.Get(i)}
	if b != nil {
		p.Newest, p.Applied = k.NewestOf(b, plan.Always), k.AppliedOf(b)
		if p.missing = k.missing[i]; p.missing.reason != "" {
			p.missing.reason = strings.Clone(p.missing.reason)
			return p
		}
		p.From, p.Until = k.stored.validity(t)
	}
	p.values = make([]uint64, len(k.wanted))
	for n, a := range k.wanted {
		p.copyValue(n, k.aggs[a], i)
	}
	return p
}

// copyValue copies row i of an aggregate, the n-th wanted one.
func (p *Prepared) copyValue(n int, v *vector.Vector, i int) {
	if !v.Valid(i) {
		lost := &p.null
		if v.IsErr(i) {
			lost = &p.err
		}
		if *lost == nil {
			*lost = vector.NewBitmap(len(p.values))
		}
		lost.Set(n)
	}
	valid := v.Valid(i)
	switch vector.Lane(v.Type) {
	case plan.Bool:
		if v.Bits.Get(i) {
			p.values[n] = 1
		}
	case plan.Int:
		p.values[n] = uint64(v.Int[i])
	case plan.Double:
		p.values[n] = math.Float64bits(v.Double[i])
	case plan.String:
		p.values[n] = uint64(len(p.texts))
		text := ""
		if valid {
			text = strings.Clone(v.Str[i])
		}
		p.texts = append(p.texts, text)
	default:
		p.values[n] = uint64(len(p.boxed))
		p.boxed = append(p.boxed, plan.NullValue())
		if valid {
			p.boxed[p.values[n]] = boxed(v, i)
		}
	}
}

// validity is the times around t as of which every window of the state has the same rows as as of
// t. The state must have been read as of t.
func (s *State) validity(t plan.EventTime) (from, until plan.EventTime) {
	from, until = s.newest+1, plan.Never
	for i := range s.pending {
		until = min(until, s.pending[i].visible+1)
	}
	for g := range s.series {
		for _, x := range s.view.groups[g].tailsAsOf(t) {
			f, u := s.series[g].Same(s.view.groups[g].windows[x.window].window, x.lower)
			from, until = max(from, f), min(until, u)
		}
	}
	return from, until
}
