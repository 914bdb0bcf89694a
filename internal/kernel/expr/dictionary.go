package expr

import (
	"hash/maphash"
	"math/bits"

	"github.com/unskew/unskew/internal/vector"
)

// The limits of a dictionary.
const (
	maxEntries = 4096
	maxBytes   = 1 << 19 // of all strings together, and of the strings that memos keep for them
	maxString  = 1 << 12 // of a string
)

// The codes of rows without a string.
const (
	nullCode = iota
	errCode
	firstCode // of the strings
)

// dictionary numbers the distinct strings of a column, over all batches. It forgets
// all of them when they are too many, and rests while few of them come again.
//
// A program has one for each of its columns that a memo asks about, so a column of
// which many features are computed has many. Each takes at most maxBytes, and some
// 60 bytes and the results that are not strings for each of maxEntries strings: 0.8 MB
// and 0.1 MB for each memo.
type dictionary struct {
	in     *col // the column
	seed   maphash.Seed
	secret key // so that nobody can know which strings collide

	entries    []entry
	table      []uint16 // entries by hash, 0 where there is none
	text       arena    // of the entries and of what memos keep for them
	bytes      int      // of text
	limit      int      // of entries
	generation int      // raised when codes get another meaning
	full       bool     // there was no room, so the generation ends
	rests      rests

	begun  bool          // somebody has asked about the batch
	length int           // mean of the batch's strings, more or less
	codes  []uint16      // by row of the batch
	coded  vector.Bitmap // the rows that have a code
	closed bool          // the batch gets no codes, or no more
}

// entry is a string and its key.
type entry struct {
	key
	str string
}

// key is the bytes of a string of up to maxKey bytes, given its length, and a hash of a
// longer one.
type key struct{ a, b uint64 }

const maxKey = 16

func (d *dictionary) key(s string) key {
	switch n := len(s); {
	case n > maxKey:
		return key{a: maphash.String(d.seed, s)}
	case n >= 8:
		return key{le64(s), le64(s[n-8:])}
	case n >= 4:
		return key{uint64(le32(s)), uint64(le32(s[n-4:]))}
	case n > 0:
		return key{a: few(s)}
	}
	return key{}
}

func (d *dictionary) hash(k key, n int) uint64 {
	hi, lo := bits.Mul64(k.a^d.secret.a, k.b^d.secret.b+uint64(n))
	return hi ^ lo
}

func newDictionary(in *col) *dictionary {
	d := &dictionary{in: in, seed: maphash.MakeSeed(), limit: maxEntries, rests: rests{next: minRest}}
	d.secret = key{maphash.String(d.seed, "a"), maphash.String(d.seed, "b")}
	d.forget()
	return d
}

// forget drops all entries but those of null and failed rows.
func (d *dictionary) forget() {
	d.generation++
	d.entries = make([]entry, firstCode)
	d.table = make([]uint16, 64)
	d.text, d.bytes = arena{}, 0
	d.full = false
}

// fill ends the generation with this batch.
func (d *dictionary) fill() { d.full, d.closed = true, true }

// keep copies s, which lives as long as the entries, or finds the dictionary full.
func (d *dictionary) keep(s string) (string, bool) {
	if d.bytes+len(s) > maxBytes {
		d.fill()
		return "", false
	}
	d.bytes += len(s)
	return d.text.clone(s), true
}

// begin prepares for a batch of n rows, the first time that somebody asks about it.
func (d *dictionary) begin(n int) {
	if d.begun {
		return
	}
	d.begun = true
	if d.closed = d.rests.pass(n); d.closed {
		return
	}
	d.closed = d.rests.due(len(d.entries), d.limit, d.full)
	if d.closed || d.full {
		d.forget()
	}
	d.length = meanLength(d.in.Str)
	zeroed(&d.coded, n)
	if cap(d.codes) < n {
		d.codes = make([]uint16, n)
	}
	d.codes = d.codes[:n]
}

// samples is the number of rows whose strings stand for those of a batch.
const samples = 16

// meanLength is the mean length of some of the strings.
func meanLength(list []string) int {
	sum, count := 0, 0
	for i := 0; i < len(list); i += (len(list) + samples - 1) / samples {
		sum, count = sum+len(list[i]), count+1
	}
	if count > 1 {
		sum /= count
	}
	return sum
}

// encode gives the rows of need a code. It reports false when some get none; then no
// code may be used.
func (d *dictionary) encode(n int, need vector.Bitmap) bool {
	for w := range d.coded {
		if d.closed {
			return false
		}
		if rows := needWord(need, w, n) &^ d.coded[w]; rows != 0 {
			d.coded[w] |= rows
			d.encodeWord(w, rows)
		}
	}
	return !d.closed
}

func (d *dictionary) encodeWord(w int, rows uint64) {
	codes, strs := d.codes[w*64:], d.in.Str[w*64:]
	if d.in.marked {
		nulls, errs := word(d.in.Null, w), word(d.in.Err, w)
		for absent := rows & (nulls | errs); absent != 0; absent &= absent - 1 {
			i := bits.TrailingZeros64(absent)
			codes[i] = nullCode
			if errs>>i&1 != 0 {
				codes[i] = errCode
			}
		}
		rows &^= nulls | errs
	}
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		codes[i] = d.code(strs[i])
	}
}

// code is the number of s; it is wrong when the dictionary is full or s overlong.
func (d *dictionary) code(s string) uint16 {
	if len(s) > maxString {
		d.closed = true
		return nullCode
	}
	k := d.key(s)
	mask := uint64(len(d.table) - 1)
	for at := d.hash(k, len(s)) & mask; ; at = (at + 1) & mask {
		c := d.table[at]
		if c == 0 {
			return d.insert(k, s)
		}
		if e := &d.entries[c]; e.key == k && len(e.str) == len(s) && (len(s) <= maxKey || e.str == s) {
			d.rests.hits++
			return c
		}
	}
}

func (d *dictionary) insert(k key, s string) uint16 {
	c := len(d.entries)
	if c >= d.limit {
		d.fill()
		return nullCode
	}
	own, ok := d.keep(s)
	if !ok {
		return nullCode
	}
	d.entries = append(d.entries, entry{k, own})
	if 2*len(d.entries) <= len(d.table) {
		d.link(c)
		return uint16(c)
	}
	d.table = make([]uint16, 4*len(d.table))
	for c := firstCode; c < len(d.entries); c++ {
		d.link(c)
	}
	return uint16(c)
}

// link puts entry c into the table.
func (d *dictionary) link(c int) {
	e := &d.entries[c]
	mask := uint64(len(d.table) - 1)
	at := d.hash(e.key, len(e.str)) & mask
	for d.table[at] != 0 {
		at = (at + 1) & mask
	}
	d.table[at] = uint16(c)
}
