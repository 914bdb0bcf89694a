//go:build duckdb_arrow

package relation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal256"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/featuredefs/plan"
)

// TestN11_LongDecimals checks that long decimals keep their values if declared and are
// rejected by name if not.
func TestN11_LongDecimals(t *testing.T) {
	p := newProject(t)
	b := array.NewDecimal256Builder(memory.DefaultAllocator, &arrow.Decimal256Type{Precision: 39, Scale: 2})
	b.Append(decimal256.FromI64(20))
	b.Append(decimal256.FromI64(-150))
	p.writeArrow("long.parquet", "x", b.NewArray())
	columns, err := p.Columns(context.Background(), from("long.parquet"))
	if err != nil || !strings.Contains(columns[0].Unusable, "DECIMAL(39, 2)") || !strings.Contains(columns[0].Unusable, "{type: double}") {
		t.Errorf("undeclared: %+v, %v", columns, err)
	}
	rows, err := p.rows(from("long.parquet"), field("x", plan.Double))
	if err != nil || rows[0][0].Double() != 0.2 || rows[1][0].Double() != -1.5 {
		t.Errorf("declared as a double: %v, %v", rows, err)
	}
	if _, err := p.rows(query(`SELECT * FROM "long.parquet"`), field("x", plan.Double)); err == nil || !strings.Contains(err.Error(), "read the file with from:") {
		t.Errorf("in a query: %v", err)
	}
	if _, err := p.rows(from("long.parquet"), field("x", plan.Int)); err == nil || !strings.Contains(err.Error(), "row 1 of long.parquet") || !strings.Contains(err.Error(), "0.20") {
		t.Errorf("declared as an int: %v", err)
	}
}

// TestN11_WholeDoublesAreInts: pandas stores an int column with nulls as doubles.
func TestN11_WholeDoublesAreInts(t *testing.T) {
	p := newProject(t)
	p.copyTo("ids.parquet", "SELECT x::DOUBLE AS x FROM (VALUES (1, 7.0), (2, NULL), (3, -0.0), (4, 9007199254740992.0)) t(i, x) ORDER BY i")
	rows, err := p.rows(from("ids.parquet"), field("x", plan.Int))
	if err != nil || rows[0][0].Int() != 7 || !rows[1][0].IsNull() || rows[2][0].Int() != 0 || rows[3][0].Int() != 1<<53 {
		t.Errorf("%v, %v", rows, err)
	}
	for bad, want := range map[string]string{"1.5": "not a whole number", "'NaN'": "not a whole number", "9007199254740994.0": "rounded", "'inf'": "not a whole number"} {
		p.copyTo("bad.parquet", "SELECT unnest([1.0::DOUBLE, "+bad+"::DOUBLE]) AS x")
		if _, err := p.rows(from("bad.parquet"), field("x", plan.Int)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "row 2 of bad.parquet") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestN11_ColumnsWithoutValues checks that an all-null column can be read as every declared
// type and has none otherwise.
func TestN11_ColumnsWithoutValues(t *testing.T) {
	p := newProject(t)
	p.writeArrow("empty.parquet", "x", array.NewNull(3))
	columns, err := p.Columns(context.Background(), from("empty.parquet"))
	if err != nil || columns[0].Type.Kind != plan.Null || columns[0].Unusable != "" {
		t.Errorf("%+v, %v", columns, err)
	}
	for _, k := range plan.ColumnKinds {
		rows, err := p.rows(from("empty.parquet"), field("x", k))
		if err != nil || len(rows) != 3 || !rows[0][0].IsNull() {
			t.Errorf("%v: %v, %v", k, rows, err)
		}
	}
	p.copyTo("full.parquet", "SELECT 'a' AS x")
	columns, err = p.Columns(context.Background(), from("*.parquet"))
	if err != nil || columns[0].Type.Kind != plan.String {
		t.Errorf("beside values: %+v, %v", columns, err)
	}
}

// TestB4_NanosecondsWithAndWithoutUTC checks that both are rounded down in the same way.
func TestB4_NanosecondsWithAndWithoutUTC(t *testing.T) {
	p := newProject(t)
	for i, zone := range []string{"", "UTC"} {
		b := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: zone})
		b.Append(-1500)
		p.writeArrow(fmt.Sprintf("%d.parquet", i), "ts", b.NewArray())
	}
	rows, err := p.rows(from("*.parquet"), field("ts", plan.Timestamp))
	if err != nil || len(rows) != 2 || rows[0][0].Time() != -2 || rows[1][0].Time() != -2 {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestB4_QueriesDoNotTruncateNanoseconds: DuckDB truncates UTC nanoseconds to microseconds,
// toward zero. Only times that this changes are rejected; in structs and lists, every time
// before 1970 is.
func TestB4_QueriesDoNotTruncateNanoseconds(t *testing.T) {
	nanos := func(zone string, times ...arrow.Timestamp) arrow.Array {
		b := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: zone})
		b.AppendValues(times, nil)
		return b.NewArray()
	}
	list := func(elem arrow.DataType, offsets []int32, values arrow.Array) arrow.Array {
		data := array.NewData(arrow.ListOf(elem), len(offsets)-1, []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets))}, []arrow.ArrayData{values.Data()}, 0, 0)
		return array.NewListData(data)
	}
	utc := &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	for name, c := range map[string]struct {
		column  arrow.Array
		want    []string // as text, of the query
		refused string
	}{
		"after 1970":            {nanos("UTC", 1, 1999, 2000), []string{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000001Z", "1970-01-01T00:00:00.000002Z"}, ""},
		"whole microseconds":    {nanos("UTC", -1000, -2000), []string{"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999998Z"}, ""},
		"local":                 {nanos("", -1, -1001), []string{"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999998Z"}, ""},
		"UTC":                   {nanos("UTC", 5, -2000, -1), nil, `source clicks: row 3 of x.parquet, column "ts": 1969-12-31T23:59:59.999999Z: it is before 1970 and has nanoseconds`},
		"in a list after 1970":  {list(utc, []int32{0, 1, 2}, nanos("UTC", 7, 8)), nil, "TIMESTAMP WITH TIME ZONE[]"},
		"in a list before 1970": {list(utc, []int32{0, 1, 2}, nanos("UTC", 7, -1000)), nil, `"ts.list.element" in x.parquet has times before 1970 in nanoseconds`},
	} {
		p := newProject(t)
		p.writeArrow("x.parquet", "ts", c.column)
		rows, err := p.rows(query("SELECT ts FROM 'x.parquet'"), field("ts", plan.Timestamp))
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v, %v", name, rows, err)
			}
			continue
		}
		var got []string
		for _, r := range rows {
			got = append(got, r[0].Time().String())
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// TestP12_FoldersAboveTheProject checks that they are neither partition columns nor
// patterns.
func TestP12_FoldersAboveTheProject(t *testing.T) {
	for _, name := range []string{"x=99", "a[b]*", "what?"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := Open(Options{BaseDir: dir, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		p := &project{t, r, r.db, dir}
		p.copyTo("data/1.parquet", "SELECT 1 AS x")
		p.write("data/2.csv", "x\n1\n")
		p.write("data/3.jsonl", `{"x": 1}`)
		for _, file := range []string{"data/1.parquet", "data/*.csv", "data/[0-9].jsonl", filepath.Join("data", "..", "data", "1.parquet")} {
			rows, err := p.rows(from(file), field("x", plan.Int))
			if err != nil || len(rows) != 1 || rows[0][0].Int() != 1 {
				t.Errorf("%s/%s: %v, %v", name, file, rows, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestP12_PartitionsOfFrom checks that k=* in from: is a column if the files have none of
// that name.
func TestP12_PartitionsOfFrom(t *testing.T) {
	p := newProject(t)
	for _, dir := range []string{"day=2025-01-02/n=7", "day=2025-01-01/n=08", "day=2025-01-03/n=__HIVE_DEFAULT_PARTITION__"} {
		if err := os.MkdirAll(filepath.Join(p.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		p.copyTo(dir+"/a.parquet", "SELECT 1 AS x")
		p.write(dir+"/a.csv", "x,n\n1,5\n")
	}
	rows, err := p.rows(from("day=*/n=*/a.parquet"), field("day", plan.Timestamp), field("n", plan.Int), field("x", plan.Int))
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r))
	}
	want := []string{"[2025-01-01T00:00:00Z 8 1]", "[2025-01-02T00:00:00Z 7 1]", "[2025-01-03T00:00:00Z null 1]"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	rows, err = p.rows(from("day=*/n=*/a.csv"), field("n", plan.Int))
	if err != nil || len(rows) != 3 || rows[0][0].Int() != 5 {
		t.Errorf("a column of the file: %v, %v", rows, err)
	}
	if _, err := p.rows(from("**/a.parquet"), field("day", plan.Timestamp)); err == nil || !strings.Contains(err.Error(), `no column "day"`) {
		t.Errorf("folders that from does not name: %v", err)
	}
	columns, err := p.Columns(context.Background(), from("day=*/n=*/a.parquet"))
	if err != nil || len(columns) != 3 || columns[1].Type.Kind != plan.Timestamp {
		t.Errorf("%v, %v", columns, err)
	}
}

// TestK5_NamesThatDifferInCase are an error for every kind of relation.
func TestK5_NamesThatDifferInCase(t *testing.T) {
	p := newProject(t)
	s := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "ID", Type: arrow.PrimitiveTypes.Int64}}, nil)
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.Append(1)
	col := b.NewArray()
	p.writeRecord("a.parquet", array.NewRecordBatch(s, []arrow.Array{col, col}, 1))
	p.write("a.csv", "id,ID\n1,2\n")
	p.write("a.jsonl", `{"id": 1, "ID": 2}`)
	for _, rel := range []Relation{from("a.parquet"), from("a.csv"), from("a.jsonl"), query(`SELECT 1 AS id, 2 AS "ID"`)} {
		if err := p.Check(context.Background(), rel, []plan.Field{field("id", plan.Int)}); err == nil || !strings.Contains(err.Error(), "differ") {
			t.Errorf("%s%s: %v", rel.From, rel.SQL, err)
		}
	}
}

// TestTheEarliestErrorIsReported for any number of workers.
func TestTheEarliestErrorIsReported(t *testing.T) {
	p := newProject(t)
	for f := range 4 {
		p.copyTo(fmt.Sprintf("%d.parquet", f), fmt.Sprintf("SELECT CASE WHEN i > 3000 AND %d > 0 THEN 1.5 ELSE i END::DOUBLE AS x FROM range(20000) t(i)", f))
		p.write(fmt.Sprintf("%d.csv", f), "x\n1\n"+strings.Repeat("2\n", 3000)+map[bool]string{true: "z\n"}[f > 0])
	}
	for rel, want := range map[string]string{"*.parquet": "row 3002 of 1.parquet", "*.csv": "line 3003 of 1.csv"} {
		for _, workers := range []int{1, 2, 3, 8} {
			for range 10 {
				err := p.ScanParallel(context.Background(), from(rel), []plan.Field{field("x", plan.Int)}, workers, func(int, *Batch) error { return nil })
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("%d workers: %v, want %s", workers, err, want)
				}
			}
		}
	}
}

// TestScanParallelReadsWhatScanReads: every row once, and no overlapping calls for a
// worker.
func TestScanParallelReadsWhatScanReads(t *testing.T) {
	p := newProject(t)
	for f := range 3 {
		p.copyTo(fmt.Sprintf("%d.parquet", f), fmt.Sprintf("SELECT i + %d AS x, 's' || i AS s FROM range(30000) t(i)", f*30000))
		p.write(fmt.Sprintf("%d.csv", f), "x,s\n"+strings.Repeat(fmt.Sprintf("%d,s\n", f), 10000))
	}
	for _, rel := range []Relation{from("*.parquet"), from("*.csv"), query("SELECT i AS x, 's' AS s FROM range(50000) t(i)")} {
		fields := []plan.Field{field("x", plan.Int), field("s", plan.String)}
		sum, rows := int64(0), 0
		if err := p.Scan(context.Background(), rel, fields, func(b *Batch) error {
			for i := range b.N {
				sum += b.Cols[0].Int[i] * int64(len(b.Cols[1].Str[i]))
			}
			rows += b.N
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, workers := range []int{1, 4} {
			var mu sync.Mutex
			places, busy := map[string]bool{}, make([]bool, workers)
			again, n := int64(0), 0
			err := p.ScanParallel(context.Background(), rel, fields, workers, func(w int, b *Batch) error {
				mu.Lock()
				defer mu.Unlock()
				if place := fmt.Sprint(b.File, b.First); busy[w] || places[place] {
					return errors.New("a worker's calls overlap, or a row came twice")
				} else {
					busy[w], places[place] = true, true
				}
				for i := range b.N {
					again += b.Cols[0].Int[i] * int64(len(b.Cols[1].Str[i]))
				}
				n += b.N
				busy[w] = false
				return nil
			})
			if err != nil || again != sum || n != rows {
				t.Errorf("%s%s, %d workers: %d rows, want %d, %v", rel.From, rel.SQL, workers, n, rows, err)
			}
		}
	}
}

// TestKeepBadHandsThemOver: with KeepBad, bad rows are in the batch and marked.
func TestKeepBadHandsThemOver(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", "SELECT unnest([1.0::DOUBLE, 1.5, NULL, 4.0]) AS x")
	p.write("a.csv", "x\n1\n1.5\n\"\"\n4\n")
	for _, rel := range []Relation{from("a.parquet"), from("a.csv"), query("SELECT unnest([1.0::DOUBLE, 1.5, NULL, 4.0]) AS x")} {
		rel.KeepBad = true
		err := p.Scan(context.Background(), rel, []plan.Field{field("x", plan.Int)}, func(b *Batch) error {
			if b.N != 4 || len(b.Bad) != 1 || b.Bad[0].Row != 1 || b.Bad[0].Column != 0 || b.Bad[0].Text != "1.5" || !b.Cols[0].IsErr(1) || !b.Cols[0].IsNull(2) || b.Cols[0].Int[3] != 4 {
				return fmt.Errorf("%+v", b.Bad)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s%s: %v", rel.From, rel.SQL, err)
		}
	}
}
