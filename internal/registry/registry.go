// Package registry stores, in the online store, which generation of each view's state is live, and
// finds that state.
//
// A generation is one build of a view's state from history. It is written beside the live one, under
// a prefix of its own, and becomes live by a single write, so a reader never sees parts of two
// builds. Every key begins with the view's fingerprint, so state is never read under another
// definition.
package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
)

// Generation is one build of a view's state. docs/formats/state.md describes its keys and its record.
type Generation struct {
	View         plan.Fingerprint
	Number       uint64         // ascending from 1; also the revision of the record
	Build        uint64         // distinguishes builds with the same number, of which at most one becomes live
	Materialized plan.EventTime // the state has the events of history that are visible before this time
	Positions    logpos.Fixed   // the state has the log up to these positions
	Inputs       [32]byte       // identifies the history it was built from
	Indexed      bool           // it has an index of its entities, see Index
	Depth        uint8          // at which the index has its first buckets
}

const (
	statePrefix  = 's'
	livePrefix   = 'l'
	offsetPrefix = 'o'
	prefixLen    = 1 + 32 + 8 + 8
	recordLen    = 8 + 1 + 8 + 8 + 8 + 32
	recordFormat = 1

	recordFormat2 = 2 // followed by positions, of which not all are in the first shard
	recordFormat3 = 3 // followed by the depth of the index, and by positions as in format 2 unless all are in the first shard
)

// Prefix returns the prefix of the keys of the generation's states.
func (g Generation) Prefix() []byte {
	return binary.BigEndian.AppendUint64(numberPrefix(statePrefix, g.View, g.Number), g.Build)
}

// numberPrefix returns the prefix of the keys of all builds with a number.
func numberPrefix(kind byte, view plan.Fingerprint, number uint64) []byte {
	b := append(make([]byte, 0, prefixLen), kind)
	b = append(b, view[:]...)
	return binary.BigEndian.AppendUint64(b, number)
}

// StateKey returns the key of an entity's state.
func (g Generation) StateKey(entity []byte) []byte { return append(g.Prefix(), entity...) }

// OffsetKey returns the key of the position up to which the log was consumed for this generation.
func (g Generation) OffsetKey() []byte {
	b := g.Prefix()
	b[0] = offsetPrefix
	return b
}

func liveKey(view plan.Fingerprint) []byte { return append([]byte{livePrefix}, view[:]...) }

func (g Generation) record() []byte {
	positions := g.Positions.Vector()
	first := positions.OnlyFirst()
	b := binary.BigEndian.AppendUint64(make([]byte, 0, recordLen), g.Number)
	switch {
	case g.Indexed:
		b = append(b, recordFormat3)
	case first:
		b = append(b, recordFormat)
	default:
		b = append(b, recordFormat2)
	}
	b = binary.BigEndian.AppendUint64(b, g.Build)
	b = binary.BigEndian.AppendUint64(b, uint64(g.Materialized))
	b = binary.BigEndian.AppendUint64(b, positions.At(0))
	b = append(b, g.Inputs[:]...)
	if g.Indexed {
		b = append(b, g.Depth)
	}
	if first {
		return b
	}
	return positions.Append(b)
}

func decodeRecord(view plan.Fingerprint, b []byte) (Generation, error) {
	damaged := fmt.Errorf("registry: the record of view %s is damaged or of another format (%d bytes); restore the store or empty it and materialize again", view.Short(), len(b))
	if len(b) < recordLen || b[8] < recordFormat || b[8] > recordFormat3 || b[8] == recordFormat && len(b) != recordLen {
		return Generation{}, damaged
	}
	g := Generation{
		View: view, Number: binary.BigEndian.Uint64(b),
		Build:        binary.BigEndian.Uint64(b[9:]),
		Materialized: plan.EventTime(binary.BigEndian.Uint64(b[17:])),
		Positions:    logpos.One(0, binary.BigEndian.Uint64(b[25:])).Fix(),
	}
	copy(g.Inputs[:], b[33:])
	rest := b[recordLen:]
	if b[8] == recordFormat3 {
		if len(rest) == 0 || rest[0] > deepestFirst {
			return Generation{}, damaged
		}
		g.Indexed, g.Depth, rest = true, rest[0], rest[1:]
	}
	if b[8] == recordFormat2 || len(rest) > 0 {
		var positions logpos.Vector
		if rest, ok := positions.Decode(rest); !ok || len(rest) > 0 {
			return Generation{}, damaged
		}
		g.Positions = positions.Fix()
	}
	return g, nil
}

// NotMaterialized says that a view has no live state.
type NotMaterialized struct{ View *plan.View }

func (e *NotMaterialized) Error() string {
	return fmt.Sprintf("view %s (version %s) has no online state yet; run: unskew materialize --view %s", e.View.Name, e.View.Fingerprint.Short(), e.View.Name)
}

// Live returns the live generation of a view. The error is a *NotMaterialized if there is none.
func Live(ctx context.Context, store onlinestore.Store, view *plan.View) (Generation, error) {
	got, err := store.Get(ctx, [][]byte{liveKey(view.Fingerprint)})
	if err != nil {
		return Generation{}, fmt.Errorf("live generation of view %s: %w", view.Name, err)
	}
	if got[0] == nil {
		return Generation{}, &NotMaterialized{view}
	}
	return decodeRecord(view.Fingerprint, got[0])
}

// Next returns the number for a new build of a view, one more than that of the live generation, and
// that generation; nil if there is none.
func Next(ctx context.Context, store onlinestore.Store, view *plan.View) (number uint64, live *Generation, err error) {
	g, err := Live(ctx, store, view)
	var none *NotMaterialized
	switch {
	case errors.As(err, &none):
		return 1, nil, nil
	case err != nil:
		return 0, nil, err
	}
	return g.Number + 1, &g, nil
}

// ErrSuperseded says that another build became live first.
var ErrSuperseded = errors.New("another materialization of the same view finished first and stays live")

// Promote makes g live in place of the generation with the previous number. If that one is not live
// any more, the error is ErrSuperseded.
func Promote(ctx context.Context, store onlinestore.Store, g Generation) error {
	superseded := false
	err := changeLive(ctx, store, change{g.View, g.Number, g.Build}, func() error {
		done, err := store.Swap(ctx, []onlinestore.Write{{Key: liveKey(g.View), Expect: g.Number - 1, Value: g.record()}})
		superseded = err == nil && !done[0]
		return err
	})
	if err != nil {
		return fmt.Errorf("promote generation %d of %s: %w", g.Number, g.View.Short(), err)
	}
	if superseded {
		return ErrSuperseded
	}
	return nil
}

// Drop removes the state of a build that is not live.
func Drop(ctx context.Context, store onlinestore.Store, g Generation) error {
	for _, prefix := range [][]byte{g.Prefix(), g.letters(), g.changesKey(), g.OffsetKey(), g.ReachedKey(), g.indexes()} {
		if err := store.DeletePrefix(ctx, prefix); err != nil {
			return err
		}
	}
	return nil
}

// DropNumber removes the states of all builds with a number, which must not be live any more,
// including interrupted ones.
func DropNumber(ctx context.Context, store onlinestore.Store, view plan.Fingerprint, number uint64) error {
	for _, kind := range []byte{statePrefix, letterPrefix, changesPrefix, offsetPrefix, reachedPrefix, indexPrefix} {
		if err := store.DeletePrefix(ctx, numberPrefix(kind, view, number)); err != nil {
			return err
		}
	}
	return nil
}

// SetOffset stores that the log was consumed for g up to the given positions, in addition to what others
// have stored.
func SetOffset(ctx context.Context, store onlinestore.Store, g Generation, to logpos.Vector) error {
	for {
		got, err := store.Get(ctx, [][]byte{g.OffsetKey()})
		if err != nil {
			return err
		}
		stored, expect, err := decodeOffset(g, got[0])
		if err != nil || expect != onlinestore.Absent && stored.Covers(to) {
			return err
		}
		done, err := store.Swap(ctx, []onlinestore.Write{{Key: g.OffsetKey(), Expect: expect, Value: offsetValue(logpos.Max(stored, to))}})
		if err != nil || done[0] {
			return err
		}
	}
}

// offsetValue encodes an offset: the revision, which is one more than the records consumed, and the positions
// unless all are of the first shard.
func offsetValue(v logpos.Vector) []byte {
	b := binary.BigEndian.AppendUint64(nil, v.Sum()+1)
	if v.OnlyFirst() {
		return b
	}
	return v.Append(b)
}

// decodeOffset decodes a stored offset, nil if there is none.
func decodeOffset(g Generation, b []byte) (v logpos.Vector, revision uint64, err error) {
	if b == nil {
		return nil, onlinestore.Absent, nil
	}
	if revision = onlinestore.Revision(b); revision == onlinestore.Absent {
		return nil, 0, damagedPosition(g)
	}
	if len(b) == 8 {
		return logpos.One(0, revision-1), revision, nil
	}
	if rest, ok := v.Decode(b[8:]); !ok || len(rest) > 0 || v.Sum()+1 != revision {
		return nil, 0, damagedPosition(g)
	}
	return v, revision, nil
}

// Consumed is how far the log was consumed for the live generation of a view.
type Consumed struct {
	Generation Generation // Number is 0 if the view has no live state
	Offset     logpos.Vector
	Reached    Reached
}

// ConsumedBy returns how far each view has consumed the log, in two round trips.
func ConsumedBy(ctx context.Context, store onlinestore.Store, views []*plan.View) ([]Consumed, error) {
	out := make([]Consumed, len(views))
	records, err := store.Get(ctx, keysOf(views, func(i int) []byte { return liveKey(views[i].Fingerprint) }))
	if err != nil {
		return nil, err
	}
	for i, record := range records {
		if record == nil {
			continue
		}
		if out[i].Generation, err = decodeRecord(views[i].Fingerprint, record); err != nil {
			return nil, err
		}
	}
	positions, err := store.Get(ctx, append(
		keysOf(views, func(i int) []byte { return out[i].Generation.OffsetKey() }),
		keysOf(views, func(i int) []byte { return out[i].Generation.ReachedKey() })...))
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Offset, out[i].Reached, err = out[i].Generation.progress(positions[i], positions[len(views)+i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// offset decodes the stored offset of g, nil if there is none.
func (g Generation) offset(stored []byte) (logpos.Vector, error) {
	v, _, err := decodeOffset(g, stored)
	if err != nil {
		return nil, err
	}
	return logpos.Max(g.Positions.Vector(), v), nil
}

func keysOf(views []*plan.View, key func(i int) []byte) [][]byte {
	keys := make([][]byte, len(views))
	for i := range views {
		keys[i] = key(i)
	}
	return keys
}

func damagedPosition(g Generation) error {
	return fmt.Errorf("registry: the log position of view %s, generation %d, is damaged; materialize the view again", g.View.Short(), g.Number)
}
