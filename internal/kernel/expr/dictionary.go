package expr

import (
	"hash/maphash"
	"math/bits"

	"github.com/unskew/unskew/internal/kernel/vector"
)

// The limits of a dictionary.
const (
	maxEntries = 4096
	maxBytes   = 1 << 19 // of all strings together, and of the strings that memos keep for them
)

// The codes of rows without a string.
const (
	nullCode = iota
	errCode
	firstCode // of the strings
)

// A dictionary is poor when few of its strings came again. Then it rests for so many
// rows, each time for longer.
const minRest, maxRest = 1 << 16, 1 << 24

// dictionary numbers the distinct strings of a column, over all batches. It forgets
// them when they are too many, and rests while few of them come again.
type dictionary struct {
	in     *col // the column
	seed   maphash.Seed
	secret key // so that nobody can know which strings collide

	entries    []entry
	table      []uint16 // entries by hash, 0 where there is none
	text       arena    // of the entries and of what memos keep for them
	bytes      int      // of text
	generation int // raised when codes get another meaning

	limit int           // of entries
	codes []uint16      // by row of the batch
	coded vector.Bitmap // the rows that have a code
	fresh bool          // nothing is coded yet
	full  bool          // a string of the batch has no code

	hits       int // rows whose string had a code already
	rest, left int // rows: how long the next rest is, and what is left of this one
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
	d := &dictionary{in: in, seed: maphash.MakeSeed(), limit: maxEntries, rest: minRest}
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
	d.hits, d.full = 0, false
}

// keep copies s, which lives as long as the entries, or finds the dictionary full.
func (d *dictionary) keep(s string) (string, bool) {
	if d.bytes+len(s) > maxBytes {
		d.full = true
		return "", false
	}
	d.bytes += len(s)
	return d.text.clone(s), true
}

// begin prepares for a batch of n rows.
func (d *dictionary) begin(n int) {
	d.fresh = true
	if d.left > 0 {
		d.left -= n
		return
	}
	poor := d.poor()
	if poor {
		d.left, d.rest = d.rest, min(2*d.rest, maxRest)
	}
	if poor || d.full {
		d.forget()
	}
}

// poor asks less of a dictionary that is being filled.
func (d *dictionary) poor() bool {
	if d.full {
		return d.hits < 3*len(d.entries)
	}
	return len(d.entries) > d.limit/4 && d.hits < len(d.entries)/4
}

// encode gives the rows of need a code. It reports false when some get none; then no
// code may be used.
func (d *dictionary) encode(n int, need vector.Bitmap) bool {
	if d.left > 0 || d.full {
		return false
	}
	if d.fresh {
		d.fresh = false
		zeroed(&d.coded, n)
		if cap(d.codes) < n {
			d.codes = make([]uint16, n)
		}
		d.codes = d.codes[:n]
	}
	for w := range d.coded {
		if rows := needWord(need, w, n) &^ d.coded[w]; rows != 0 {
			d.coded[w] |= rows
			d.encodeWord(w, rows)
		}
	}
	return !d.full
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
	d.hits += bits.OnesCount64(rows) + len(d.entries)
	for ; rows != 0; rows &= rows - 1 {
		i := bits.TrailingZeros64(rows)
		codes[i] = d.code(strs[i])
	}
	d.hits -= len(d.entries)
}

// code is the number of s; it is wrong when the dictionary is full.
func (d *dictionary) code(s string) uint16 {
	k := d.key(s)
	mask := uint64(len(d.table) - 1)
	for at := d.hash(k, len(s)) & mask; ; at = (at + 1) & mask {
		c := d.table[at]
		if c == 0 {
			return d.insert(k, s)
		}
		if e := &d.entries[c]; e.key == k && len(e.str) == len(s) && (len(s) <= maxKey || e.str == s) {
			return c
		}
	}
}

func (d *dictionary) insert(k key, s string) uint16 {
	c := len(d.entries)
	if c >= d.limit {
		d.full = true
		return nullCode
	}
	own, ok := d.keep(s)
	if !ok {
		return nullCode
	}
	d.entries = append(d.entries, entry{k, own})
	if 2*len(d.entries) <= len(d.table) {
		d.place(c)
		return uint16(c)
	}
	d.table = make([]uint16, 4*len(d.table))
	for c := firstCode; c < len(d.entries); c++ {
		d.place(c)
	}
	return uint16(c)
}

// place puts entry c into the table.
func (d *dictionary) place(c int) {
	e := &d.entries[c]
	mask := uint64(len(d.table) - 1)
	at := d.hash(e.key, len(e.str)) & mask
	for d.table[at] != 0 {
		at = (at + 1) & mask
	}
	d.table[at] = uint16(c)
}
