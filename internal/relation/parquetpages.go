package relation

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// pages reads the pages of a column chunk without repetition. It decodes with parquet-go, but
// not with that library's reader of pages, which takes the values that a short page lacks
// from whatever its buffers held before.
type pages struct {
	typ      parquet.Type
	optional bool
	codec    compress.Codec // nil: none
	left     int64          // rows of the chunk that no page had yet

	in         *bufio.Reader
	decoder    *thrift.Decoder
	dictionary *dictionary
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

// openPages starts reading a chunk of rows rows.
func openPages(in io.ReaderAt, typ parquet.Type, optional bool, meta *format.ColumnMetaData, rows int64) *pages {
	start := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		start = meta.DictionaryPageOffset
	}
	p := &pages{typ: typ, optional: optional, left: rows, in: pageBuffers.Get().(*bufio.Reader)}
	p.in.Reset(io.NewSectionReader(in, start, meta.TotalCompressedSize+omittedHeader))
	p.decoder = thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(p.in))
	if meta.Codec != format.Uncompressed {
		p.codec = parquet.LookupCompressionCodec(meta.Codec)
	}
	return p
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
	out := &page{rows: int(d.NumValues), memory: m}
	if p.optional {
		if d.DefinitionLevelEncoding != format.RLE {
			return nil, fmt.Errorf("its definition levels have the encoding %v, which is not read; write the file again with a current library", d.DefinitionLevelEncoding)
		}
		if len(data) < 4 || int(binary.LittleEndian.Uint32(data)) > len(data)-4 {
			return nil, errors.New("a page ends in its definition levels")
		}
		end := 4 + int(binary.LittleEndian.Uint32(data))
		if err := out.decodeLevels(data[4:end:end]); err != nil {
			return nil, err
		}
		data = data[end:]
	}
	return out, p.decodeValues(out, d.Encoding, data)
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
	if p.optional {
		if err := out.decodeLevels(m.raw[repetition:values:values]); err != nil {
			return nil, err
		}
	}
	if nulls := bytes.Count(out.levels, []byte{0}); nulls != int(d.NumNulls) {
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

// levelEncoding is that of levels that are 0 or 1.
var levelEncoding = rle.Encoding{BitWidth: 1}

// decodeLevels sets the page's levels: nil if all are 1.
func (d *page) decodeLevels(data []byte) error {
	data, err := runs(data, 1, d.rows)
	if err != nil {
		return fmt.Errorf("definition levels: %w", err)
	}
	m := d.memory
	if m.levels, err = levelEncoding.DecodeLevels(resize(m.levels, d.rows), data); err != nil {
		return fmt.Errorf("definition levels: %w", err)
	}
	levels := m.levels[:d.rows]
	ones := bytes.Count(levels, []byte{1})
	if ones+bytes.Count(levels, []byte{0}) != d.rows {
		return errors.New("definition levels: one is neither 0 nor 1")
	}
	if ones < d.rows {
		d.levels = levels
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
