package parquetfile

import (
	"hash/maphash"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Sample looks at rows of a file before it is written, and decides how its columns are
// encoded: by the rows alone, so that the same rows give the same bytes.
//
// A dictionary is for columns that repeat themselves. Otherwise integers and times are
// stored as differences, and doubles byte by byte: first the first bytes of all, then the
// second, which leaves Zstandard something to find where whole doubles differ.
type Sample struct {
	sink
	seen []leafSample
}

// leafSample counts the values of a leaf.
type leafSample struct {
	n        int
	distinct map[uint64]struct{} // hashes
	low      int64               // of integers
	high     int64
}

// NewSample begins a sample.
func NewSample(s *Schema) *Sample {
	p := &Sample{seen: make([]leafSample, len(s.leaves))}
	seed := maphash.MakeSeed()
	p.sink = *newSink(s, func(leaf int) func([]parquet.Value) error {
		seen := &p.seen[leaf]
		seen.distinct = map[uint64]struct{}{}
		return func(values []parquet.Value) error {
			for _, v := range values {
				seen.add(v, seed)
			}
			return nil
		}
	})
	return p
}

func (l *leafSample) add(v parquet.Value, seed maphash.Seed) {
	if v.IsNull() {
		return
	}
	var x int64
	switch v.Kind() {
	case parquet.Int32:
		x = int64(v.Int32())
	case parquet.Int64:
		x = v.Int64()
	}
	if l.n == 0 {
		l.low, l.high = x, x
	}
	l.low, l.high = min(l.low, x), max(l.high, x)
	l.n++
	l.distinct[maphash.Bytes(seed, v.Bytes())] = struct{}{}
}

// repeats reports whether a value occurs often enough, on average, to be worth a place
// in a dictionary.
func (l *leafSample) repeats(often int) bool { return l.n > 0 && len(l.distinct)*often <= l.n }

// Encodings are how the leaves of a schema are encoded.
type Encodings []encoding.Encoding

// Encodings decides.
func (p *Sample) Encodings() (Encodings, error) {
	if err := p.rest(); err != nil {
		return nil, err
	}
	out := make(Encodings, len(p.seen))
	for i := range out {
		out[i] = p.seen[i].encoding(p.schema.leaves[i].field.Type)
	}
	return out, nil
}

func (l *leafSample) encoding(t arrow.DataType) encoding.Encoding {
	node, _ := leafNode(t)
	switch node.Type().Kind() {
	case parquet.Boolean:
		return &parquet.Plain
	case parquet.Int32, parquet.Int64:
		// A difference takes about the bits of the range, a place in the dictionary those of
		// the number of values.
		if l.repeats(8) && 2*width(len(l.distinct)) < bitsOf(uint64(l.high)-uint64(l.low)) {
			return &parquet.RLEDictionary
		}
		return &parquet.DeltaBinaryPacked
	case parquet.Float, parquet.Double:
		if l.repeats(8) {
			return &parquet.RLEDictionary
		}
		return &parquet.ByteStreamSplit
	}
	if l.repeats(2) {
		return &parquet.RLEDictionary
	}
	return &parquet.Plain
}
