package records

import (
	"bufio"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/unskew/unskew/featuredefs/plan"
)

// formats maps file extensions to formats.
var formats = map[string]Format{".csv": CSV, ".tsv": CSV, ".json": JSON, ".jsonl": JSON, ".ndjson": JSON}

// FormatOf finds the format by a file's extension, without that of a compression, and
// completes the dialect: a .tsv file has tabs unless d says otherwise.
func FormatOf(name string, d plan.CSV) (Format, plan.CSV, bool) {
	ending := path.Ext(uncompressed(name))
	if ending == ".tsv" && d.Delimiter == 0 {
		d.Delimiter = '\t'
	}
	f, ok := formats[ending]
	return f, d, ok
}

// uncompressed returns a name in lower case, without the extension of a compression.
func uncompressed(name string) string {
	name = strings.ToLower(name)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

// maxWindow limits the memory of decompression; the usual levels need 8 MiB.
const maxWindow = 128 << 20

// Decompress returns the decompressed text of a file whose extension is .gz or .zst, and r
// for other extensions. It does not close r.
func Decompress(name string, r io.Reader) (io.ReadCloser, error) {
	ending := path.Ext(strings.ToLower(name))
	if ending != ".gz" && ending != ".zst" {
		return io.NopCloser(r), nil
	}
	begun := bufio.NewReader(r)
	if _, err := begun.Peek(1); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty, and a compressed file cannot be")
	}
	if ending == ".gz" {
		return gzip.NewReader(begun)
	}
	z, err := zstd.NewReader(begun, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}
