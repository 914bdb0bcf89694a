package registry

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Reached is the last record of each shard of the log that a generation's states may contain, by number of
// the shard. It is stored before states are written, unlike the offset, which follows them. Marks
// identify the records (see eventlog.Record), so that a log that was replaced or
// lost records is noticed.
type Reached []Mark

// Mark is a record of a shard, the zero value if there is none.
type Mark struct {
	Position uint64
	Mark     uint64
}

const (
	reachedPrefix = 'r'
	reachedLen    = 8 + 8
)

// ReachedKey is the key of the generation's Reached.
func (g Generation) ReachedKey() []byte {
	b := g.Prefix()
	b[0] = reachedPrefix
	return b
}

// At is the record of a shard.
func (r Reached) At(shard int) Mark {
	if shard < len(r) {
		return r[shard]
	}
	return Mark{}
}

// Positions are those of the records.
func (r Reached) Positions() logpos.Vector {
	v := make(logpos.Vector, 0, len(r))
	for k, m := range r {
		v.Raise(k, m.Position)
	}
	return v
}

// Raise sets the record of a shard unless it is there or beyond. It may change the memory of r.
func (r *Reached) Raise(shard int, m Mark) {
	if m.Position <= r.At(shard).Position {
		return
	}
	for len(*r) <= shard {
		*r = append(*r, Mark{})
	}
	(*r)[shard] = m
}

// Max is the greater record of each shard, in new memory.
func (r Reached) Max(other Reached) Reached {
	out := append(Reached(nil), r...)
	for k, m := range other {
		out.Raise(k, m)
	}
	return out
}

// Value is the revision, which is the sum of the positions plus one, and the mark of the first shard; if there are others, the revision, the
// positions and the mark of each.
func (r Reached) Value() []byte {
	v := r.Positions()
	b := binary.BigEndian.AppendUint64(make([]byte, 0, reachedLen), r.expect())
	if v.OnlyFirst() {
		return binary.BigEndian.AppendUint64(b, r.At(0).Mark)
	}
	b = v.Append(b)
	for _, m := range r {
		if m.Position != 0 {
			b = binary.BigEndian.AppendUint64(b, m.Mark)
		}
	}
	return b
}

// expect is the revision of the stored value.
func (r Reached) expect() uint64 {
	if len(r) == 0 {
		return onlinestore.Absent
	}
	return r.Positions().Sum() + 1
}

func decodeReached(g Generation, b []byte) (Reached, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) < reachedLen || onlinestore.Revision(b) == onlinestore.Absent {
		return nil, damagedPosition(g)
	}
	if len(b) == reachedLen {
		return Reached{{Position: onlinestore.Revision(b) - 1, Mark: binary.BigEndian.Uint64(b[8:])}}, nil
	}
	var v logpos.Vector
	marks, ok := v.Decode(b[8:])
	if !ok || v.Sum()+1 != onlinestore.Revision(b) {
		return nil, damagedPosition(g)
	}
	r := make(Reached, len(v))
	for k, p := range v {
		if p == 0 {
			continue
		}
		if len(marks) < 8 {
			return nil, damagedPosition(g)
		}
		r[k], marks = Mark{p, binary.BigEndian.Uint64(marks)}, marks[8:]
	}
	if len(marks) > 0 {
		return nil, damagedPosition(g)
	}
	return r, nil
}

// Progress returns how far the log was consumed for g, and how far its states may reach. States
// of an older version of this program have no Reached.
func Progress(ctx context.Context, store onlinestore.Store, g Generation) (offset logpos.Vector, reached Reached, err error) {
	// The offset is read first, since whoever advances it has stored Reached before.
	got, err := store.Get(ctx, [][]byte{g.OffsetKey(), g.ReachedKey()})
	if err != nil {
		return nil, nil, fmt.Errorf("log position of view %s: %w", g.View.Short(), err)
	}
	return g.progress(got[0], got[1])
}

// progress decodes the stored offset of g and its Reached, nil where there is none.
func (g Generation) progress(storedOffset, storedReached []byte) (offset logpos.Vector, reached Reached, err error) {
	if offset, err = g.offset(storedOffset); err != nil {
		return nil, nil, err
	}
	reached, err = decodeReached(g, storedReached)
	return offset, reached, err
}

// Advance stores that states of the generations may reach records. from is what is stored
// for each, as far as the caller knows. It changes nothing in a shard where another applier reached further.
func Advance(ctx context.Context, store onlinestore.Store, gs []Generation, from []Reached, to Reached) error {
	for len(gs) > 0 {
		writes := make([]onlinestore.Write, 0, len(gs))
		var of []Generation
		for i, g := range gs {
			if !from[i].Positions().Covers(to.Positions()) {
				writes = append(writes, onlinestore.Write{Key: g.ReachedKey(), Expect: from[i].expect(), Value: from[i].Max(to).Value()})
				of = append(of, g)
			}
		}
		if len(writes) == 0 {
			return nil
		}
		done, err := store.Swap(ctx, writes)
		if err != nil {
			return fmt.Errorf("store the log position that states may reach: %w", err)
		}
		gs, from = nil, nil
		for i, g := range of {
			if done[i] {
				continue
			}
			_, now, err := Progress(ctx, store, g)
			if err != nil {
				return err
			}
			gs, from = append(gs, g), append(from, now)
		}
	}
	return nil
}
