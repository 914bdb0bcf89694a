package offline

import (
	"hash/maphash"
	"math/bits"
)

var idSeed = maphash.MakeSeed()

// idSet is a set of event ids. It holds their hashes, however long they are, and with more ids than have room a
// Bloom filter. has may be true for an id that was not added; callers must tolerate false positives, which cost
// time.
type idSet struct {
	room   int64 // bytes; 0: no limit
	hashes map[uint64]struct{}
	filter []uint64 // bits; not nil: it has all ids
}

// hashBytes is about what a hash takes in a map.
const hashBytes = 24

// add adds an id; it ignores "".
func (s *idSet) add(id string) {
	if id == "" {
		return
	}
	h := maphash.String(idSeed, id)
	if s.filter != nil {
		s.mark(h)
		return
	}
	if s.hashes == nil {
		s.hashes = map[uint64]struct{}{}
	}
	s.hashes[h] = struct{}{}
	if s.room > 0 && int64(len(s.hashes))*hashBytes > s.room {
		s.toFilter()
	}
}

// toFilter replaces the hashes by a filter of at most room bytes.
func (s *idSet) toFilter() {
	s.filter = make([]uint64, max(1, 1<<(bits.Len64(uint64(s.room/8))-1)))
	for h := range s.hashes {
		s.mark(h)
	}
	s.hashes = nil
}

// bitsOf are the bits of a hash: three of one word.
func (s *idSet) bitsOf(h uint64) (word int, mask uint64) {
	return int(h & uint64(len(s.filter)-1)), 1<<(h>>58) | 1<<(h>>52&63) | 1<<(h>>46&63)
}

func (s *idSet) mark(h uint64) {
	word, mask := s.bitsOf(h)
	s.filter[word] |= mask
}

func (s *idSet) has(id string) bool {
	if id == "" {
		return false
	}
	h := maphash.String(idSeed, id)
	if s.filter != nil {
		word, mask := s.bitsOf(h)
		return s.filter[word]&mask == mask
	}
	_, ok := s.hashes[h]
	return ok
}

func (s *idSet) empty() bool { return s.filter == nil && len(s.hashes) == 0 }

// clear empties the set.
func (s *idSet) clear() { s.hashes, s.filter = nil, nil }
