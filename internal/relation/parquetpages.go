package relation

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"sync"

	arrowcompress "github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// pages reads the pages of a column chunk. Pages of a column with repetition are decoded without their
// levels, which is enough to check them. It decodes with parquet-go, but
// not with that library's reader of pages, which takes the values that a short page lacks
// from whatever its buffers held before.
type pages struct {
	typ    parquet.Type
	levels maxLevels
	codec  compress.Codec // nil: none
	left   int64          // values of the chunk, with nulls, that no page had yet
	most   int64          // bytes of a page; 0: no limit

	in         *bufio.Reader
	decoder    *thrift.Decoder
	dictionary *dictionary
}

// maxLevels are the levels of a value that is present: the numbers of optional and repeated fields,
// and of repeated fields, on the way to it.
type maxLevels struct{ definition, repetition int }

// add adds a field.
func (l *maxLevels) add(e *format.SchemaElement) {
	switch e.RepetitionType.V {
	case format.Optional:
		l.definition++
	case format.Repeated:
		l.definition++
		l.repetition++
	}
}

// dictionary is the values that dictionary-encoded pages refer to.
type dictionary struct {
	values encoding.Values
	n      int
}

// page is a decoded data page. It has exactly as many values, or indexes into its dictionary,
// as its levels say.
type page struct {
	rows       int
	levels     []byte // 1: a value, 0: null; nil when all are values
	count      int    // of values, without nulls
	values     encoding.Values
	dictionary *dictionary // not nil: values are indexes
	memory     *pageMemory
}

// pageMemory is what a page is decoded into.
type pageMemory struct {
	raw, plain, levels, values []byte
	offsets                    []uint32
}

var (
	pageMemories = sync.Pool{New: func() any { return new(pageMemory) }}
	pageBuffers  = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}
)

// release gives the page's memory back; nothing may refer to it any more.
func (p *page) release() { pageMemories.Put(p.memory) }

// bytes is the memory that the page holds.
func (p *page) bytes() int64 {
	m := p.memory
	return int64(cap(m.raw) + cap(m.plain) + cap(m.levels) + cap(m.values) + 4*cap(m.offsets))
}

// omittedHeader bounds the header of a dictionary page, which parquet-mr before 1.2.9 left out of the
// size of a chunk (PARQUET-816).
const omittedHeader = 128

// openPages starts reading a chunk of n values, with nulls, whose pages may have most bytes; 0 is no limit.
func openPages(in io.ReaderAt, typ parquet.Type, levels maxLevels, meta *format.ColumnMetaData, n, most int64) *pages {
	start := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		start = meta.DictionaryPageOffset
	}
	p := &pages{typ: typ, levels: levels, left: n, most: most, in: pageBuffers.Get().(*bufio.Reader)}
	p.in.Reset(io.NewSectionReader(in, start, meta.TotalCompressedSize+omittedHeader))
	p.decoder = thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(p.in))
	if meta.Codec != format.Uncompressed {
		p.codec = parquet.LookupCompressionCodec(meta.Codec)
	}
	if meta.Codec == format.Lz4Raw {
		p.codec = boundedLZ4{p.codec}
	}
	return p
}

// boundedLZ4 decompresses no more than dst holds; parquet-go lets a damaged page take all memory.
type boundedLZ4 struct{ compress.Codec }

// Decode panics if src is damaged.
func (boundedLZ4) Decode(dst, src []byte) ([]byte, error) {
	codec, err := arrowcompress.GetCodec(arrowcompress.Codecs.Lz4Raw)
	if err != nil {
		return nil, err
	}
	return codec.Decode(dst, src), nil
}

func (p *pages) close() error {
	p.in.Reset(nil)
	pageBuffers.Put(p.in)
	p.in = nil
	return nil
}

// next reads the next data page; io.EOF if there is none.
func (p *pages) next() (*page, error) {
	for {
		var h format.PageHeader
		if err := p.decoder.Decode(&h); errors.Is(err, io.EOF) {
			return nil, io.EOF
		} else if err != nil {
			return nil, fmt.Errorf("the header of a page cannot be read: %w", err)
		}
		m := pageMemories.Get().(*pageMemory)
		if err := p.readRaw(&h, m); err != nil {
			pageMemories.Put(m)
			return nil, unexpectedEnd(err)
		}
		var d *page
		var err error
		switch {
		case h.Type == format.DataPage && h.DataPageHeader.Valid:
			d, err = p.decodeV1(&h, m)
		case h.Type == format.DataPageV2 && h.DataPageHeaderV2.Valid:
			d, err = p.decodeV2(&h, m)
		case h.Type == format.DictionaryPage && h.DictionaryPageHeader.Valid:
			err = p.decodeDictionary(&h, m)
		case h.Type != format.IndexPage:
			err = fmt.Errorf("it has a page of the unknown type %v", h.Type)
		}
		if d == nil {
			pageMemories.Put(m)
		}
		if d != nil || err != nil {
			return d, unexpectedEnd(err)
		}
	}
}

// unexpectedEnd keeps the end of a page apart from the end of the chunk.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readRaw reads a page as it is stored.
func (p *pages) readRaw(h *format.PageHeader, m *pageMemory) error {
	if h.CompressedPageSize < 0 || h.UncompressedPageSize < 0 {
		return errors.New("the size of a page is negative")
	}
	if size := int64(max(h.CompressedPageSize, h.UncompressedPageSize)); p.most > 0 && size > p.most {
		return fmt.Errorf("a page has %d MiB, and with the limit on memory at most %d MiB may be decoded at once; allow more memory, or write the file with smaller pages or row groups",
			size>>20, p.most>>20)
	}
	m.raw = resize(m.raw, int(h.CompressedPageSize))
	if _, err := io.ReadFull(p.in, m.raw); err != nil {
		return err
	}
	if h.CRC != 0 && uint32(h.CRC) != crc32.ChecksumIEEE(m.raw) {
		return errors.New("the checksum of a page is wrong")
	}
	return nil
}

// decodeMargin is the room behind a page's bytes with which the Zstandard decoder takes its fast loop,
// which copies 16 bytes at a time and so writes beyond the end.
const decodeMargin = 32

// decompress returns the plain bytes of data, in m or in data itself. Its length is what data really
// holds, whatever size is expected.
func (p *pages) decompress(data []byte, size int, m *pageMemory) ([]byte, error) {
	if p.codec == nil || len(data) == 0 {
		return data, nil
	}
	m.plain = resize(m.plain, size+decodeMargin)
	plain, err := p.codec.Decode(m.plain, data)
	if err != nil {
		return nil, fmt.Errorf("a page cannot be decompressed: %w", err)
	}
	m.plain = plain[:cap(plain)]
	return plain, nil
}

func (p *pages) decodeV1(h *format.PageHeader, m *pageMemory) (*page, error) {
	d := &h.DataPageHeader.V
	if err := p.take(d.NumValues); err != nil {
		return nil, err
	}
	data, err := p.decompress(m.raw, int(h.UncompressedPageSize), m)
	if err != nil {
		return nil, err
	}
	var repetition, definition []byte
	if p.levels.repetition > 0 {
		if repetition, data, err = cutLevels(data, d.RepetitionLevelEncoding); err != nil {
			return nil, err
		}
	}
	if p.levels.definition > 0 {
		if definition, data, err = cutLevels(data, d.DefinitionLevelEncoding); err != nil {
			return nil, err
		}
	}
	out := &page{rows: int(d.NumValues), memory: m}
	if err := out.decodeLevels(p.levels, repetition, definition); err != nil {
		return nil, err
	}
	return out, p.decodeValues(out, d.Encoding, data)
}

// cutLevels takes the levels of a data page v1, which follow their length.
func cutLevels(data []byte, enc format.Encoding) (levels, rest []byte, err error) {
	if enc != format.RLE {
		return nil, nil, fmt.Errorf("its levels have the encoding %v, which is not read; write the file again with a current library", enc)
	}
	if len(data) < 4 || int(binary.LittleEndian.Uint32(data)) > len(data)-4 {
		return nil, nil, errors.New("a page ends in its levels")
	}
	end := 4 + int(binary.LittleEndian.Uint32(data))
	return data[4:end:end], data[end:], nil
}

func (p *pages) decodeV2(h *format.PageHeader, m *pageMemory) (*page, error) {
	d := &h.DataPageHeaderV2.V
	if err := p.take(d.NumValues); err != nil {
		return nil, err
	}
	repetition, definition := int(d.RepetitionLevelsByteLength), int(d.DefinitionLevelsByteLength)
	if repetition < 0 || definition < 0 || repetition > len(m.raw)-definition {
		return nil, errors.New("a page ends in its levels")
	}
	out := &page{rows: int(d.NumValues), memory: m}
	values := repetition + definition
	if err := out.decodeLevels(p.levels, m.raw[:repetition:repetition], m.raw[repetition:values:values]); err != nil {
		return nil, err
	}
	if nulls := out.rows - out.count; nulls != int(d.NumNulls) {
		return nil, fmt.Errorf("a page has %d nulls, and its header says %d", nulls, d.NumNulls)
	}
	data := m.raw[values:]
	if !d.IsCompressed.Valid || d.IsCompressed.V {
		var err error
		if data, err = p.decompress(data, max(0, int(h.UncompressedPageSize)-values), m); err != nil {
			return nil, err
		}
	}
	return out, p.decodeValues(out, d.Encoding, data)
}

// take checks that the chunk has as many rows left as a page says it has.
func (p *pages) take(rows int32) error {
	if rows < 0 || int64(rows) > p.left {
		return fmt.Errorf("a page says that it has %d rows, and the row group has %d left", rows, p.left)
	}
	p.left -= int64(rows)
	return nil
}

// decodeLevels counts the page's values. It sets the levels of a column without repetition, as 1 for a
// value and 0 for null, wherever on the way to it the null is; nil if all are 1.
func (d *page) decodeLevels(most maxLevels, repetition, definition []byte) error {
	d.count = d.rows
	if most.repetition > 0 {
		if _, err := runs(repetition, bits.Len(uint(most.repetition)), d.rows); err != nil {
			return fmt.Errorf("repetition levels: %w", err)
		}
	}
	if most.definition == 0 {
		return nil
	}
	encoding := rle.Encoding{BitWidth: bits.Len(uint(most.definition))}
	definition, err := runs(definition, encoding.BitWidth, d.rows)
	if err != nil {
		return fmt.Errorf("definition levels: %w", err)
	}
	m := d.memory
	if m.levels, err = encoding.DecodeLevels(resize(m.levels, d.rows), definition); err != nil {
		return fmt.Errorf("definition levels: %w", err)
	}
	levels := m.levels[:d.rows]
	d.count = bytes.Count(levels, []byte{byte(most.definition)})
	if most.repetition > 0 || d.count == d.rows {
		return nil
	}
	if most.definition > 1 {
		err = binaryLevels(levels, most.definition)
	} else if d.count+bytes.Count(levels, []byte{0}) != d.rows {
		err = errors.New("definition levels: one is neither 0 nor 1")
	}
	d.levels = levels
	return err
}

// binaryLevels makes 1 of the level of a value and 0 of those of nulls.
func binaryLevels(levels []byte, most int) error {
	for i, l := range levels {
		switch {
		case int(l) > most:
			return fmt.Errorf("definition levels: one is %d, and at most %d can be", l, most)
		case int(l) == most:
			levels[i] = 1
		default:
			levels[i] = 0
		}
	}
	return nil
}

func (p *pages) decodeDictionary(h *format.PageHeader, m *pageMemory) error {
	n := int(h.DictionaryPageHeader.V.NumValues)
	if n < 0 {
		return errors.New("the size of its dictionary is negative")
	}
	data, err := p.decompress(m.raw, int(h.UncompressedPageSize), m)
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	// The dictionary outlives the page's memory.
	values, err := decodePlain(p.typ, bytes.Clone(data), n, nil)
	if err != nil {
		return fmt.Errorf("dictionary: %w", err)
	}
	p.dictionary = &dictionary{values, n}
	return nil
}
