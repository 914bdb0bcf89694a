package expr

import "github.com/unskew/unskew/internal/vector"

// Strings of a few bytes are compared as numbers, without calls and without branches that
// depend on their bytes.
const (
	maxPacked = 7
	maxShort  = 8
)

// packed is a string of up to maxPacked bytes as a number that identifies it: its length is
// the highest byte.
func packed(s string) uint64 {
	n := len(s)
	p := uint64(n) << 56
	switch {
	case n >= 4: // the halves overlap in equal bits
		return p | uint64(le32(s)) | uint64(le32(s[n-4:]))<<(8*(n-4)&63)
	case n > 0:
		return p | uint64(s[0]) | uint64(s[n/2])<<(8*(n/2)&63) | uint64(s[n-1])<<(8*(n-1)&63)
	}
	return p
}

// pack3 and pack8 are strings of 1 to 3 and of 4 to maxShort bytes as numbers. Together with
// the length, the number identifies the string.
func pack3(s string) uint64 {
	return uint64(s[0]) | uint64(s[len(s)/2])<<8 | uint64(s[len(s)-1])<<16
}

func pack8(s string) uint64 { return uint64(le32(s)) | uint64(le32(s[len(s)-4:]))<<32 }

// packBytes is pack3 or pack8, by the length of s.
func packBytes(s string) uint64 {
	if len(s) < 4 {
		return pack3(s)
	}
	return pack8(s)
}

func le32(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func le64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// equalToShort sets a bit for every string that equals k, which has 1 to maxShort bytes.
func equalToShort(a []string, k string) (bits uint64) {
	key := packBytes(k)
	if len(k) < 4 {
		for i, s := range a {
			var bit uint64
			if len(s) == len(k) && pack3(s) == key {
				bit = 1
			}
			bits |= bit << i
		}
		return bits
	}
	for i, s := range a {
		var bit uint64
		if len(s) == len(k) && pack8(s) == key {
			bit = 1
		}
		bits |= bit << i
	}
	return bits
}

// searchShort sets the rows that are among the short constants.
func (x *inNode) searchShort(dst vector.Bitmap, a []string) {
	for w := range dst {
		part := a
		if len(a) > 64 {
			part, a = a[:64], a[64:]
		}
		if x.length > 0 {
			dst[w] = searchOneLength(part, x.short, x.length)
		} else {
			dst[w] = searchPacked(part, x.short)
		}
	}
}

func searchOneLength(a []string, short []uint64, length int) (bits uint64) {
	if length < 4 {
		for i, s := range a {
			if len(s) == length {
				bits |= among(pack3(s), short) << i
			}
		}
		return bits
	}
	for i, s := range a {
		if len(s) == length {
			bits |= among(pack8(s), short) << i
		}
	}
	return bits
}

func searchPacked(a []string, short []uint64) (bits uint64) {
	for i, s := range a {
		if len(s) <= maxPacked {
			bits |= among(packed(s), short) << i
		}
	}
	return bits
}

// among is 1 if p is in list.
func among(p uint64, list []uint64) (bit uint64) {
	for _, k := range list {
		if p == k {
			bit = 1
		}
	}
	return bit
}
