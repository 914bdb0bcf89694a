// Package logpos is positions in a log that is divided into shards.
package logpos

import (
	"encoding/binary"
	"slices"
)

// MaxShards is the largest number of shards of a source's log.
const MaxShards = 256

// Vector is a position for each shard of a source's log, by number of the shard. Shards beyond its
// length are at position 0. Position 0 is before the first record.
type Vector []uint64

// One is the vector with a position in one shard.
func One(shard int, p uint64) Vector {
	var v Vector
	v.Raise(shard, p)
	return v
}

// At is the position in a shard.
func (v Vector) At(shard int) uint64 {
	if shard < len(v) {
		return v[shard]
	}
	return 0
}

// Raise sets the position in a shard to p unless it is there or beyond. It may change the memory of v.
func (v *Vector) Raise(shard int, p uint64) {
	if p == 0 {
		return
	}
	for len(*v) <= shard {
		*v = append(*v, 0)
	}
	(*v)[shard] = max((*v)[shard], p)
}

// RaiseTo raises every position to that of w.
func (v *Vector) RaiseTo(w Vector) {
	for k, p := range w {
		v.Raise(k, p)
	}
}

// Clone returns a copy that shares nothing with v.
func (v Vector) Clone() Vector { return slices.Clone(v) }

// Max is the greater position of each shard, in new memory.
func Max(v, w Vector) Vector {
	out := v.Clone()
	out.RaiseTo(w)
	return out
}

// Min is the lesser position of each shard, in new memory.
func Min(v, w Vector) Vector {
	out := make(Vector, 0, min(len(v), len(w)))
	for k := range min(len(v), len(w)) {
		out.Raise(k, min(v[k], w[k]))
	}
	return out
}

// Covers reports whether no position of w is beyond that of v.
func (v Vector) Covers(w Vector) bool {
	for k, p := range w {
		if p > v.At(k) {
			return false
		}
	}
	return true
}

// Equal reports whether all positions are equal.
func (v Vector) Equal(w Vector) bool { return v.Covers(w) && w.Covers(v) }

// Sum is the sum of the positions, so how many records they are. Along a chain of vectors each
// of which raises the one before, it grows strictly.
func (v Vector) Sum() (n uint64) {
	for _, p := range v {
		n += p
	}
	return n
}

// After is how many records are after w and not after v.
func (v Vector) After(w Vector) (n uint64) {
	for k, p := range v {
		n += p - min(p, w.At(k))
	}
	return n
}

// OnlyFirst reports whether the positions of all shards but the first are 0.
func (v Vector) OnlyFirst() bool {
	for _, p := range v[min(1, len(v)):] {
		if p != 0 {
			return false
		}
	}
	return true
}

// Append appends the encoding of v: how many positions are not 0, and for each of them by how much the number of its shard
// exceeds that of the one before (for the first, its number) and the position; all as varints.
func (v Vector) Append(dst []byte) []byte {
	n := uint64(0)
	for _, p := range v {
		if p != 0 {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, n)
	last := 0
	for k, p := range v {
		if p != 0 {
			dst = binary.AppendUvarint(dst, uint64(k-last))
			dst = binary.AppendUvarint(dst, p)
			last = k
		}
	}
	return dst
}

// Decode decodes what Append returned at the front of b into v, whose memory it uses. ok is false if b does
// not begin with a vector as Append encodes it; then v is empty.
func (v *Vector) Decode(b []byte) (rest []byte, ok bool) {
	*v = (*v)[:0]
	rest, ok = walk(b, func(shard int, p uint64) { v.Raise(shard, p) })
	if !ok {
		*v = (*v)[:0]
	}
	return rest, ok
}

// Skip returns what follows an encoded vector. ok is false if b does not begin with one.
func Skip(b []byte) (rest []byte, ok bool) { return walk(b, func(int, uint64) {}) }

func walk(b []byte, each func(shard int, p uint64)) (rest []byte, ok bool) {
	n, b, ok := uvarint(b)
	if !ok || n > MaxShards {
		return nil, false
	}
	shard := uint64(0)
	for i := range n {
		var step, p uint64
		if step, b, ok = uvarint(b); !ok {
			return nil, false
		}
		if p, b, ok = uvarint(b); !ok {
			return nil, false
		}
		if step >= MaxShards || i > 0 && step == 0 || p == 0 {
			return nil, false
		}
		if shard += step; shard >= MaxShards {
			return nil, false
		}
		each(int(shard), p)
	}
	return b, true
}

// uvarint refuses a number that is not encoded in the fewest bytes.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// Fixed is a vector that does not change and can be compared.
type Fixed struct{ encoded string }

// Fix returns v as it is now.
func (v Vector) Fix() Fixed {
	if v.Sum() == 0 {
		return Fixed{}
	}
	return Fixed{string(v.Append(nil))}
}

// Vector returns the positions in new memory.
func (f Fixed) Vector() (v Vector) {
	if f.encoded != "" {
		v.Decode([]byte(f.encoded))
	}
	return v
}
