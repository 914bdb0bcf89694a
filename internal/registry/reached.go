package registry

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/unskew/unskew/internal/onlinestore"
)

// Reached is the last record of the log that a generation's states may contain, the zero value
// if none. It is stored before states are written, unlike the offset, which follows them. Mark
// identifies the record (see eventlog.Record), so that a log that was replaced or
// lost records is noticed.
type Reached struct {
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

// Value is the position plus one, which is the revision, and the mark.
func (r Reached) Value() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, reachedLen), r.Position+1), r.Mark)
}

// expect is the revision of the stored value.
func (r Reached) expect() uint64 {
	if r == (Reached{}) {
		return onlinestore.Absent
	}
	return r.Position + 1
}

func decodeReached(g Generation, b []byte) (Reached, error) {
	if b == nil {
		return Reached{}, nil
	}
	if len(b) != reachedLen || onlinestore.Revision(b) == onlinestore.Absent {
		return Reached{}, damagedPosition(g)
	}
	return Reached{Position: binary.BigEndian.Uint64(b) - 1, Mark: binary.BigEndian.Uint64(b[8:])}, nil
}

// Progress returns how far the log was consumed for g, and how far its states may reach. States
// of an older version of this program have no Reached.
func Progress(ctx context.Context, store onlinestore.Store, g Generation) (offset uint64, reached Reached, err error) {
	// The offset is read first, since whoever advances it has stored Reached before.
	got, err := store.Get(ctx, [][]byte{g.OffsetKey(), g.ReachedKey()})
	if err != nil {
		return 0, Reached{}, fmt.Errorf("log position of view %s: %w", g.View.Short(), err)
	}
	return g.progress(got[0], got[1])
}

// progress decodes the stored offset of g and its Reached, nil where there is none.
func (g Generation) progress(storedOffset, storedReached []byte) (offset uint64, reached Reached, err error) {
	if offset, err = g.offset(storedOffset); err != nil {
		return 0, Reached{}, err
	}
	reached, err = decodeReached(g, storedReached)
	return offset, reached, err
}

// Advance stores that states of the generations may reach a record. from is what is stored
// for each, as far as the caller knows. It changes nothing where another applier reached further.
func Advance(ctx context.Context, store onlinestore.Store, gs []Generation, from []Reached, to Reached) error {
	for len(gs) > 0 {
		writes := make([]onlinestore.Write, 0, len(gs))
		var of []Generation
		for i, g := range gs {
			if from[i].Position < to.Position {
				writes = append(writes, onlinestore.Write{Key: g.ReachedKey(), Expect: from[i].expect(), Value: to.Value()})
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
