package expr

import (
	"hash/maphash"
	"math/bits"

	"github.com/unskew/unskew/internal/vector"
)

// The limits of a dictionary.
const (
	maxEntries = 4096
	maxBytes   = 1 << 19 // of all strings together, including results that memos store for them
	maxString  = 1 << 12 // of one string
)

// The codes of rows without a string.
const (
	nullCode = iota
	errCode
	firstCode // of the strings
)

// dictionary assigns codes to the distinct strings of a column, across batches. It drops all
// entries when they are too many, and pauses when strings rarely repeat.
//
// A program has one dictionary per column that a memo reads. A column that many programs
// read has one in each of them. A dictionary takes at most maxBytes, and for each of
// maxEntries strings about 60 bytes and the results that are not strings: 0.8 MB in total,
// and 0.1 MB for each memo.
type dictionary struct {
	in     *col // the column
	seed   maphash.Seed
	secret key // random, so that nobody can choose strings that collide

	entries    []entry
	table      []uint16 // hash table with linear probing: index in entries, 0 for a free slot
	text       arena    // of the entries and of the results that memos store for them
	bytes      int      // used in text
	limit      int      // on entries
	generation int      // incremented when codes change their meaning
	full       bool     // out of room, so the generation ends with this batch
	backoff    backoff

	begun  bool          // begin was called for this batch
	length int           // about the mean length of the batch's strings
	codes  []uint16      // by row of the batch
	coded  vector.Bitmap // rows that have a code
	closed bool          // rows without a code get none in this batch
}

// entry is a string and its key.
type entry struct {
	key
	str string
}

// key is the bytes of a string of at most maxKey bytes, or a hash of a longer string.
// Together with the length, the key of a short string identifies it.
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
		return key{a: pack3(s)}
	}
	return key{}
}

func (d *dictionary) hash(k key, n int) uint64 {
	hi, lo := bits.Mul64(k.a^d.secret.a, k.b^d.secret.b+uint64(n))
	return hi ^ lo
}

func newDictionary(in *col) *dictionary {
	d := &dictionary{in: in, seed: maphash.MakeSeed(), limit: maxEntries, backoff: backoff{next: minPause}}
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

// setFull ends the generation with this batch.
func (d *dictionary) setFull() { d.full, d.closed = true, true }

// store copies s to memory that lives as long as the entries. It reports false if the
// dictionary is full.
func (d *dictionary) store(s string) (string, bool) {
	if d.bytes+len(s) > maxBytes {
		d.setFull()
		return "", false
	}
	d.bytes += len(s)
	return d.text.clone(s), true
}

// begin prepares for a batch of n rows; further calls in the same batch do nothing.
func (d *dictionary) begin(n int) {
	if d.begun {
		return
	}
	d.begun = true
	if d.closed = d.backoff.skip(n); d.closed {
		return
	}
	d.closed = d.backoff.assess(len(d.entries), d.limit, d.full)
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

// samples is the number of rows from which the mean length of a batch is estimated.
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

// encode assigns codes to the rows of need. It reports false if some rows got none; then
// the caller must not use any code.
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

// code is the code of s, which it inserts if it is new. If s is too long or the dictionary
// full, it closes the batch and the code is invalid.
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
			d.backoff.hits++
			return c
		}
	}
}

func (d *dictionary) insert(k key, s string) uint16 {
	c := len(d.entries)
	if c >= d.limit {
		d.setFull()
		return nullCode
	}
	own, ok := d.store(s)
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

// link makes a free slot of the table point to entry c.
func (d *dictionary) link(c int) {
	e := &d.entries[c]
	mask := uint64(len(d.table) - 1)
	at := d.hash(e.key, len(e.str)) & mask
	for d.table[at] != 0 {
		at = (at + 1) & mask
	}
	d.table[at] = uint16(c)
}
