package offline

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

var idSeed = maphash.MakeSeed()

// idSet holds 64-bit hashes of event ids: eight bytes each, however long they are. It
// may say of an id that was not added that it was; whoever asks must not mind.
type idSet map[uint64]struct{}

// add adds an id; "" is none.
func (s *idSet) add(id string) {
	if id == "" {
		return
	}
	if *s == nil {
		*s = idSet{}
	}
	(*s)[maphash.String(idSeed, id)] = struct{}{}
}

// addAll adds the ids of another set.
func (s *idSet) addAll(o idSet) {
	if *s == nil {
		*s = o
		return
	}
	maps.Copy(*s, o)
}

func (s idSet) has(id string) bool {
	if id == "" {
		return false
	}
	_, ok := s[maphash.String(idSeed, id)]
	return ok
}

// resolver decides which of the rows with one event id stands. The outcome does
// not depend on the order in which rows are added.
type resolver struct {
	byID map[string]*candidates
	buf  []byte
}

// candidates are the rows with one id.
type candidates struct {
	visible  plan.EventTime // of the row that stands so far
	row      []byte         // its columns' canonical encodings, in the source's order
	known    plan.EventTime // it was not known before; Always of a row from a file
	payloads []payloadCount // of all rows
}

type payloadCount struct {
	digest eventlog.Digest
	rows   int64
}

// add adds row i of ev, whose batch has all columns in the source's order. known is
// a lower bound of its known time that its columns do not carry.
func (r *resolver) add(ev *kernel.Events, i int, known plan.EventTime) {
	r.buf = r.buf[:0]
	for _, col := range ev.Batch.Cols {
		r.buf = plan.AppendCanonical(r.buf, col.Value(i))
	}
	visible := ev.Visible(i)
	c, ok := r.byID[ev.ID[i]]
	if !ok {
		if r.byID == nil {
			r.byID = map[string]*candidates{}
		}
		c = &candidates{visible: visible, row: bytes.Clone(r.buf), known: known}
		r.byID[strings.Clone(ev.ID[i])] = c
	}
	c.count(eventlog.DigestOf(r.buf))
	if less := cmp.Or(cmp.Compare(visible, c.visible), bytes.Compare(r.buf, c.row), cmp.Compare(known, c.known)); less < 0 {
		c.visible, c.row, c.known = visible, append(c.row[:0], r.buf...), known
	}
}

func (c *candidates) count(d eventlog.Digest) {
	for i := range c.payloads {
		if c.payloads[i].digest == d {
			c.payloads[i].rows++
			return
		}
	}
	c.payloads = append(c.payloads, payloadCount{d, 1})
}

// counts is how many rows do not stand, and how many of them differ from the one that does.
func (r *resolver) counts() (redelivered, conflicts int64) {
	for _, c := range r.byID {
		stands := eventlog.DigestOf(c.row)
		redelivered--
		for _, p := range c.payloads {
			redelivered += p.rows
			if p.digest != stands {
				conflicts += p.rows
			}
		}
	}
	return redelivered, conflicts
}

// each calls f with the rows that stand, at most n at a time, in the order of their
// ids: as a batch with the given fields, and the lower bounds of their known times.
func (r *resolver) each(fields []plan.Field, n int, f func(b *vector.Batch, known []plan.EventTime) error) error {
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(r.byID)), n) {
		b, known := vector.NewBatch(fields, len(ids)), make([]plan.EventTime, len(ids))
		for i, id := range ids {
			c := r.byID[id]
			known[i] = c.known
			row := c.row
			for _, col := range b.Cols {
				v, rest, err := plan.DecodeCanonical(row)
				if err != nil {
					return fmt.Errorf("event %q: %w", id, err)
				}
				col.Set(i, v)
				row = rest
			}
		}
		if err := f(b, known); err != nil {
			return err
		}
	}
	return nil
}
