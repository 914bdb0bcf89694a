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
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
	"github.com/unskew/unskew/internal/vector"
)

// project is a directory of data files and a reader of it.
type project struct {
	*testing.T
	*Reader
	duck *duckdb.DB // writes the test files
	dir  string
}

func newProject(t *testing.T) *project {
	t.Helper()
	dir := t.TempDir()
	r, err := Open(Options{BaseDir: dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &project{t, r, r.db, dir}
}

// copyTo writes the result of a query to a file in the project.
func (p *project) copyTo(file, sql string) {
	p.Helper()
	if err := p.duck.Exec(context.Background(), "COPY ("+sql+") TO '"+filepath.Join(p.dir, file)+"'"); err != nil {
		p.Fatalf("write %s: %v", file, err)
	}
}

func (p *project) write(file, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o644); err != nil {
		p.Fatal(err)
	}
}

// writeArrow writes one column to a Parquet file without DuckDB.
func (p *project) writeArrow(file, name string, col arrow.Array) {
	p.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: name, Type: col.DataType(), Nullable: true}}, nil)
	p.writeRecord(file, array.NewRecordBatch(schema, []arrow.Array{col}, int64(col.Len())))
}

func (p *project) writeRecord(file string, rec arrow.RecordBatch) {
	p.Helper()
	f, err := os.Create(filepath.Join(p.dir, file))
	if err != nil {
		p.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(rec.Schema(), f, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(3000)), pqarrow.DefaultWriterProps())
	if err != nil {
		p.Fatal(err)
	}
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		p.Fatal(err)
	}
}

// rows scans a relation into boxed values that outlive the scan.
func (p *project) rows(rel Relation, fields ...plan.Field) ([][]plan.Value, error) {
	var out [][]plan.Value
	err := p.Scan(context.Background(), rel, fields, func(b *Batch) error {
		for i := range b.N {
			row := make([]plan.Value, len(b.Cols))
			for c := range b.Cols {
				row[c] = kept(b.Cols[c].Value(i))
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

func kept(v plan.Value) plan.Value {
	switch v.Kind() {
	case plan.String:
		return plan.StringValue(strings.Clone(v.Str()))
	case plan.Bytes:
		return plan.BytesValue([]byte(v.Str()))
	}
	return v
}

func from(path string) Relation { return Relation{Owner: "source clicks", From: path} }
func query(sql string) Relation { return Relation{Owner: "source clicks", SQL: sql} }
func field(name string, k plan.Kind) plan.Field {
	return plan.Field{Name: name, Type: plan.T(k)}
}

func at(s string) plan.Value {
	t, err := plan.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return plan.TimestampValue(t)
}

func TestScanTypes(t *testing.T) {
	p := newProject(t)
	null := plan.NullValue()
	for _, tc := range []struct {
		sql  string // for one value; a null row is added
		kind plan.Kind
		want plan.Value
	}{
		{"true", plan.Bool, plan.BoolValue(true)},
		{"(-128)::TINYINT", plan.Int, plan.IntValue(-128)},
		{"(-32768)::SMALLINT", plan.Int, plan.IntValue(-32768)},
		{"(-2147483648)::INTEGER", plan.Int, plan.IntValue(-2147483648)},
		{"(-9223372036854775808)::BIGINT", plan.Int, plan.IntValue(-1 << 63)},
		{"255::UTINYINT", plan.Int, plan.IntValue(255)},
		{"65535::USMALLINT", plan.Int, plan.IntValue(65535)},
		{"4294967295::UINTEGER", plan.Int, plan.IntValue(4294967295)},
		{"9223372036854775807::UBIGINT", plan.Int, plan.IntValue(1<<63 - 1)},
		{"(-9223372036854775808)::HUGEINT", plan.Int, plan.IntValue(-1 << 63)},
		{"7::HUGEINT", plan.Int, plan.IntValue(7)},
		{"7::INTEGER", plan.Double, plan.DoubleValue(7)},
		{"1.5::FLOAT", plan.Double, plan.DoubleValue(1.5)},
		{"0.1::DOUBLE", plan.Double, plan.DoubleValue(0.1)},
		{"12.34::DECIMAL(10,2)", plan.Double, plan.DoubleValue(12.34)},
		{"12.34::DECIMAL(30,2)", plan.Double, plan.DoubleValue(12.34)},
		{"'añ' || chr(0) || 'b'", plan.String, plan.StringValue("añ\x00b")},
		{"'a'::ENUM('b', 'a')", plan.String, plan.StringValue("a")},
		{"'00000000-0000-0000-0000-00000000002a'::UUID", plan.String, plan.StringValue("00000000-0000-0000-0000-00000000002a")},
		{"'{\"a\": 1}'::JSON", plan.String, plan.StringValue(`{"a": 1}`)},
		{`'\x00\xFF'::BLOB`, plan.Bytes, plan.BytesValue([]byte{0, 255})},
		{"TIMESTAMP '2025-01-31 10:00:00.123456'", plan.Timestamp, at("2025-01-31T10:00:00.123456Z")},
		{"TIMESTAMPTZ '2025-01-31 10:00:00+02'", plan.Timestamp, at("2025-01-31T08:00:00Z")},
		{"TIMESTAMP_S '1969-12-31 23:59:59'", plan.Timestamp, at("1969-12-31T23:59:59Z")},
		{"TIMESTAMP_MS '1969-12-31 23:59:59.999'", plan.Timestamp, at("1969-12-31T23:59:59.999Z")},
		{"TIMESTAMP_NS '1969-12-31 23:59:59.999999999'", plan.Timestamp, at("1969-12-31T23:59:59.999999Z")},
		{"DATE '1969-12-31'", plan.Timestamp, at("1969-12-31T00:00:00Z")},
		{"'infinity'::TIMESTAMP", plan.Timestamp, plan.TimestampValue(plan.Never)},
		{"'infinity'::TIMESTAMP_NS", plan.Timestamp, plan.TimestampValue(plan.Never)},
		{"'infinity'::DATE", plan.Timestamp, plan.TimestampValue(plan.Never)},
		{"'-infinity'::DATE", plan.Timestamp, plan.TimestampValue(plan.Always)},
		{"INTERVAL '1 day 2 seconds'", plan.Duration, plan.DurationValue(86402e9)},
		{"INTERVAL '-1 microseconds'", plan.Duration, plan.DurationValue(-1000)},
		{"NULL", plan.Int, null},
	} {
		rows, err := p.rows(query("SELECT x FROM (VALUES (0, "+tc.sql+"), (1, NULL)) t(i, x) ORDER BY i"), field("x", tc.kind))
		if err != nil {
			t.Errorf("%s as %v: %v", tc.sql, tc.kind, err)
			continue
		}
		if want := []plan.Value{tc.want, null}; !rows[0][0].Equal(want[0]) || !rows[1][0].IsNull() {
			t.Errorf("%s as %v = %v, want %v", tc.sql, tc.kind, rows, want)
		}
	}
}

// TestB4_NegativeTimesFloor: a nanosecond before the epoch is -1 µs, also in Parquet, where
// the reader would convert nanoseconds itself.
func TestB4_NegativeTimesFloor(t *testing.T) {
	p := newProject(t)
	nanos := []arrow.Timestamp{-1, -999, -1000, -1001, -1_000_000_001, 0, 1, 999, 1000, 0}
	valid := []bool{true, true, true, true, true, true, true, true, true, false}
	want := []int64{-1, -1, -1, -2, -1_000_001, 0, 0, 0, 1, 0}
	// Several files, each of several batches, with nanoseconds in only some rows.
	for _, zone := range []string{"", "UTC"} {
		for f := range 3 {
			b := array.NewTimestampBuilder(memory.DefaultAllocator, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: zone})
			for i := range 5000 {
				if i%1700 < len(nanos) {
					b.AppendValues(nanos[i%1700:i%1700+1], valid[i%1700:i%1700+1])
				} else {
					b.Append(arrow.Timestamp(f*5000+i) * 1000)
				}
			}
			p.writeArrow(fmt.Sprintf("ns-%d.parquet", f), "ts", b.NewArray())
		}
		rows, err := p.rows(from("ns-*.parquet"), field("ts", plan.Timestamp))
		if err != nil || len(rows) != 15000 {
			t.Fatal(len(rows), err)
		}
		for i, r := range rows {
			in, w := i%5000%1700, int64(i)
			if in < len(nanos) {
				w = want[in]
			}
			if null := in == len(nanos)-1; r[0].IsNull() != null || !null && int64(r[0].Time()) != w {
				t.Fatalf("zone %q, row %d: %v, want %d µs", zone, i, r[0], w)
			}
		}
	}
}

func TestScanErrors(t *testing.T) {
	p := newProject(t)
	p.copyTo("clicks.parquet", "SELECT i AS user_id, i*1.5::DOUBLE AS amount, 9223372036854775805::UBIGINT + i::UBIGINT AS big, [i] AS list FROM range(5) t(i)")
	whole, err := os.ReadFile(filepath.Join(p.dir, "clicks.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("truncated.parquet", string(whole[:len(whole)-100]))
	p.write("data.bin", "x")
	p.write("bad.csv", "user_id,amount\n1,2.5\n2,x\n")
	p.write("lines.csv", "name,amount\n\"a\nb\",2.5\n\"c\nd\",x\n")
	p.write("latin1.csv", "user_id,name\n1,caf\xe9\n")
	for _, tc := range []struct {
		rel   Relation
		field plan.Field
		want  []string
	}{
		{from("clicks.parquet"), field("amout", plan.Double), []string{"source clicks", "clicks.parquet", `"amout"`, `did you mean "amount"?`}},
		{from("clicks.parquet"), field("user_id", plan.String), []string{"source clicks", "clicks.parquet", `"user_id"`, "declared as string", "INT64"}},
		{from("clicks.parquet"), field("amount", plan.Int), []string{"row 2 of clicks.parquet", `"amount"`, "1.5", "not a whole number"}},
		{from("clicks.parquet"), field("list", plan.Int), []string{`"list"`, "clicks.parquet", "LIST", `SELECT "list"[1]`}},
		{from("clicks.parquet"), field("big", plan.Int), []string{"source clicks: row 4 of clicks.parquet", `"big"`, "does not fit in an int"}},
		{from("missing.parquet"), field("x", plan.Int), []string{"source clicks", "no file", "missing.parquet"}},
		{from("truncated.parquet"), field("user_id", plan.Int), []string{"source clicks", "truncated.parquet"}},
		{from("data.bin"), field("x", plan.Int), []string{"data.bin", ".parquet", "sql:"}},
		{from("bad.csv"), field("amount", plan.Double), []string{"source clicks", "bad.csv", "amount", `"x"`, "line 3"}},
		{from("lines.csv"), field("amount", plan.Double), []string{"line 5 of lines.csv", `column "amount"`, `"x"`}},
		{from("latin1.csv"), field("name", plan.String), []string{"source clicks", "latin1.csv"}},
		{query("SELECT x FROM nowhere"), field("x", plan.Int), []string{"source clicks: sql:", "nowhere"}},
		{query("SELECT INTERVAL '1 month' AS x"), field("x", plan.Duration), []string{"source clicks: row 1 of its sql", `"x"`, "months"}},
		{query("SELECT INTERVAL '200000 days' AS x"), field("x", plan.Duration), []string{"106751 days"}},
		{query("SELECT 1.5::DECIMAL(4,1) AS x"), field("x", plan.Int), []string{"row 1 of its sql", "1.5", "not a whole number"}},
		{Relation{Owner: "source empty"}, field("x", plan.Int), []string{"source empty", "from:", "sql:"}},
	} {
		_, err := p.rows(tc.rel, tc.field)
		if err == nil {
			t.Errorf("%v: no error", tc.want)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q has several lines", err)
		}
	}
}

func TestCheckLooksAtColumnsOnly(t *testing.T) {
	p := newProject(t)
	p.write("clicks.csv", "user_id,amount\n1,2.5\n2,x\n")
	p.copyTo("clicks.parquet", "SELECT 1 AS user_id")
	for _, tc := range []struct {
		file, want string
		field      plan.Field
	}{
		{"clicks.csv", "", field("user_id", plan.Int)},
		{"clicks.csv", "", field("amount", plan.Double)}, // the error is in a row, which Check does not read
		{"clicks.csv", `no column "amuont" (did you mean "amount"?)`, field("amuont", plan.Double)},
		{"clicks.parquet", "declared as string", field("user_id", plan.String)},
		{"gone.parquet", "no file matches", field("user_id", plan.Int)},
	} {
		err := p.Check(context.Background(), from(tc.file), []plan.Field{tc.field})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", tc.file, err, tc.want)
		}
	}
}

func TestColumnsInfersTypes(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", "SELECT 1::SMALLINT AS i, 'x' AS s, TIMESTAMP_NS '2025-01-01' AS t, DATE '2025-01-01' AS d, 1.5::DECIMAL(9,2) AS n, 1.5::DECIMAL(18,2) AS money, {'a': 1} AS st, [1] AS l, TIME '10:00:00' AS clock")
	columns, err := p.Columns(context.Background(), from("a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range columns {
		what := c.Type.String()
		if c.Unusable != "" {
			what = c.Unusable
		}
		got = append(got, c.Name+" "+what)
	}
	want := []string{"i int", "s string", "t timestamp", "d timestamp", "n double", "money is a DECIMAL(18, 2)", "st is a STRUCT", "l is a LIST", "clock is a TIME of day"}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("columns %q, want %q", got, want)
	}
}

// TestFilesThatDisagree: the first file's types must not apply to the others, and a column
// that a file lacks is not read as null.
func TestFilesThatDisagree(t *testing.T) {
	p := newProject(t)
	p.copyTo("d-1.parquet", "SELECT 1::INTEGER AS x, 1 AS y")
	p.copyTo("d-2.parquet", "SELECT 2.5::DOUBLE AS x, 2 AS z")
	p.copyTo("i-1.parquet", "SELECT 1::INTEGER AS x")
	p.copyTo("i-2.parquet", "SELECT 9000000000::BIGINT AS x")
	p.write("c-1.csv", "x\n1\n")
	p.write("c-2.csv", "x\n2.5\n")
	for _, glob := range []string{"d-*.parquet", "c-*.csv"} {
		if _, err := p.rows(from(glob), field("x", plan.Int)); err == nil || !strings.Contains(err.Error(), "2.5") {
			t.Errorf("%s: error %v, want one about 2.5", glob, err)
		}
		rows, err := p.rows(from(glob), field("x", plan.Double))
		if err != nil || len(rows) != 2 || rows[0][0].Double() != 1 || rows[1][0].Double() != 2.5 {
			t.Errorf("%s = %v, %v", glob, rows, err)
		}
	}
	rows, err := p.rows(from("i-*.parquet"), field("x", plan.Int))
	if err != nil || len(rows) != 2 || rows[1][0].Int() != 9000000000 {
		t.Errorf("i-*.parquet = %v, %v", rows, err)
	}
	if _, err := p.rows(from("d-*.parquet"), field("y", plan.Int)); err == nil || !strings.Contains(err.Error(), "d-2.parquet has no column \"y\"") {
		t.Errorf("error %v, want one that names d-2.parquet", err)
	}
}

func TestCSVIsParsedAsDeclared(t *testing.T) {
	p := newProject(t)
	p.write("a.csv", "zip,n,ratio,ts,empty,blob\n00123,9007199254740993,1,2025-01-01T10:00:00+02:00,,AP8=\n99999,-1,2.5,1969-12-31T23:59:59.9999999,,\n")
	rows, err := p.rows(from("a.csv"), field("zip", plan.String), field("n", plan.Int), field("ratio", plan.Double),
		field("ts", plan.Timestamp), field("empty", plan.Bool), field("blob", plan.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]plan.Value{
		{plan.StringValue("00123"), plan.IntValue(9007199254740993), plan.DoubleValue(1), at("2025-01-01T08:00:00Z"), {}, plan.BytesValue([]byte{0, 255})},
		{plan.StringValue("99999"), plan.IntValue(-1), plan.DoubleValue(2.5), at("1969-12-31T23:59:59.999999Z"), {}, {}},
	}
	if !slices.EqualFunc(rows, want, func(a, b []plan.Value) bool { return slices.EqualFunc(a, b, plan.Value.Equal) }) {
		t.Errorf("rows %v, want %v", rows, want)
	}
}

// TestCSVHasAHeader even if all its values look like column names.
func TestCSVHasAHeader(t *testing.T) {
	p := newProject(t)
	p.write("names.csv", "id\na\nb\n")
	p.write("pairs.tsv", "id\tname\na\tb\n")
	for file, want := range map[string]int{"names.csv": 2, "pairs.tsv": 1} {
		rows, err := p.rows(from(file), field("id", plan.String))
		if err != nil || len(rows) != want || rows[0][0].Str() != "a" {
			t.Errorf("%s = %v, %v", file, rows, err)
		}
	}
}

// TestN8_NumbersOfTextFilesAreNotRounded: 2.5 is not an int, even though DuckDB would cast
// it to one.
func TestN8_NumbersOfTextFilesAreNotRounded(t *testing.T) {
	p := newProject(t)
	p.write("a.csv", "x\n1\n2.5\n")
	p.write("b.csv", "x\n1\n9223372036854775808\n")
	p.write("a.jsonl", "{\"x\": 1}\n{\"x\": 2.5}\n")
	p.write("b.jsonl", "{\"x\": 1}\n{\"x\": \"2\"}\n")
	p.write("c.jsonl", "{\"x\": 1}\n{\"x\": 9223372036854775808}\n")
	p.write("d.jsonl", "{\"x\": \"1\"}\n")
	for _, f := range []string{"a.csv", "b.csv", "a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"} {
		if rows, err := p.rows(from(f), field("x", plan.Int)); err == nil {
			t.Errorf("%s reads as %v", f, rows)
		}
	}
}

func TestJSONIsReadAsDeclared(t *testing.T) {
	p := newProject(t)
	p.write("a.jsonl", `{"id": "7", "day": "2025-01-01", "n": 9007199254740993, "ts": "2025-01-01T10:00:00Z", "none": null, "extra": {"a": 1}}
{"id": "08", "day": "2025-01-02", "n": null, "ts": "2025-01-01T10:00:00.1234567Z", "none": null}
`)
	rows, err := p.rows(from("a.jsonl"), field("id", plan.String), field("day", plan.String), field("n", plan.Int), field("ts", plan.Timestamp), field("none", plan.Int))
	if err != nil {
		t.Fatal(err)
	}
	want := [][]plan.Value{
		{plan.StringValue("7"), plan.StringValue("2025-01-01"), plan.IntValue(9007199254740993), at("2025-01-01T10:00:00Z"), {}},
		{plan.StringValue("08"), plan.StringValue("2025-01-02"), {}, at("2025-01-01T10:00:00.123456Z"), {}},
	}
	if !slices.EqualFunc(rows, want, func(a, b []plan.Value) bool { return slices.EqualFunc(a, b, plan.Value.Equal) }) {
		t.Errorf("rows %v, want %v", rows, want)
	}
	if _, err := p.rows(from("a.jsonl"), field("n", plan.String)); err == nil {
		t.Error("a JSON number reads as a string")
	}
}

// TestScanKeepsOrder: files by path and rows in file order, with several threads.
func TestScanKeepsOrder(t *testing.T) {
	p := newProject(t)
	for f := range 3 {
		p.copyTo(fmt.Sprintf("p-%d.parquet", f), fmt.Sprintf("SELECT i + %d AS x, CASE WHEN i %% 3 = 0 THEN NULL ELSE i END AS y, 's' || i AS s FROM range(100000) t(i)", f*100000))
	}
	next := int64(0)
	err := p.Scan(context.Background(), from("p-*.parquet"), []plan.Field{field("s", plan.String), field("x", plan.Int), field("y", plan.Int)}, func(b *Batch) error {
		for i := range b.N {
			if want := fmt.Sprintf("source clicks: row %d of p-%d.parquet", next%100000+1, next/100000); i == b.N-1 && b.Where(i) != want {
				return fmt.Errorf("row %d is at %s", next, b.Where(i))
			}
			in := next % 100000
			if b.Cols[1].Int[i] != next || b.Cols[2].IsNull(i) != (in%3 == 0) || b.Cols[0].Str[i] != fmt.Sprint("s", in) {
				return fmt.Errorf("row %d is %v %v %v", next, b.Cols[0].Value(i), b.Cols[1].Value(i), b.Cols[2].Value(i))
			}
			next++
		}
		return nil
	})
	if err != nil || next != 300000 {
		t.Fatalf("%d rows, %v", next, err)
	}
}

func TestStoredCount(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", "FROM range(5)")
	p.copyTo("b.parquet", "FROM range(2)")
	p.write("c.csv", "range\n1\n")
	for _, tc := range []struct {
		rel  Relation
		want int64
	}{{from("*.parquet"), 7}, {query("FROM 'a.parquet'"), 0}, {from("c.csv"), 0}} {
		if n, err := p.StoredCount(context.Background(), tc.rel); n != tc.want || err != nil {
			t.Errorf("%s%s: %d rows, %v; want %d", tc.rel.From, tc.rel.SQL, n, err, tc.want)
		}
	}
}

// TestPagesAreReadAcrossBatches: pages that end within a batch, and dictionaries that are given
// up within a column, change nothing.
func TestPagesAreReadAcrossBatches(t *testing.T) {
	p := newProject(t)
	const rows = 50_000
	schema := arrow.NewSchema([]arrow.Field{{Name: "i", Type: arrow.PrimitiveTypes.Int64}, {Name: "d", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range int64(rows) {
		b.Field(0).(*array.Int64Builder).Append(i * i)
		if d := b.Field(1).(*array.Float64Builder); i/7000 == 2 && i%5 == 0 {
			d.AppendNull()
		} else {
			d.Append(float64(i) / 3)
		}
		b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(7 * i))
	}
	rec := b.NewRecordBatch()
	for name, options := range map[string][]parquet.WriterProperty{
		"plain.parquet":      {parquet.WithDictionaryDefault(false), parquet.WithDataPageSize(8 * 5001)},
		"dictionary.parquet": {parquet.WithDictionaryPageSizeLimit(8 * 9000), parquet.WithDataPageSize(8 * 2999)},
	} {
		f, err := os.Create(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		w, err := pqarrow.NewFileWriter(schema, f, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Write(rec), w.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := p.rows(from(name), field("i", plan.Int), field("d", plan.Double), field("t", plan.Timestamp))
		if err != nil || len(got) != rows {
			t.Fatalf("%s: %d rows, %v", name, len(got), err)
		}
		for i, row := range got {
			n := int64(i)
			null := n/7000 == 2 && n%5 == 0
			if row[0].Int() != n*n || row[1].IsNull() != null || !null && row[1].Double() != float64(n)/3 || row[2].Time() != plan.EventTime(7*n) {
				t.Fatalf("%s: row %d is %v", name, i, row)
			}
		}
	}
}

func TestScanStops(t *testing.T) {
	p := newProject(t)
	boom := errors.New("boom")
	rel := query("SELECT i AS x FROM range(100000000) t(i)")
	calls := 0
	err := p.Scan(context.Background(), rel, []plan.Field{field("x", plan.Int)}, func(*Batch) error { calls++; return boom })
	if err != boom || calls != 1 {
		t.Errorf("callback's error: got %v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = p.Scan(ctx, rel, []plan.Field{field("x", plan.Int)}, func(*Batch) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled between batches: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	slow := query("SELECT sum(a.i * b.i) AS x FROM range(1000000) a(i), range(1000000) b(i) WHERE a.i + b.i = 0")
	cancel()
	if err := p.Scan(ctx, slow, []plan.Field{field("x", plan.Int)}, func(*Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before the query: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	go cancel()
	if err := p.duck.Exec(ctx, "CREATE TABLE t AS "+slow.SQL); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled during the query: %v", err)
	}
}

func TestRepeated(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", "SELECT 'e' || (i % 7) AS id FROM range(10) t(i) UNION ALL SELECT NULL FROM range(3)")
	var got []string
	err := p.Repeated(context.Background(), from("a.parquet"), field("id", plan.String), func(v *vector.Vector) error {
		for _, s := range v.Str {
			got = append(got, strings.Clone(s))
		}
		return nil
	})
	slices.Sort(got)
	got = slices.Compact(got)
	if err != nil || !slices.Equal(got, []string{"e0", "e1", "e2"}) {
		t.Errorf("repeated %v, %v", got, err)
	}
}

func TestFiles(t *testing.T) {
	p := newProject(t)
	p.write("b.csv", "x\n1\n")
	p.write("a.csv", "x\n2\n")
	p.write("it's.csv", "x\n3\n")
	for _, tc := range []struct {
		rel  Relation
		want []string
	}{
		{from("*.csv"), []string{"a.csv", "b.csv", "it's.csv"}},
		{from(filepath.Join(p.dir, "b.csv")), []string{"b.csv"}},
		{query("SELECT * FROM 'b.csv' -- 'a.csv'\nUNION ALL FROM read_csv('it''s.csv') WHERE \"x\" <> 'nothing' /* 'a.csv' */"), []string{"b.csv", "it's.csv"}},
	} {
		files, err := p.Files(context.Background(), tc.rel)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Path)
			if f.Size != 4 || len(f.SHA256) != 64 {
				t.Errorf("%+v: wrong size or hash", f)
			}
		}
		if !slices.Equal(names, tc.want) {
			t.Errorf("files %q, want %q", names, tc.want)
		}
	}
	rows, err := p.rows(query("FROM 'it''s.csv'"), field("x", plan.Int))
	if err != nil || len(rows) != 1 {
		t.Errorf("relative path in sql: %v, %v", rows, err)
	}
}

// TestRecordsPassThrough: columns of a spine keep types that features cannot have.
func TestRecordsPassThrough(t *testing.T) {
	p := newProject(t)
	p.copyTo("s.parquet", "SELECT 1::SMALLINT AS a, [1.5::FLOAT] AS emb, DATE '2025-01-01' AS d, {'k': 'v'} AS st, 'x'::ENUM('x') AS e")
	p.write("s.csv", "id,n\n007,1\n")
	p.write("s.jsonl", `{"id": "007", "n": [1]}`)
	for _, tc := range []struct {
		file     string
		declared []plan.Field
		want     string
	}{
		{"s.parquet", nil, "a:int16 emb:list<element: float32, nullable> d:date32 st:struct<k: utf8 nullable> e:utf8"},
		{"s.csv", []plan.Field{field("id", plan.String)}, "id:utf8 n:int64"},
		{"s.jsonl", []plan.Field{field("id", plan.String)}, "id:utf8 n:utf8"},
	} {
		var got []string
		rows := int64(0)
		err := p.Records(context.Background(), from(tc.file), tc.declared, func(s *arrow.Schema) error {
			for _, f := range s.Fields() {
				got = append(got, f.Name+":"+f.Type.String())
			}
			return nil
		}, func(rec arrow.RecordBatch) error { rows += rec.NumRows(); return nil })
		if s := strings.Join(got, " "); err != nil || rows != 1 || s != tc.want {
			t.Errorf("%s: %s, %d rows, %v; want %s", tc.file, s, rows, err, tc.want)
		}
	}
}

// TestRewrittenFilesAreReadAnew: DuckDB's file cache compares only sizes and times in
// seconds.
func TestRewrittenFilesAreReadAnew(t *testing.T) {
	p := newProject(t)
	for i := range 20 {
		p.copyTo("same.parquet", fmt.Sprintf("SELECT %d AS x FROM range(100)", i))
		rows, err := p.rows(from("same.parquet"), field("x", plan.Int))
		if err != nil || len(rows) != 100 || rows[0][0].Int() != int64(i) {
			t.Fatalf("writing %d: %v, %v", i, rows, err)
		}
	}
}

// TestSpill: a query larger than the memory limit spills into a directory of its own, which
// Close removes.
func TestSpill(t *testing.T) {
	temp := t.TempDir()
	db, err := Open(Options{MemoryLimit: "60MB", Threads: 1, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	n, spilled := 0, false
	sql := "SELECT i AS x, repeat('x', 100) || i AS s FROM range(1000000) t(i) ORDER BY hash(i)"
	err = db.Scan(context.Background(), query(sql), []plan.Field{field("s", plan.String)}, func(b *Batch) error {
		files, err := filepath.Glob(filepath.Join(temp, "*", "*"))
		spilled = spilled || len(files) > 0
		n += b.N
		return err
	})
	if err != nil || n != 1000000 || !spilled {
		t.Errorf("%d rows, spilled: %v, %v", n, spilled, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOutOfMemoryIsOneLine(t *testing.T) {
	r, err := Open(Options{MemoryLimit: "5MB", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&project{t, r, nil, ""}).rows(query("SELECT count(DISTINCT i || 'x') AS x FROM range(1000000) t(i)"), field("x", plan.Int))
	if err == nil || !strings.Contains(err.Error(), "allow more memory") || strings.Contains(err.Error(), "SET ") {
		t.Errorf("error %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestASettingThatDuckDBRefuses(t *testing.T) {
	r, err := Open(Options{MemoryLimit: "lots"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Count(t.Context(), query("SELECT 1 AS x")); err == nil || !strings.Contains(err.Error(), "memory_limit = lots") {
		t.Errorf("error %v", err)
	}
}
