//go:build duckdb_arrow

package relation

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/pythontest"
)

//go:embed testdata/corpus.py
var corpusPy string

// corpusColumn is a column of a file, or a file that pyarrow refuses.
type corpusColumn struct {
	written
	Error string
}

// TestPublicFilesAreWhatPyarrowReads compares files of many writers: Impala, Hive, parquet-mr,
// parquet-rs, DuckDB and others. They are those of the module parquet-go (Apache License 2.0), most
// of which come from apache/parquet-testing (Apache License 2.0). With UNSKEW_PARQUET_CORPUS set to
// a folder, it compares the files there instead, such as those of a clone of the latter.
func TestPublicFilesAreWhatPyarrowReads(t *testing.T) {
	p := newProject(t)
	folders := []string{os.Getenv("UNSKEW_PARQUET_CORPUS")}
	if folders[0] == "" {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/parquet-go/parquet-go").Output()
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(strings.TrimSpace(string(out)), "testdata")
		folders = []string{dir, filepath.Join(dir, "malformed")}
	}
	for _, folder := range folders {
		p.copyCorpus(folder)
	}
	columns := 0
	for w := range decodeLines[corpusColumn](t, pythontest.Run(t, textsPy+corpusPy, nil, p.dir)) {
		if w.Error != "" {
			p.refusesFile(&w)
			continue
		}
		columns++
		got, err := p.texts(from(w.File), field(w.Column, kindsByName[w.Kind]))
		switch {
		case err != nil:
			if !refusedByName(err, &w) {
				t.Errorf("%s, column %s of type %s: %v", w.File, w.Column, w.Type, err)
			}
		case !sameTexts(kindsByName[w.Kind], got, w.Values):
			t.Errorf("%s, column %s of type %s: other values than pyarrow reads", w.File, w.Column, w.Type)
		}
		p.compareQuery(&w.written)
	}
	t.Logf("%d columns", columns)
	if columns < 200 {
		t.Errorf("only %d columns were compared", columns)
	}
}

// copyCorpus copies the Parquet files of a folder that are not large.
func (p *project) copyCorpus(folder string) {
	p.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.parquet"))
	if err != nil || len(files) == 0 {
		p.Fatalf("no Parquet file in %s: %v", folder, err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
			continue
		}
		p.copyFile(path, filepath.Base(path))
	}
}

// refusesFile checks that a file that pyarrow refuses is refused here.
func (p *project) refusesFile(w *corpusColumn) {
	p.Helper()
	columns, err := p.Columns(context.Background(), from(w.File))
	if err != nil {
		return
	}
	var errs []error
	for _, c := range columns {
		if c.Unusable == "" && c.Type.Kind != plan.Null {
			_, err := p.texts(from(w.File), c.Field)
			errs = append(errs, err)
		}
	}
	if err := p.Records(context.Background(), from(w.File), nil, func(*arrow.Schema) error { return nil }, func(arrow.RecordBatch) error { return nil }); errors.Join(errs...) == nil && err == nil {
		p.Errorf("%s: it is read, pyarrow says %s", w.File, w.Error)
	}
}

// refusals are what this reader says of types, compressions and damages that it does not read and
// pyarrow does.
var refusals = []string{"is not read; write it with", "which no type of a column holds", "which a double cannot hold", "a page says that it has",
	"the checksum of a page is wrong", "it ends early", "the header of a page cannot be read"}

// refusedByName reports whether an error names file and column and one of refusals.
func refusedByName(err error, w *corpusColumn) bool {
	msg := err.Error()
	return strings.Contains(msg, w.File) && strings.Contains(msg, `"`+w.Column+`"`) &&
		slices.ContainsFunc(refusals, func(s string) bool { return strings.Contains(msg, s) })
}

// TestCompressionThatIsNotRead names those that are.
func TestCompressionThatIsNotRead(t *testing.T) {
	p := newProject(t)
	p.copyTo("good.parquet", "SELECT 1 AS x, {'y': 2} AS s")
	for codec, name := range map[format.CompressionCodec]string{format.Lz4: "LZ4 as Hadoop writes it", format.LZO: "LZO"} {
		p.changeFooter(filepath.Join(p.dir, "good.parquet"), "bad.parquet", func(m *format.FileMetaData) {
			m.RowGroups[0].Columns[0].MetaData.Codec = codec
		})
		want := []string{"source clicks", `column "x" of bad.parquet`, name, "SNAPPY, ZSTD, GZIP, BROTLI or LZ4_RAW"}
		_, scan := p.rows(from("bad.parquet"), field("x", plan.Int))
		check := p.Check(context.Background(), from("bad.parquet"), []plan.Field{field("x", plan.Int)})
		records := p.Records(context.Background(), from("bad.parquet"), nil, func(*arrow.Schema) error { return nil }, func(arrow.RecordBatch) error { return nil })
		for way, err := range map[string]error{"scan": scan, "check": check, "records": records} {
			for _, part := range want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%s, %s: error %v, want %q in it", name, way, err, part)
				}
			}
		}
	}
}
