package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
)

// ResultChunk is the largest number of rows of a chunk.
const ResultChunk = 1024

// AppendChunk appends the encoding of a chunk, the rows [from, to), for a temporary file.
func (p *PartResults) AppendChunk(dst []byte, from, to int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(to-from))
	dst = appendBits(dst, p.Known, from, to)
	dst = appendBits(dst, p.Few, from, to)
	for _, v := range p.Aggs {
		dst = appendBits(dst, v.Null, from, to)
		dst = appendBits(dst, v.Err, from, to)
		dst = appendLane(dst, v, from, to)
	}
	return dst
}

// appendBits appends a byte that is 0 if b is nil, else 1, and the words with bits [from, to).
func appendBits(dst []byte, b vector.Bitmap, from, to int) []byte {
	if b == nil {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	for ; from < to; from += 64 {
		var word uint64
		for i := from; i < min(from+64, to); i++ {
			if b.Get(i) {
				word |= 1 << (i - from)
			}
		}
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return dst
}

func appendLane(dst []byte, v *vector.Vector, from, to int) []byte {
	switch vector.Lane(v.Type) {
	case plan.Bool:
		dst = appendBits(dst, v.Bits, from, to)
	case plan.Int:
		for _, x := range v.Int[from:to] {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(x))
		}
	case plan.Double:
		for _, x := range v.Double[from:to] {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
		}
	case plan.String:
		for i := from; i < to; i++ {
			s := ""
			if v.Valid(i) {
				s = v.Str[i]
			}
			dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
		}
	default:
		for i := from; i < to; i++ {
			dst = plan.AppendCanonical(dst, v.Value(i))
		}
	}
	return dst
}

var errChunk = errors.New("a chunk of results is malformed")

// ReadChunk decodes a chunk that AppendChunk wrote for the same replay. It keeps no reference
// to src.
func (r *Replay) ReadChunk(src []byte) (*PartResults, error) {
	c := &chunkReader{src: src}
	out := &PartResults{N: int(binary.LittleEndian.Uint32(c.take(4)))}
	if out.N > ResultChunk {
		return nil, errChunk
	}
	out.Known, out.Few = c.bits(out.N), c.bits(out.N)
	for _, a := range r.view.aggs {
		v := &vector.Vector{Type: a.Type, N: out.N, Null: c.bits(out.N), Err: c.bits(out.N)}
		c.lane(v)
		out.Aggs = append(out.Aggs, v)
	}
	if c.err != nil || len(c.src) > 0 {
		return nil, errors.Join(errChunk, c.err)
	}
	return out, nil
}

// chunkReader sets err when it reads beyond the end, and returns zeros then.
type chunkReader struct {
	src []byte
	err error
}

func (c *chunkReader) take(n int) []byte {
	if n < 0 || n > len(c.src) {
		c.err = errChunk
		return make([]byte, min(max(n, 0), 8*ResultChunk))
	}
	out := c.src[:n]
	c.src = c.src[n:]
	return out
}

func (c *chunkReader) bits(n int) vector.Bitmap {
	if c.take(1)[0] == 0 {
		return nil
	}
	b, raw := vector.NewBitmap(n), c.take(8*vector.Words(n))
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return b
}

func (c *chunkReader) lane(v *vector.Vector) {
	switch vector.Lane(v.Type) {
	case plan.Bool:
		if v.Bits = c.bits(v.N); v.Bits == nil {
			v.Bits = vector.NewBitmap(v.N)
		}
	case plan.Int:
		v.Int = make([]int64, v.N)
		raw := c.take(8 * v.N)
		for i := range v.Int {
			v.Int[i] = int64(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	case plan.Double:
		v.Double = make([]float64, v.N)
		raw := c.take(8 * v.N)
		for i := range v.Double {
			v.Double[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
	case plan.String:
		v.Str = make([]string, v.N)
		for i := range v.Str {
			n, width := binary.Uvarint(c.src)
			c.take(width)
			v.Str[i] = string(c.take(int(n)))
		}
	default:
		v.Any = make([]plan.Value, v.N)
		for i := range v.Any {
			var err error
			if v.Any[i], c.src, err = plan.DecodeCanonical(c.src); err != nil {
				c.err = fmt.Errorf("%w: %w", errChunk, err)
				return
			}
		}
	}
}

// Bytes is approximately the memory that the results take.
func (p *PartResults) Bytes() int {
	n := 8 * (len(p.Known) + len(p.Few))
	for _, v := range p.Aggs {
		n += 8*(len(v.Null)+len(v.Err)+len(v.Bits)+len(v.Int)+len(v.Double)) + 16*len(v.Str)
		for _, s := range v.Str {
			n += len(s)
		}
		for _, x := range v.Any {
			n += bytesOf(x)
		}
	}
	return n
}

// bytesOf is what a value takes in memory, with its elements.
func bytesOf(v plan.Value) int {
	n := int(unsafe.Sizeof(v)) + len(v.Str())
	for _, e := range v.List() {
		n += bytesOf(e)
	}
	return n
}

// ResultBytes is approximately the size of the results of a spine row, without text and lists.
func (r *Replay) ResultBytes() int { return 10 * len(r.view.aggs) }

// ResultTexts is the number of results of a spine row that are texts or composite values.
func (r *Replay) ResultTexts() (n int) {
	for _, a := range r.view.aggs {
		switch vector.Lane(a.Type) {
		case plan.Bool, plan.Int, plan.Double:
		default:
			n++
		}
	}
	return n
}

// TextBytes is the size of the texts in the results of a row, and of the elements of lists and maps.
func (p *PartResults) TextBytes(row int32) (n int64) {
	for _, v := range p.Aggs {
		switch {
		case v.Str == nil && v.Any == nil || !v.Valid(int(row)):
		case v.Str != nil:
			n += int64(len(v.Str[row]))
		default:
			n += sizeOfText(v.Any[row])
		}
	}
	return n
}

// elementBytes is what an element of a list takes without its text.
const elementBytes = 16

func sizeOfText(v plan.Value) int64 {
	n := int64(len(v.Str()))
	for _, e := range v.List() {
		n += elementBytes + sizeOfText(e)
	}
	return n
}
