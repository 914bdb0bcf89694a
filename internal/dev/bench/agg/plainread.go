package main

import (
	"encoding/binary"
	"math"
)

// inputs are the aggregated columns.
var inputs = [4]string{"amount", "fee", "weight", "score"}

// wideTile is a tile for fifty features.
type wideTile struct {
	n, count       int64
	sum, min, most [len(inputs)]float64
}

const wideTileSize = 8 * (2 + 3*len(inputs))

// wideState is one user's tiles that are not empty, by window and in order of number.
type wideState [3][]wideTile

// add adds an event that is not older than the previous ones.
func (s *wideState) add(t int64, xs *[len(inputs)]float64) {
	for w := range s {
		n := t / int64(windows[w].hop)
		if last := len(s[w]) - 1; last < 0 || s[w][last].n != n {
			s[w] = append(s[w], newWideTile(n))
		}
		x := &s[w][len(s[w])-1]
		x.count++
		for c, v := range xs {
			x.sum[c] += v
			x.min[c] = min(x.min[c], v)
			x.most[c] = max(x.most[c], v)
		}
	}
}

// expire drops the tiles that no read at or after t needs.
func (s *wideState) expire(t int64) {
	for w := range s {
		for len(s[w]) > 0 && s[w][0].n < lower(w, t)/int64(windows[w].hop) {
			s[w] = s[w][1:]
		}
	}
}

func newWideTile(n int64) wideTile {
	x := wideTile{n: n}
	for c := range x.min {
		x.min[c], x.most[c] = math.Inf(1), math.Inf(-1)
	}
	return x
}

// append encodes the state as words of eight bytes.
func (s *wideState) append(dst []byte) []byte {
	for w := range s {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(s[w])))
		for i := range s[w] {
			x := &s[w][i]
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x.n))
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x.count))
			for _, list := range [][len(inputs)]float64{x.sum, x.min, x.most} {
				for _, v := range list {
					dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
				}
			}
		}
	}
	return dst
}

// fifty is the result of one read: sum, mean, min and max of each column over each window,
// and the counts of two windows.
type fifty struct {
	sum, mean, min, most [3][len(inputs)]float64 // NaN if there is no value
	count                [3]int64
}

// read reads the windows as of t from the state in memory.
func (s *wideState) read(t int64, out *fifty) {
	for w := range s {
		from := lower(w, t) / int64(windows[w].hop)
		total := newWideTile(0)
		for i := len(s[w]) - 1; i >= 0 && s[w][i].n >= from; i-- {
			x := &s[w][i]
			total.count += x.count
			for c := range x.sum {
				total.sum[c] += x.sum[c]
				total.min[c] = min(total.min[c], x.min[c])
				total.most[c] = max(total.most[c], x.most[c])
			}
		}
		out.put(w, &total)
	}
}

// readEncoded reads the windows as of t from an encoded state, without decoding it.
func readEncoded(b []byte, t int64, out *fifty) {
	for w := range windows {
		from := lower(w, t) / int64(windows[w].hop)
		tiles := int(binary.LittleEndian.Uint64(b))
		b = b[8:]
		total := newWideTile(0)
		for i := range tiles {
			x := b[i*wideTileSize:][:wideTileSize]
			if int64(binary.LittleEndian.Uint64(x)) < from {
				continue
			}
			total.count += int64(binary.LittleEndian.Uint64(x[8:]))
			for c := range inputs {
				total.sum[c] += float(x[16+8*c:])
				total.min[c] = min(total.min[c], float(x[16+8*(len(inputs)+c):]))
				total.most[c] = max(total.most[c], float(x[16+8*(2*len(inputs)+c):]))
			}
		}
		b = b[tiles*wideTileSize:]
		out.put(w, &total)
	}
}

func float(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

func (f *fifty) put(w int, x *wideTile) {
	f.count[w], f.sum[w] = x.count, x.sum
	if x.count == 0 {
		for c := range inputs {
			f.mean[w][c], f.min[w][c], f.most[w][c] = math.NaN(), math.NaN(), math.NaN()
		}
		return
	}
	f.min[w], f.most[w] = x.min, x.most
	for c := range inputs {
		f.mean[w][c] = x.sum[c] / float64(x.count)
	}
}
