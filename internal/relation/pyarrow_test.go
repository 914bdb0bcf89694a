//go:build duckdb_arrow

package relation

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/pythontest"
)

//go:embed testdata/texts.py
var textsPy string

//go:embed testdata/parquet.py
var parquetPy string

// written is a column of a file as pyarrow reads it.
type written struct {
	File, Column, Kind, Type, Layout string
	Path                             []string // of the column: its name, or those of structs and a field
	Values                           []*string
}

// from is the file with the column at its path.
func (w *written) from() Relation {
	rel := from(w.File)
	if len(w.Path) > 1 {
		rel.Paths = map[string][]string{w.Column: w.Path}
	}
	return rel
}

var kindsByName = map[string]plan.Kind{
	"bool": plan.Bool, "int": plan.Int, "double": plan.Double, "string": plan.String,
	"bytes": plan.Bytes, "timestamp": plan.Timestamp, "duration": plan.Duration, "null": plan.Null,
}

// TestParquetIsWhatPyarrowReads compares files of every type, encoding, compression and
// page version.
func TestParquetIsWhatPyarrowReads(t *testing.T) {
	p := newProject(t)
	seed := rand.Uint32()
	t.Logf("seed %d", seed)
	d := json.NewDecoder(strings.NewReader(pythontest.Run(t, textsPy+parquetPy, nil, p.dir, strconv.Itoa(int(seed)))))
	columns, nested, paths := 0, 0, map[string]map[string][]string{}
	for ; ; columns++ {
		var w written
		if err := d.Decode(&w); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.compare(&w)
		if rel := w.from(); rel.Paths == nil {
			p.compareQuery(&w)
		} else if paths[w.File] == nil {
			nested++
			paths[w.File] = rel.Paths
		}
	}
	if columns < 100 || nested < 10 {
		t.Errorf("only %d columns were compared, and in only %d files there are structs", columns, nested)
	}
	p.damage(rand.New(rand.NewPCG(uint64(seed), 0)), paths)
}

// compare reads a column that pyarrow wrote and checks its inferred type and its values.
func (p *project) compare(w *written) {
	p.Helper()
	kind := kindsByName[w.Kind]
	columns, err := p.Columns(context.Background(), w.from())
	if err != nil {
		p.Fatalf("%s: %v", w.File, err)
	}
	for _, c := range columns {
		if c.Name == w.Column && c.Type.Kind != kind {
			p.Errorf("%s, column %s of type %s is read as %v when it is not declared", w.File, w.Column, w.Type, c.Type)
		}
	}
	if kind == plan.Null {
		kind = plan.Timestamp // or any other
	}
	var got []*string
	err = p.ScanParallel(context.Background(), w.from(), []plan.Field{field(w.Column, kind)}, 1, func(_ int, b *Batch) error {
		for i := range b.N {
			got = append(got, textOf(b.Cols[0].Value(i)))
		}
		return nil
	})
	if err != nil {
		p.Errorf("%s, column %s of type %s, %s: %v", w.File, w.Column, w.Type, w.Layout, err)
		return
	}
	if len(got) != len(w.Values) {
		p.Errorf("%s, column %s of type %s, %s: %d rows, want %d", w.File, w.Column, w.Type, w.Layout, len(got), len(w.Values))
		return
	}
	for i, want := range w.Values {
		if (got[i] == nil) != (want == nil) || want != nil && !sameText(kind, *got[i], *want) {
			p.Errorf("%s, column %s of type %s, %s: row %d is %v, want %v", w.File, w.Column, w.Type, w.Layout, i, shown(got[i]), shown(want))
			return
		}
	}
}

// queryRefusals are what DuckDB says of files that it does not read.
var queryRefusals = []string{"encoding is only supported for", "Unsupported compression codec", "Geoparquet column", "has times before 1970", "write it as a DECIMAL of at most"}

// compareQuery reads the column through sql:, where DuckDB reads the file. It must have the
// same values, or the error must name the rejected column.
func (p *project) compareQuery(w *written) {
	p.Helper()
	kind := kindsByName[w.Kind]
	if kind == plan.Null {
		kind = plan.Timestamp
	}
	var got []*string
	err := p.Scan(context.Background(), query("SELECT "+Ident(w.Column)+" FROM "+duckdb.Quote(w.File)), []plan.Field{field(w.Column, kind)}, func(b *Batch) error {
		for i := range b.N {
			got = append(got, textOf(b.Cols[0].Value(i)))
		}
		return nil
	})
	if err != nil {
		named := strings.Contains(err.Error(), `column "`) || slices.ContainsFunc(queryRefusals, func(s string) bool { return strings.Contains(err.Error(), s) })
		if !named {
			p.Errorf("%s, column %s of type %s, %s, through sql: refused without a name: %v", w.File, w.Column, w.Type, w.Layout, err)
		}
		return
	}
	for i, want := range w.Values {
		if i >= len(got) || (got[i] == nil) != (want == nil) || want != nil && !sameText(kind, *got[i], *want) {
			p.Errorf("%s, column %s of type %s, %s, through sql: row %d of %d is %v, want %v", w.File, w.Column, w.Type, w.Layout, i, len(got), shown(got[min(i, len(got)-1)]), shown(want))
			return
		}
	}
}

// textOf formats a value as the script does; nil for null.
func textOf(v plan.Value) *string {
	if v.IsNull() {
		return nil
	}
	var s string
	switch v.Kind() {
	case plan.Bool:
		s = strconv.FormatBool(v.Bool())
	case plan.Double:
		s = strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case plan.Bytes:
		s = hex.EncodeToString([]byte(v.Str()))
	case plan.String:
		s = strings.Clone(v.Str())
	case plan.Timestamp:
		s = strconv.FormatInt(int64(v.Time()), 10)
	case plan.Duration:
		s = strconv.FormatInt(int64(v.Duration()), 10)
	default:
		s = strconv.FormatInt(v.Int(), 10)
	}
	return &s
}

// sameText compares doubles by their bits, except that all NaN are equal.
func sameText(k plan.Kind, got, want string) bool {
	if k != plan.Double {
		return got == want
	}
	g, err1 := strconv.ParseFloat(got, 64)
	w, err2 := strconv.ParseFloat(want, 64)
	return err1 == nil && err2 == nil && (math.Float64bits(g) == math.Float64bits(w) || math.IsNaN(g) && math.IsNaN(w))
}

func shown(s *string) string {
	if s == nil {
		return "null"
	}
	return strconv.Quote(*s)
}

// damage truncates files and changes bytes in them. Reading such a file must fail or return
// rows, without panicking, hanging or taking much memory.
func (p *project) damage(rnd *rand.Rand, paths map[string]map[string][]string) {
	p.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*.parquet"))
	if err != nil || len(files) == 0 {
		p.Fatal(files, err)
	}
	refused, tries := 0, 300
	if testing.Short() {
		tries = 100
	}
	for n := range tries {
		file := files[rnd.IntN(len(files))]
		whole, err := os.ReadFile(file)
		if err != nil {
			p.Fatal(err)
		}
		bad := bytes.Clone(whole)
		if n%3 == 0 {
			bad = bad[:rnd.IntN(len(bad))]
		} else {
			for range 1 + rnd.IntN(4) {
				bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
			}
		}
		p.write("damaged.parquet", string(bad))
		damaged := from("damaged.parquet")
		damaged.Paths = paths[filepath.Base(file)]
		columns, err := p.Columns(context.Background(), damaged)
		if err != nil {
			refused++
			continue
		}
		var fields []plan.Field
		for _, c := range columns {
			if c.Type.Kind == plan.Null || c.Type.Kind == plan.Invalid {
				c.Type = plan.T(plan.Double)
			}
			fields = append(fields, c.Field)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err = p.Scan(ctx, damaged, fields, func(*Batch) error { return nil })
		if errors.Is(err, context.DeadlineExceeded) {
			p.Errorf("variant %d of a damaged file is read endlessly", n)
		}
		cancel()
		if err != nil {
			refused++
		}
	}
	if refused < tries/3 {
		p.Errorf("only %d of %d damaged files were refused", refused, tries)
	}
}
