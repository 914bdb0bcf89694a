package kernel

import (
	"bytes"
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
	for i, a := range r.view.aggs {
		v := &vector.Vector{Type: a.Type, N: out.N, Null: c.bits(out.N), Err: c.bits(out.N)}
		if vector.Lane(a.Type) == plan.Dyn {
			if out.packed == nil {
				out.packed = make([]*packedValues, len(r.view.aggs))
			}
			out.packed[i] = c.values(out.N)
		} else {
			c.lane(v)
		}
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
	}
}

// packedValues are lists and maps of consecutive rows as bytes, which are a fraction of what they take when decoded.
type packedValues struct {
	bytes []byte
	ends  []uint32
	texts []uint32 // by row, see TextBytes
}

// values reads the lists or maps of n rows.
func (c *chunkReader) values(n int) *packedValues {
	p := &packedValues{ends: make([]uint32, n), texts: make([]uint32, n)}
	begin := c.src
	for i := range n {
		v, rest, err := plan.DecodeCanonical(c.src)
		if err != nil {
			c.err = fmt.Errorf("%w: %w", errChunk, err)
			return p
		}
		c.src = rest
		p.ends[i], p.texts[i] = uint32(len(begin)-len(rest)), uint32(sizeOfText(v))
	}
	p.bytes = bytes.Clone(begin[:len(begin)-len(c.src)])
	return p
}

// value decodes the value of a row.
func (p *packedValues) value(row int32) plan.Value {
	from := uint32(0)
	if row > 0 {
		from = p.ends[row-1]
	}
	v, _, err := plan.DecodeCanonical(p.bytes[from:p.ends[row]])
	if err != nil {
		panic("kernel: a value that was decoded before is malformed") // see values
	}
	return v
}

// composite is the list or map of a row.
func (p *PartResults) composite(agg int, row int32) plan.Value {
	if p.packed != nil {
		return p.packed[agg].value(row)
	}
	return p.Aggs[agg].Any[row]
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
	for _, x := range p.packed {
		if x != nil {
			n += len(x.bytes) + 4*(len(x.ends)+len(x.texts))
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
	for i, v := range p.Aggs {
		switch {
		case !v.Valid(int(row)):
		case v.Str != nil:
			n += int64(len(v.Str[row]))
		case v.Any != nil:
			n += sizeOfText(v.Any[row])
		case p.packed != nil && p.packed[i] != nil:
			n += int64(p.packed[i].texts[row])
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
