package relation

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// The decoders of parquet-go read beyond the end of their input where its slice has capacity, and some
// fill in what is missing. So the functions below first count what the bytes of a page hold, and every
// slice ends where its bytes end.

// errShort says that a page holds fewer values than its header and levels say.
func errShort(has, want int) error {
	return fmt.Errorf("a page holds %d values, and its header and levels say %d; the file is damaged, or its writer was", has, want)
}

// plainDictionary is what writers of version 1 of the format give for RLEDictionary. The constant of
// package format is marked as deprecated for writers; readers must know it.
const plainDictionary format.Encoding = 2

// decodeValues sets the page's values.
func (p *pages) decodeValues(d *page, enc format.Encoding, data []byte) (err error) {
	data = data[:len(data):len(data)]
	switch m, n := d.memory, d.count; {
	case enc == format.RLEDictionary || enc == plainDictionary:
		if d.dictionary = p.dictionary; d.dictionary == nil {
			return errors.New("a page refers to a dictionary, and there is none")
		}
		d.values, err = decodeIndexes(data, n, m)
	case enc == format.Plain:
		d.values, err = decodePlain(p.typ, data, n, m)
	case enc == format.ByteStreamSplit:
		d.values, err = decodeSplit(p.typ, data, n, m)
	case enc == format.DeltaBinaryPacked:
		d.values, err = decodeDeltas(p.typ, data, n, m)
	case enc == format.DeltaLengthByteArray || enc == format.DeltaByteArray:
		d.values, err = decodeDeltaTexts(p.typ, enc, data, n, m)
	default:
		err = errEncoding(p.typ, enc)
	}
	return err
}

func errEncoding(typ parquet.Type, enc format.Encoding) error {
	return fmt.Errorf("it stores %v with the encoding %v, which is not read", typ.Kind(), enc)
}

// widthOf is the size of a stored value in bytes; 0 if the type has no fixed one.
func widthOf(typ parquet.Type) int {
	switch typ.Kind() {
	case parquet.Int32, parquet.Float:
		return 4
	case parquet.Int64, parquet.Double:
		return 8
	case parquet.Int96:
		return 12
	case parquet.FixedLenByteArray:
		return typ.Length()
	}
	return 0
}

// decodePlain decodes n values in place; the result refers to data. m may be nil.
func decodePlain(typ parquet.Type, data []byte, n int, m *pageMemory) (encoding.Values, error) {
	if width := widthOf(typ); width > 0 {
		if len(data)/width < n {
			return encoding.Values{}, errShort(len(data)/width, n)
		}
		data = data[: n*width : n*width]
		return typ.Decode(typ.NewValues(data, nil), data, &parquet.Plain)
	}
	if m == nil {
		m = new(pageMemory)
	}
	if len(data)/4 < n { // each has a length of 4 bytes
		return encoding.Values{}, errShort(len(data)/4, n)
	}
	return decodeTexts(data, n, m, data, &parquet.Plain)
}

// decodeTexts decodes n byte arrays to dst, which may be data itself.
func decodeTexts(data []byte, n int, m *pageMemory, dst []byte, enc encoding.Encoding) (encoding.Values, error) {
	if cap(m.offsets) < n+1 {
		m.offsets = make([]uint32, n+1)
	}
	text, offsets, err := enc.DecodeByteArray(dst, data, m.offsets[:n+1])
	if err != nil {
		return encoding.Values{}, err
	}
	m.offsets = offsets
	if len(offsets) < n+1 {
		return encoding.Values{}, errShort(max(0, len(offsets)-1), n)
	}
	return encoding.ByteArrayValues(text[:len(text):len(text)], offsets[:n+1]), nil
}

// decodeIndexes decodes n indexes into a dictionary.
func decodeIndexes(data []byte, n int, m *pageMemory) (encoding.Values, error) {
	if n == 0 {
		return encoding.Int32Values(nil), nil
	}
	if len(data) == 0 {
		return encoding.Values{}, errShort(0, n)
	}
	used, err := runs(data[1:], int(data[0]), n)
	if err != nil {
		return encoding.Values{}, err
	}
	end := 1 + len(used)
	m.values = resize(m.values, 4*n)
	indexes, err := parquet.RLEDictionary.DecodeInt32(int32s(m.values), data[:end:end])
	if err != nil {
		return encoding.Values{}, err
	}
	whole := encoding.Int32Values(indexes[:cap(indexes)])
	m.values, _ = whole.Data()
	return encoding.Int32Values(indexes[:n]), nil
}

func int32s(b []byte) []int32 {
	v := encoding.Int32ValuesFromBytes(b)
	return v.Int32()
}

// decodeSplit decodes the streams of bytes of n values.
func decodeSplit(typ parquet.Type, data []byte, n int, m *pageMemory) (encoding.Values, error) {
	width := widthOf(typ)
	switch {
	case width == 0 || typ.Kind() == parquet.Int96:
		return encoding.Values{}, errEncoding(typ, format.ByteStreamSplit)
	case len(data) != n*width:
		return encoding.Values{}, errShort(len(data)/width, n)
	}
	m.values = resize(m.values, n*width)
	return typ.Decode(typ.NewValues(m.values, nil), data, &parquet.ByteStreamSplit)
}

// decodeDeltas decodes n integers.
func decodeDeltas(typ parquet.Type, data []byte, n int, m *pageMemory) (encoding.Values, error) {
	width := widthOf(typ)
	if typ.Kind() != parquet.Int32 && typ.Kind() != parquet.Int64 {
		return encoding.Values{}, errEncoding(typ, format.DeltaBinaryPacked)
	}
	if n == 0 {
		return typ.NewValues(nil, nil), nil
	}
	if _, err := deltas(data, n); err != nil {
		return encoding.Values{}, err
	}
	m.values = resize(m.values, n*width)
	values, err := typ.Decode(typ.NewValues(m.values, nil), data, &parquet.DeltaBinaryPacked)
	if err != nil {
		return values, err
	}
	decoded, _ := values.Data()
	return typ.NewValues(decoded[:n*width:n*width], nil), nil
}

// decodeDeltaTexts decodes n byte arrays, whose lengths are deltas.
func decodeDeltaTexts(typ parquet.Type, enc format.Encoding, data []byte, n int, m *pageMemory) (encoding.Values, error) {
	fixed := typ.Kind() == parquet.FixedLenByteArray
	if typ.Kind() != parquet.ByteArray && !(fixed && enc == format.DeltaByteArray) {
		return encoding.Values{}, errEncoding(typ, enc)
	}
	if n == 0 {
		return typ.NewValues(nil, []uint32{0}), nil
	}
	rest, err := deltas(data, n)
	if err == nil && enc == format.DeltaByteArray { // lengths of prefixes, then of suffixes
		_, err = deltas(rest, n)
	}
	if err != nil {
		return encoding.Values{}, err
	}
	var values encoding.Values
	if enc == format.DeltaLengthByteArray {
		values, err = decodeTexts(data, n, m, data, &parquet.DeltaLengthByteArray)
	} else {
		values, err = decodeTexts(data, n, m, m.values, &parquet.DeltaByteArray)
	}
	if err != nil {
		return values, err
	}
	text, offsets := values.ByteArray()
	if enc == format.DeltaByteArray {
		m.values = text
	}
	if !fixed {
		return values, nil
	}
	for i, o := range offsets {
		if int(o) != i*typ.Length() {
			return values, fmt.Errorf("a value has another length than %d bytes", typ.Length())
		}
	}
	return encoding.FixedLenByteArrayValues(text[:n*typ.Length()], typ.Length()), nil
}

// maxPadding is how many more values than a page has its last run may hold, because runs of
// packed bits have a multiple of 8 values.
const maxPadding = 504

// runs returns the part of run-length encoded data that holds the first n values, of width
// bits each.
func runs(data []byte, width, n int) ([]byte, error) {
	if width > 32 {
		return nil, fmt.Errorf("a page has values of %d bits", width)
	}
	at, have := 0, 0
	for have < n {
		u, size := binary.Uvarint(data[at:])
		if size <= 0 {
			return nil, errShort(have, n)
		}
		at += size
		count := u >> 1
		values, length := count, uint64((width+7)/8)
		if u&1 != 0 {
			values, length = 8*count, count*uint64(width)
		}
		if count > 1<<32 || length > uint64(len(data)-at) {
			return nil, errShort(have, n)
		}
		if values > uint64(n-have+maxPadding) {
			return nil, fmt.Errorf("a page has a run of %d values where %d are left", values, n-have)
		}
		at += int(length)
		have += int(values)
	}
	return data[:at:at], nil
}

// deltas checks that data of the encoding DELTA_BINARY_PACKED hold exactly n values, and
// returns what follows them.
func deltas(data []byte, n int) (rest []byte, err error) {
	var header [4]uint64 // values of a block, miniblocks of a block, values, first value
	for i := range header {
		var size int
		if header[i], size = binary.Uvarint(data); size <= 0 {
			return nil, errShort(0, n)
		}
		data = data[size:]
	}
	block, miniblocks := header[0], header[1]
	if header[2] != uint64(n) {
		return nil, errShort(int(min(header[2], 1<<31)), n)
	}
	if block == 0 || block > 1<<16 || miniblocks == 0 || miniblocks > block || block%miniblocks != 0 || block/miniblocks%8 != 0 {
		return nil, fmt.Errorf("a page has blocks of %d values in %d miniblocks", block, miniblocks)
	}
	each := int(block / miniblocks)
	for left := n - 1; left > 0; {
		_, size := binary.Uvarint(data) // the least delta
		if size <= 0 || len(data)-size < int(miniblocks) {
			return nil, errShort(n-left, n)
		}
		widths := data[size:][:miniblocks]
		data = data[size+int(miniblocks):]
		for _, width := range widths {
			values := min(each, left)
			if values == 0 {
				break
			}
			size := each * int(width) / 8 // the last one is padded
			if width > 64 || size > len(data) {
				return nil, errShort(n-left, n)
			}
			data = data[size:]
			left -= values
		}
	}
	return data, nil
}
