package kernel

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// Place is where an event comes in the history of its source. Events of one entity with
// equal times are added in this order; no value depends on it, but time that is in
// order of place need not be sorted.
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

// Block is events of one part of a replay in rows of 64-bit words, as layout has it.
// It belongs to whoever has it.
type Block struct {
	late  bool // rows have visible times
	n     int
	words []uint64
	text  []byte // of strings and ids
	runs  []run
}

// run is the rows from one on that follow one another in the history.
type run struct {
	place Place
	row   int
}

// Bytes is the memory that the block takes.
func (b *Block) Bytes() int { return 8*cap(b.words) + cap(b.text) + 24*cap(b.runs) + blockOverhead }

// blockOverhead is a Block itself.
const blockOverhead = 112

// Blocks grow with the number of them that a part has, between these numbers of words;
// what they hold of text is bounded too, as places in it are 32 bits. The blocks that a
// collector has open take no more than mostOpen bytes, and as much for text.
const (
	leastBlock = 1 << 7
	mostBlock  = 1 << 14
	mostText   = 1 << 20
	mostOpen   = 16 << 20
)

// layout says what the words of a row are:
//
//	entity in its part (32 bits), and the first 32 of its bits
//	further bits, 64 in a word
//	event time
//	visible times, one for each class, in blocks whose rows have them
//	place of the event id in the text
//	lanes: a number, or the place of a string or a canonical value in the text
//
// The bits are one for each slot that the row passes, and the lanes that are bools.
type layout struct {
	bits    int
	classes int
	ids     bool
	lanes   []laneLayout
	words   int // lanes that take one
}

type laneLayout struct {
	kind plan.Kind // of the lane
	at   int       // which bit, or which word behind the ids
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

// time is the word of the event time.
func (l *layout) time() int { return 1 + (max(0, l.bits-firstBits)+63)/64 }

// firstBits are the bits in the word of the entity.
const firstBits = 32

// id is the word of the event id.
func (l *layout) id(late bool) int {
	if late {
		return l.time() + 1 + l.classes
	}
	return l.time() + 1
}

// lane is the first word of the lanes.
func (l *layout) lane(late bool) int {
	if l.ids {
		return l.id(late) + 1
	}
	return l.id(late)
}

// stride is the number of words of a row.
func (l *layout) stride(late bool) int { return l.lane(late) + l.words }

// bit is where a bit is: the word of the row, and the place in it.
func bit(i int) (word int, shift uint) {
	if i < firstBits {
		return 0, uint(64 - firstBits + i)
	}
	return 1 + (i-firstBits)/64, uint(i-firstBits) % 64
}

// place packs where bytes lie in a text.
func place(at, n int) uint64 { return uint64(at)<<32 | uint64(n) }

// piece is the bytes at a place, in the memory of text.
func piece(text []byte, p uint64) string {
	n := int(uint32(p))
	if n == 0 {
		return ""
	}
	return unsafe.String(&text[p>>32], n)
}

// AppendTo appends the block's bytes, for a file that this machine reads again.
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

// ReadBlock makes the block at the beginning of src and returns what follows it.
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
	if most := uint64(len(src)); words > most/8 || text > most || runs > most/24 || 8*words+text+24*runs > most {
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
