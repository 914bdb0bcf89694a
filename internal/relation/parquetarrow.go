package relation

import (
	"errors"
	"fmt"
	"slices"

	arrowparquet "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// arrowColumn reads a column with arrow-go. It is used for chunks that parquet-go reads
// wrongly: run-length encoded bools come out wrong, and a damaged LZ4 page allocates all
// memory.
type arrowColumn struct {
	lane
	convert converter
	chunk   file.ColumnChunkReader
	levels  []int16 // the chunk's MaxDefinitionLevel: a value; less: null

	int32s  []int32
	int64s  []int64
	int96s  []arrowparquet.Int96
	floats  []float32
	doubles []float64
	bools   []bool
	texts   []arrowparquet.ByteArray
	fixed   []arrowparquet.FixedLenByteArray
	backing [][]byte // backing memory of the vector's strings
}

// needsArrow reports whether arrowColumn must read a chunk; arrowColumn itself lacks one
// encoding.
func needsArrow(meta *format.ColumnMetaData) bool {
	lacks := meta.Type == format.FixedLenByteArray && slices.Contains(meta.Encoding, format.DeltaByteArray)
	return meta.Type == format.Boolean || meta.Codec == format.Lz4Raw && !lacks
}

func (c *arrowColumn) load(n int, _ int64) (int, error) { return n, nil }

func (c *arrowColumn) fill(n int) error {
	c.begin(n)
	c.backing = nil
	if cap(c.levels) < n {
		c.levels = make([]int16, n)
	}
	for at := 0; at < n; {
		if !c.chunk.HasNext() {
			return errors.Join(c.chunk.Err(), errors.New("it ends early"))
		}
		rows, values, read, err := c.read(n - at)
		if err != nil {
			return err
		}
		if rows == 0 {
			return errors.New("a page has no rows")
		}
		if want := c.wanted(rows); read != want {
			return errShort(read, want)
		}
		if read > 0 {
			c.convert(c.vector, at, &values, 0, read, c.report)
		}
		if read < rows {
			levels := make([]byte, rows)
			for i, l := range c.levels[:rows] {
				if l == c.chunk.Descriptor().MaxDefinitionLevel() {
					levels[i] = 1
				}
			}
			c.scatter(levels, at, read)
		}
		at += rows
	}
	c.end()
	return nil
}

// wanted is how many values the levels of the rows that were read last say there are.
func (c *arrowColumn) wanted(rows int) (n int) {
	most := c.chunk.Descriptor().MaxDefinitionLevel()
	if most == 0 {
		return rows
	}
	for _, l := range c.levels[:rows] {
		if l == most {
			n++
		}
	}
	return n
}

// read reads up to n rows of a page and their values.
func (c *arrowColumn) read(n int) (rows int, values encoding.Values, read int, err error) {
	var total int64
	levels := c.levels[:n]
	switch r := c.chunk.(type) {
	case *file.BooleanColumnChunkReader:
		c.bools = resize(c.bools, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.bools, levels, nil)
		bits := make([]byte, (read+7)/8)
		for i, b := range c.bools[:read] {
			if b {
				bits[i/8] |= 1 << (i % 8)
			}
		}
		values = encoding.BooleanValues(bits)
	case *file.Int32ColumnChunkReader:
		c.int32s = resize(c.int32s, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.int32s, levels, nil)
		values = encoding.Int32Values(c.int32s[:read])
	case *file.Int64ColumnChunkReader:
		c.int64s = resize(c.int64s, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.int64s, levels, nil)
		values = encoding.Int64Values(c.int64s[:read])
	case *file.Int96ColumnChunkReader:
		c.int96s = resize(c.int96s, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.int96s, levels, nil)
		values = encoding.Int96Values(int96Values(c.int96s[:read]))
	case *file.Float32ColumnChunkReader:
		c.floats = resize(c.floats, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.floats, levels, nil)
		values = encoding.FloatValues(c.floats[:read])
	case *file.Float64ColumnChunkReader:
		c.doubles = resize(c.doubles, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.doubles, levels, nil)
		values = encoding.DoubleValues(c.doubles[:read])
	case *file.ByteArrayColumnChunkReader:
		c.texts = resize(c.texts, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.texts, levels, nil)
		values = c.byteArrays(c.texts[:read])
	case *file.FixedLenByteArrayColumnChunkReader:
		c.fixed = resize(c.fixed, n)
		total, read, err = r.ReadBatchInPage(int64(n), c.fixed, levels, nil)
		values = c.fixedArrays(c.fixed[:read], r.Descriptor().TypeLength())
	default:
		return 0, values, 0, fmt.Errorf("it is stored as %v", c.chunk.Type())
	}
	return int(total), values, read, err
}

func int96Values(in []arrowparquet.Int96) []deprecated.Int96 {
	out := make([]deprecated.Int96, len(in))
	for i, x := range in {
		for w := range 3 {
			out[i][w] = uint32(x[4*w]) | uint32(x[4*w+1])<<8 | uint32(x[4*w+2])<<16 | uint32(x[4*w+3])<<24
		}
	}
	return out
}

// byteArrays copies byte arrays out of a page, which the next read overwrites.
func (c *arrowColumn) byteArrays(in []arrowparquet.ByteArray) encoding.Values {
	var data []byte
	offsets := []uint32{0}
	for _, b := range in {
		data = append(data, b...)
		offsets = append(offsets, uint32(len(data)))
	}
	c.backing = append(c.backing, data)
	return encoding.ByteArrayValues(data, offsets)
}

func (c *arrowColumn) fixedArrays(in []arrowparquet.FixedLenByteArray, size int) encoding.Values {
	var data []byte
	for _, b := range in {
		data = append(data, b...)
	}
	c.backing = append(c.backing, data)
	return encoding.FixedLenByteArrayValues(data, size)
}

func (c *arrowColumn) close() error { return nil }
