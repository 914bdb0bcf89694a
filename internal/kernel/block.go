package kernel

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Place is the position of an event in the history of its source. Events of one entity are
// kept in this order. No value depends on it, but events that are in order of time already
// need not be sorted.
type Place struct {
	File int
	Row  int64
}

// Before reports whether an event at p comes before one at q.
func (p Place) Before(q Place) bool { return p.compare(q) < 0 }

func (p Place) compare(q Place) int {
	switch {
	case p.File < q.File || p.File == q.File && p.Row < q.Row:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// Block is events of one part of a replay in rows of 64-bit words; layout says which.
type Block struct {
	late  bool // rows have visible times
	n     int
	words []uint64
	text  []byte // of strings and ids
	runs  []run
}

// run is consecutive rows of a block that are consecutive in the history too.
type run struct {
	place Place // of the first row
	row   int   // the first row
}

// Bytes is the memory that the block takes.
func (b *Block) Bytes() int { return 8*cap(b.words) + cap(b.text) + 24*cap(b.runs) + blockOverhead }

// Events is the number of events, and TextBytes the size of their text.
func (b *Block) Events() int    { return b.n }
func (b *Block) TextBytes() int { return len(b.text) }

// blockOverhead is the size of a Block struct.
const blockOverhead = 112

// The more blocks a part has, the larger its next one, within these limits in words. The text
// of a block is limited too, because offsets in it have 32 bits. The open blocks of a
// collector take at most maxOpenBytes, and as much for their text; twice that where superseded events are
// dropped, of which the more are found the more events are looked at together.
const (
	minBlockWords  = 1 << 7
	maxBlockWords  = 1 << 14
	maxPrunedWords = 1 << 16 // before superseded events are dropped
	maxBlockText   = 1 << 20
	maxOpenBytes   = 16 << 20
	maxPrunedBytes = 2 * maxOpenBytes
)

// layout says what the words of a row are:
//
//	number of the entity in its part (32 bits), and the first 32 bits of the row
//	further bits, 64 per word
//	event time
//	visible times, one for each class, in blocks whose rows have them
//	textRef of the event id
//	lanes: a number, or the textRef of a string or of a canonical value
//
// There is a bit for each slot, set if the slot adds the row, and one for each lane of bools.
type layout struct {
	bits    int
	classes int
	ids     bool
	lanes   []laneLayout
	words   int // number of lanes that take a word
}

type laneLayout struct {
	kind plan.Kind // of the lane
	at   int       // index of its bit, or of its word after the id
}

func (l *layout) addLane(t plan.Type) {
	lane := laneLayout{kind: vector.Lane(t)}
	if lane.kind == plan.Bool {
		lane.at = l.bits
		l.bits++
	} else {
		lane.at = l.words
		l.words++
	}
	l.lanes = append(l.lanes, lane)
}

// time is the index of the word with the event time.
func (l *layout) time() int { return 1 + (max(0, l.bits-firstBits)+63)/64 }

// firstBits is the number of bits in the word of the entity.
const firstBits = 32

// id is the index of the word with the event id.
func (l *layout) id(late bool) int {
	if late {
		return l.time() + 1 + l.classes
	}
	return l.time() + 1
}

// lane is the index of the first word of the lanes.
func (l *layout) lane(late bool) int {
	if l.ids {
		return l.id(late) + 1
	}
	return l.id(late)
}

// stride is the number of words of a row.
func (l *layout) stride(late bool) int { return l.lane(late) + l.words }

// bit finds a bit: the word of the row, and the position in it.
func bit(i int) (word int, shift uint) {
	if i < firstBits {
		return 0, uint(64 - firstBits + i)
	}
	return 1 + (i-firstBits)/64, uint(i-firstBits) % 64
}

// textRef packs the offset and the length of bytes in a text.
func textRef(at, n int) uint64 { return uint64(at)<<32 | uint64(n) }

// textAt returns the bytes that a textRef refers to; the string aliases text.
func textAt(text []byte, ref uint64) string {
	n := int(uint32(ref))
	if n == 0 {
		return ""
	}
	return unsafe.String(&text[ref>>32], n)
}

// AppendTo appends the block's encoding, for a temporary file.
func (b *Block) AppendTo(dst []byte) []byte {
	for _, n := range []int{b.n, len(b.words), len(b.text), len(b.runs)} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
	}
	if b.late {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	for _, r := range b.runs {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.place.File))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.place.Row))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.row))
	}
	for _, w := range b.words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return append(dst, b.text...)
}

var errBlock = errors.New("a block of events is malformed")

// ReadBlock decodes the block at the beginning of src and returns the rest. The block's text
// aliases src.
func ReadBlock(src []byte) (*Block, []byte, error) {
	if len(src) < 33 {
		return nil, nil, errBlock
	}
	next := func() uint64 {
		x := binary.LittleEndian.Uint64(src)
		src = src[8:]
		return x
	}
	n, words, text, runs := next(), next(), next(), next()
	b := &Block{n: int(n), late: src[0] == 1}
	src = src[1:]
	if size := uint64(len(src)); words > size/8 || text > size || runs > size/24 || 8*words+text+24*runs > size {
		return nil, nil, errBlock
	}
	b.runs = make([]run, runs)
	for i := range b.runs {
		b.runs[i] = run{Place{int(next()), int64(next())}, 0}
		b.runs[i].row = int(next())
	}
	b.words = make([]uint64, words)
	for i := range b.words {
		b.words[i] = binary.LittleEndian.Uint64(src[8*i:])
	}
	src = src[8*words:]
	b.text = src[:text:text]
	return b, src[text:], nil
}
