package offline

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// holdout finds the rows of entities that are held out, while the spine is read.
type holdout struct {
	seed   string
	below  uint64 // an entity is held out if its hash is less
	tuples []heldTuple
	rows   []bool
	buf    []byte
}

// heldTuple is a list of key columns that name the entity.
type heldTuple struct {
	tuple int
	held  []bool // by entity
}

// newHoldout is nil if nothing is held out.
func newHoldout(set *plan.TrainingSet, tuple func(keys []string) int) *holdout {
	if set.Split == nil || set.Split.Holdout == nil {
		return nil
	}
	spec := set.Split.Holdout
	h := &holdout{seed: spec.Seed, below: uint64(math.Ldexp(spec.Fraction, 64))}
	for _, ref := range set.Service.Views {
		n := tuple(ref.Keys)
		if ref.View.Entity.Name == spec.Entity && !slices.ContainsFunc(h.tuples, func(t heldTuple) bool { return t.tuple == n }) {
			h.tuples = append(h.tuples, heldTuple{tuple: n, held: []bool{false}}) // number 0 is no entity
		}
	}
	return h
}

// see processes rows that were just added to a spine, given the key columns of each tuple.
func (h *holdout) see(s *kernel.Spine, keys [][]*vector.Vector) {
	begin := len(h.rows)
	h.rows = append(h.rows, make([]bool, s.Rows()-begin)...)
	for i := range h.tuples {
		t := &h.tuples[i]
		for row, entity := range s.Entity(t.tuple)[begin:] {
			if int(entity) == len(t.held) {
				t.held = append(t.held, h.holds(keys[t.tuple], row))
			}
			h.rows[begin+row] = h.rows[begin+row] || t.held[entity]
		}
	}
}

// holds reports whether the entity of a row is held out.
func (h *holdout) holds(keys []*vector.Vector, row int) bool {
	h.buf = append(append(h.buf[:0], h.seed...), 0)
	h.buf, _ = entitykey.AppendRow(h.buf, keys, row)
	sum := sha256.Sum256(h.buf)
	return binary.BigEndian.Uint64(sum[:]) < h.below
}

// bitmap is the rows that are held out; nil if h is nil.
func (h *holdout) bitmap() vector.Bitmap {
	if h == nil {
		return nil
	}
	out := vector.NewBitmap(len(h.rows))
	for i, held := range h.rows {
		if held {
			out.Set(i)
		}
	}
	return out
}

// holdoutManifest is the manifest's section about the holdout; nil without one.
func (t *trainer) holdoutManifest() *HoldoutManifest {
	if t.spine.held == nil {
		return nil
	}
	spec := t.Set.Split.Holdout
	m := &HoldoutManifest{Entity: spec.Entity, Fraction: spec.Fraction, Seed: spec.Seed}
	for _, held := range t.spine.held.tuples {
		m.Keys = append(m.Keys, t.spine.tuples[held.tuple])
	}
	return m
}
