package parquetfile

import (
	"hash/maphash"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Sample inspects rows of a file before it is written and chooses the encoding of each
// column. The choice depends only on the rows, so that equal rows give equal bytes.
//
// Columns with many repeated values get a dictionary. Otherwise integers and times are
// delta-encoded. Doubles are split into byte streams (all first bytes, then all second
// bytes, and so on), since Zstandard compresses these better when whole doubles differ.
type Sample struct {
	sink
	seen []leafSample
}

// leafSample counts the values of a leaf.
type leafSample struct {
	n        int
	distinct map[uint64]struct{} // hashes
	low      int64               // smallest integer
	high     int64
}

// NewSample returns an empty sample.
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

// repeats reports whether each value occurs at least so many times on average.
func (l *leafSample) repeats(often int) bool { return l.n > 0 && len(l.distinct)*often <= l.n }

// Encodings are the encodings of a schema's leaves.
type Encodings []encoding.Encoding

// Encodings chooses the encodings.
func (p *Sample) Encodings() (Encodings, error) {
	if err := p.flushAll(); err != nil {
		return nil, err
	}
	out := make(Encodings, len(p.seen))
	for i := range out {
		out[i] = p.seen[i].encoding(p.schema.leaves[i].field.Leaf.Type().Kind())
	}
	return out, nil
}

func (l *leafSample) encoding(kind parquet.Kind) encoding.Encoding {
	switch kind {
	case parquet.Boolean:
		return &parquet.Plain
	case parquet.Int32, parquet.Int64:
		// A delta takes about as many bits as the range of the values, a dictionary index
		// as many as the number of distinct values.
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
