package servedlog

import (
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/vector"
)

// Sample is some of all keys, chosen by their hashes: a smaller Sample is part of every larger one. 0 is none.
type Sample uint64

// All has all keys.
const All Sample = math.MaxUint64

// SampleOf is the sample of a rate, from 0 to 1.
func SampleOf(rate float64) Sample {
	if rate >= 1 {
		return All
	}
	return Sample(max(rate, 0) * math.MaxUint64)
}

// Has reports whether keys with a hash are in the sample.
func (s Sample) Has(hash uint64) bool { return hash < uint64(s) || s == All }

// Half is a sample of every other key of s.
func (s Sample) Half() Sample { return s >> 1 }

// Sample is which rows of a service are recorded.
func (l *Log) Sample(service string) Sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	return SampleOf(l.cfg.rate(service))
}

// HidesKeys reports whether keys are replaced by their HMACs.
func (l *Log) HidesKeys() bool { return l.cfg.Secret != nil }

// Hash is the 64-bit FNV-1a hash of keys in canonical form, finished as MurmurHash3 does. It is part of
// the format.
func Hash(keys []*vector.Vector, row int) uint64 {
	var memory [64]byte
	key := memory[:0]
	for k := range keys {
		var ok bool
		if key, ok = entitykey.AppendRow(key, keys[k:k+1], row); !ok {
			key = append(key, byte(plan.Null))
		}
	}
	x := uint64(0xcbf29ce484222325)
	for _, c := range key {
		x = (x ^ uint64(c)) * 0x100000001b3
	}
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
