//go:build duckdb_arrow

package relation

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/pythontest"
)

//go:embed testdata/pages.py
var pagesPy string

// TestN13_ShortPages cuts pages of files of every type, encoding, compression and page version, or has
// their headers say more values than they hold. Reading gives an error that names file, column and
// row group, or what pyarrow reads, and never other values.
func TestN13_ShortPages(t *testing.T) {
	p := newProject(t)
	seed := rand.Uint32()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	kinds := map[string]plan.Kind{}
	var names []string
	for w := range decodeLines[written](t, pythontest.Run(t, textsPy+pagesPy, nil, "write", p.dir, strconv.Itoa(int(seed)))) {
		whole, err := os.ReadFile(filepath.Join(p.dir, w.File))
		if err != nil {
			t.Fatal(err)
		}
		if w.Kind != "nested" {
			p.fillPools(w.File, kindsByName[w.Kind])
		}
		changes := []pageChange{cutOne, cutSome, cutAll, cutHalf, moreRows}
		if testing.Short() {
			changes = changes[rnd.IntN(len(changes)):][:1]
		}
		for _, change := range changes {
			file := strings.TrimSuffix(w.File, ".parquet") + "-" + change.name + ".parquet"
			p.write(file, string(change.apply(t, rnd, whole)))
			names = append(names, file)
			kinds[file] = kindsByName[w.Kind]
		}
	}
	refused, equal := 0, 0
	input := []byte(strings.Join(names, "\n") + "\n")
	for w := range decodeLines[written](t, pythontest.Run(t, textsPy+pagesPy, input, "read", p.dir)) {
		p.passes(&w)
		if kinds[w.File] == plan.Invalid {
			continue // nested: it can only pass through
		}
		got, err := p.texts(from(w.File), field("c", kinds[w.File]))
		switch {
		case err == nil && w.Values == nil:
			t.Errorf("%s: %d values, pyarrow refuses the file", w.File, len(got))
		case err == nil && !sameTexts(kinds[w.File], got, w.Values):
			t.Errorf("%s: other values than pyarrow reads:\n%s\n%s", w.File, shownAll(got), shownAll(w.Values))
		case err == nil:
			equal++
		default:
			refused++
			if !strings.Contains(err.Error(), w.File) || !strings.Contains(err.Error(), `column "c", row group 1`) {
				t.Errorf("%s: error %v", w.File, err)
			}
		}
	}
	t.Logf("%d files refused, %d read as pyarrow does", refused, equal)
	if refused < len(names)/3 {
		t.Errorf("only %d of %d files were refused", refused, len(names))
	}
}

// fillPools reads an undamaged file, so that reused memory holds values.
func (p *project) fillPools(file string, k plan.Kind) {
	p.Helper()
	if _, err := p.texts(from(file), field("c", k)); err != nil {
		p.Fatalf("%s: %v", file, err)
	}
}

// passes reads the file as columns that pass through a spine.
func (p *project) passes(w *written) {
	rows := int64(0)
	var lists []*string
	err := p.Records(context.Background(), from(w.File), nil, func(*arrow.Schema) error { return nil }, func(r arrow.RecordBatch) error {
		rows += r.NumRows()
		list := r.Column(0)
		switch list.(type) {
		case *array.List, *array.Struct:
			for i := range list.Len() {
				text, err := json.Marshal(list.GetOneForMarshal(i))
				if err != nil {
					return err
				}
				s := string(text)
				lists = append(lists, &s)
				if s == "null" {
					lists[len(lists)-1] = nil
				}
			}
		}
		return nil
	})
	if err == nil && lists != nil && !sameTexts(plan.String, lists, w.Values) {
		p.Errorf("%s passes through with other values than pyarrow reads:\n%s\n%s", w.File, shownAll(lists), shownAll(w.Values))
	}
	if err != nil && !strings.Contains(err.Error(), w.File) {
		p.Errorf("%s passes through: error %v", w.File, err)
	}
	if err == nil && (w.Values == nil || rows != int64(len(w.Values))) {
		p.Errorf("%s: %d rows pass through, pyarrow reads %d", w.File, rows, len(w.Values))
	}
}

// texts reads a column.
func (p *project) texts(rel Relation, f plan.Field) (got []*string, err error) {
	err = p.Scan(context.Background(), rel, []plan.Field{f}, func(b *Batch) error {
		for i := range b.N {
			got = append(got, textOf(b.Cols[0].Value(i)))
		}
		return nil
	})
	return got, err
}

func sameTexts(k plan.Kind, got, want []*string) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if (got[i] == nil) != (want[i] == nil) || got[i] != nil && !sameText(k, *got[i], *want[i]) {
			return false
		}
	}
	return true
}

func shownAll(texts []*string) string {
	var all []string
	for _, t := range texts {
		all = append(all, shown(t))
	}
	return strings.Join(all, " ")
}

// decodeLines decodes lines of JSON.
func decodeLines[T any](t *testing.T, text string) func(func(T) bool) {
	return func(yield func(T) bool) {
		d := json.NewDecoder(strings.NewReader(text))
		for {
			var x T
			if err := d.Decode(&x); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if !yield(x) {
				return
			}
		}
	}
}

// filePage is a page of a file, with its levels and values as they are before compression.
type filePage struct {
	header format.PageHeader
	levels []byte // of a data page v2, which are not compressed
	plain  []byte
}

// pageChange damages a data page; extra is how many rows more the file then says it has.
type pageChange struct {
	name string
	do   func(rnd *rand.Rand, p *filePage) (extra int32)
}

var (
	cutOne  = pageChange{"one", func(_ *rand.Rand, p *filePage) int32 { return p.cut(1) }}
	cutSome = pageChange{"some", func(rnd *rand.Rand, p *filePage) int32 { return p.cut(1 + rnd.IntN(40)) }}
	cutHalf = pageChange{"half", func(_ *rand.Rand, p *filePage) int32 { return p.cut(len(p.plain) / 2) }}
	cutAll  = pageChange{"all", func(_ *rand.Rand, p *filePage) int32 { return p.cut(len(p.plain)) }}

	// moreRows has the header say that the page has more rows.
	moreRows = pageChange{"more", func(rnd *rand.Rand, p *filePage) int32 {
		extra := int32(1 + rnd.IntN(9))
		if p.header.DataPageHeaderV2.Valid {
			p.header.DataPageHeaderV2.V.NumValues += extra
			p.header.DataPageHeaderV2.V.NumRows += extra
		} else {
			p.header.DataPageHeader.V.NumValues += extra
		}
		return extra
	}}
)

// cut removes the last n bytes.
func (p *filePage) cut(n int) int32 {
	p.plain = p.plain[:len(p.plain)-min(n, len(p.plain))]
	return 0
}

// apply changes one data page of a file of one column.
func (c pageChange) apply(t *testing.T, rnd *rand.Rand, whole []byte) []byte {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(whole), int64(len(whole)), parquet.SkipPageIndex(true))
	if err != nil {
		t.Fatal(err)
	}
	meta := *f.Metadata()
	group := meta.RowGroups[0]
	chunk := group.Columns[0]
	pages := filePages(t, whole, &chunk.MetaData)
	var data []int
	for i := range pages {
		if pages[i].header.Type != format.DictionaryPage {
			data = append(data, i)
		}
	}
	extra := int64(c.do(rnd, &pages[data[rnd.IntN(len(data))]]))
	out := []byte("PAR1")
	chunk.MetaData.DictionaryPageOffset, chunk.MetaData.DataPageOffset = 0, 0
	for i := range pages {
		if pages[i].header.Type == format.DictionaryPage {
			chunk.MetaData.DictionaryPageOffset = int64(len(out))
		} else if chunk.MetaData.DataPageOffset == 0 {
			chunk.MetaData.DataPageOffset = int64(len(out))
		}
		out = append(out, pages[i].encode(t, chunk.MetaData.Codec)...)
	}
	chunk.MetaData.TotalCompressedSize = int64(len(out) - 4)
	chunk.MetaData.NumValues += extra
	chunk.ColumnIndexOffset, chunk.ColumnIndexLength, chunk.OffsetIndexOffset, chunk.OffsetIndexLength = 0, 0, 0, 0
	group.Columns = []format.ColumnChunk{chunk}
	group.NumRows += extra
	group.TotalCompressedSize, group.FileOffset = chunk.MetaData.TotalCompressedSize, 4
	meta.RowGroups, meta.NumRows = []format.RowGroup{group}, meta.NumRows+extra
	return withFooter(t, append(out, make([]byte, 8)...), &meta)
}

// filePages decompresses the pages of a column chunk.
func filePages(t *testing.T, whole []byte, meta *format.ColumnMetaData) (pages []filePage) {
	t.Helper()
	start := meta.DataPageOffset
	if meta.DictionaryPageOffset != 0 {
		start = meta.DictionaryPageOffset
	}
	in := bytes.NewReader(whole[start : start+meta.TotalCompressedSize])
	for in.Len() > 0 {
		var p filePage
		if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(in)).Decode(&p.header); err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, p.header.CompressedPageSize)
		if _, err := io.ReadFull(in, raw); err != nil {
			t.Fatal(err)
		}
		v2 := p.header.DataPageHeaderV2
		if v2.Valid {
			n := v2.V.RepetitionLevelsByteLength + v2.V.DefinitionLevelsByteLength
			p.levels, raw = raw[:n], raw[n:]
		}
		p.plain = raw
		if meta.Codec != format.Uncompressed && len(raw) > 0 && (!v2.Valid || !v2.V.IsCompressed.Valid || v2.V.IsCompressed.V) {
			plain, err := parquet.LookupCompressionCodec(meta.Codec).Decode(make([]byte, int(p.header.UncompressedPageSize)-len(p.levels)), raw)
			if err != nil {
				t.Fatal(err)
			}
			p.plain = plain
		}
		pages = append(pages, p)
	}
	return pages
}

// encode compresses the page and sets the sizes of its header.
func (p *filePage) encode(t *testing.T, codec format.CompressionCodec) []byte {
	t.Helper()
	body := p.plain
	if p.header.DataPageHeaderV2.Valid {
		p.header.DataPageHeaderV2.V.IsCompressed = thrift.Null[bool]{V: codec != format.Uncompressed, Valid: true}
	}
	if codec != format.Uncompressed {
		var err error
		if body, err = parquet.LookupCompressionCodec(codec).Encode(nil, p.plain); err != nil {
			t.Fatal(err)
		}
	}
	p.header.CRC = 0
	p.header.UncompressedPageSize = int32(len(p.levels) + len(p.plain))
	p.header.CompressedPageSize = int32(len(p.levels) + len(body))
	head, err := thrift.Marshal(new(thrift.CompactProtocol), &p.header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(head, p.levels...), body...)
}
