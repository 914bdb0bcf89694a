package arrowfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/parquetfile"
	"github.com/unskew/unskew/internal/pythontest"
	"github.com/unskew/unskew/internal/vector"
)

// testColumn is a field and a function that appends a row to it.
type testColumn struct {
	field arrow.Field
	fill  func(b array.Builder, i int)
}

// testColumns covers every type, with nulls where the column is nullable.
func testColumns() []testColumn {
	dec := func(b *array.Decimal128Builder, i int64) { b.Append(decimal128.FromI64(i)) }
	columns := []testColumn{
		{arrow.Field{Name: "id", Type: arrow.PrimitiveTypes.Int64}, func(b array.Builder, i int) { b.(*array.Int64Builder).Append(int64(i)) }},
		{arrow.Field{Name: "few", Type: arrow.PrimitiveTypes.Int64}, func(b array.Builder, i int) { b.(*array.Int64Builder).Append([]int64{1, 1 << 40, -5}[i%3]) }},
		{arrow.Field{Name: "bool", Type: arrow.FixedWidthTypes.Boolean}, func(b array.Builder, i int) { b.(*array.BooleanBuilder).Append(i%2 == 0) }},
		{arrow.Field{Name: "i8", Type: arrow.PrimitiveTypes.Int8}, func(b array.Builder, i int) { b.(*array.Int8Builder).Append(int8(-i)) }},
		{arrow.Field{Name: "i16", Type: arrow.PrimitiveTypes.Int16}, func(b array.Builder, i int) { b.(*array.Int16Builder).Append(int16(-i)) }},
		{arrow.Field{Name: "i32", Type: arrow.PrimitiveTypes.Int32}, func(b array.Builder, i int) { b.(*array.Int32Builder).Append(int32(-i)) }},
		{arrow.Field{Name: "u8", Type: arrow.PrimitiveTypes.Uint8}, func(b array.Builder, i int) { b.(*array.Uint8Builder).Append(uint8(255 - i)) }},
		{arrow.Field{Name: "u16", Type: arrow.PrimitiveTypes.Uint16}, func(b array.Builder, i int) { b.(*array.Uint16Builder).Append(uint16(65535 - i)) }},
		{arrow.Field{Name: "u32", Type: arrow.PrimitiveTypes.Uint32}, func(b array.Builder, i int) { b.(*array.Uint32Builder).Append(uint32(math.MaxUint32 - i)) }},
		{arrow.Field{Name: "u64", Type: arrow.PrimitiveTypes.Uint64}, func(b array.Builder, i int) { b.(*array.Uint64Builder).Append(math.MaxUint64 - uint64(i)) }},
		{arrow.Field{Name: "f32", Type: arrow.PrimitiveTypes.Float32}, func(b array.Builder, i int) { b.(*array.Float32Builder).Append(float32(i) / 4) }},
		{arrow.Field{Name: "f64", Type: arrow.PrimitiveTypes.Float64}, func(b array.Builder, i int) { b.(*array.Float64Builder).Append(float64(i) / 10) }},
		{arrow.Field{Name: "text", Type: arrow.BinaryTypes.String}, func(b array.Builder, i int) { b.(*array.StringBuilder).Append(fmt.Sprint("text ", i)) }},
		{arrow.Field{Name: "kind", Type: arrow.BinaryTypes.String}, func(b array.Builder, i int) { b.(*array.StringBuilder).Append([]string{"", "a", "ä"}[i%3]) }},
		{arrow.Field{Name: "raw", Type: arrow.BinaryTypes.Binary}, func(b array.Builder, i int) { b.(*array.BinaryBuilder).Append([]byte{0, byte(i)}) }},
		{arrow.Field{Name: "day", Type: arrow.FixedWidthTypes.Date32}, func(b array.Builder, i int) { b.(*array.Date32Builder).Append(arrow.Date32(i * 100)) }},
		{arrow.Field{Name: "clock", Type: arrow.FixedWidthTypes.Time64us}, func(b array.Builder, i int) { b.(*array.Time64Builder).Append(arrow.Time64(i * 1e6)) }},
		{arrow.Field{Name: "seconds", Type: &arrow.TimestampType{Unit: arrow.Second}}, func(b array.Builder, i int) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(i)) }},
		{arrow.Field{Name: "local", Type: &arrow.TimestampType{Unit: arrow.Microsecond}}, func(b array.Builder, i int) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(i * 7)) }},
		{arrow.Field{Name: "utc", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}}, func(b array.Builder, i int) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(i * 7)) }},
		{arrow.Field{Name: "nanos", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}}, func(b array.Builder, i int) { b.(*array.TimestampBuilder).Append(arrow.Timestamp(i * 1000)) }},
		{arrow.Field{Name: "dec9", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}}, func(b array.Builder, i int) { dec(b.(*array.Decimal128Builder), int64(-i)) }},
		{arrow.Field{Name: "dec18", Type: &arrow.Decimal128Type{Precision: 18, Scale: 2}}, func(b array.Builder, i int) { dec(b.(*array.Decimal128Builder), int64(-i)) }},
		{arrow.Field{Name: "dec38", Type: &arrow.Decimal128Type{Precision: 38, Scale: 2}}, func(b array.Builder, i int) { dec(b.(*array.Decimal128Builder), int64(-i)) }},
		{arrow.Field{Name: "list", Type: arrow.ListOf(arrow.PrimitiveTypes.Int64)}, func(b array.Builder, i int) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			for j := range i % 4 {
				if v := l.ValueBuilder().(*array.Int64Builder); j == 1 {
					v.AppendNull()
				} else {
					v.Append(int64(10*i + j))
				}
			}
		}},
		{arrow.Field{Name: "pair", Type: arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32)}, func(b array.Builder, i int) {
			l := b.(*array.FixedSizeListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Float32Builder).AppendValues([]float32{float32(i), 0.5}, nil)
		}},
		{arrow.Field{Name: "map", Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int64)}, func(b array.Builder, i int) {
			m := b.(*array.MapBuilder)
			m.Append(true)
			for j := range i % 3 {
				m.KeyBuilder().(*array.StringBuilder).Append(fmt.Sprint("k", j))
				m.ItemBuilder().(*array.Int64Builder).Append(int64(i * j))
			}
		}},
		{arrow.Field{Name: "deep", Type: arrow.ListOf(arrow.StructOf(
			arrow.Field{Name: "z", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, arrow.Field{Name: "a", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true}))}, func(b array.Builder, i int) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			s := l.ValueBuilder().(*array.StructBuilder)
			for j := range i % 3 {
				s.Append(true)
				s.FieldBuilder(0).(*array.Int64Builder).Append(int64(j))
				inner := s.FieldBuilder(1).(*array.ListBuilder)
				if j == 1 {
					inner.AppendNull()
					continue
				}
				inner.Append(true)
				for k := range i % 2 {
					inner.ValueBuilder().(*array.StringBuilder).Append(fmt.Sprint(i, j, k))
				}
			}
		}},
	}
	for _, c := range columns {
		field := c.field
		field.Name, field.Nullable = field.Name+"?", true
		columns = append(columns, testColumn{field, func(b array.Builder, i int) {
			if i%5 == 2 {
				b.AppendNull()
				return
			}
			c.fill(b, i)
		}})
	}
	return columns
}

func record(columns []testColumn, rows int) arrow.RecordBatch {
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, c := range columns {
		b := array.NewBuilder(memory.DefaultAllocator, c.field.Type)
		for i := range rows {
			c.fill(b, i)
		}
		fields, arrays = append(fields, c.field), append(arrays, b.NewArray())
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, int64(rows))
}

// write writes a record in row groups of the given number of rows.
func write(t *testing.T, rec arrow.RecordBatch, group int) []byte {
	t.Helper()
	s, err := NewSchema(rec.Schema())
	if err != nil {
		t.Fatal(err)
	}
	n := int(rec.NumRows())
	sample := parquetfile.NewSample(s)
	for c := range rec.NumCols() {
		if err := sample.Array(int(c), Array(rec.Column(int(c))), 0, n); err != nil {
			t.Fatal(err)
		}
	}
	encodings, err := sample.Encodings()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := parquetfile.NewWriter(&out, s, encodings, "unskew")
	w.SetMetadata("unskew.fingerprint", "f00d")
	for from := 0; from < n; from += group {
		g := w.NewRowGroup()
		for c := range rec.NumCols() {
			if err := g.Array(int(c), Array(rec.Column(int(c))), from, min(from+group, n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Finish(); err != nil {
			t.Fatal(err)
		}
		if err := g.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readers reads a file with three other implementations and compares the rows as JSON.
const readers = `
import base64, datetime, decimal, json, math, sys
import duckdb, polars, pyarrow as pa, pyarrow.parquet as pq

path, want = sys.argv[1], json.load(sys.stdin)

def plain(v):
    if isinstance(v, datetime.datetime):
        v = v.replace(tzinfo=v.tzinfo or datetime.timezone.utc).astimezone(datetime.timezone.utc)
        return v.strftime('%Y-%m-%dT%H:%M:%S') + ('.%06d' % v.microsecond).rstrip('0').rstrip('.')
    if isinstance(v, (datetime.date, datetime.time)): return str(v)
    if isinstance(v, decimal.Decimal): return str(v)
    if isinstance(v, bytes): return base64.b64encode(v).decode()
    if isinstance(v, dict): return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        if v and all(isinstance(x, tuple) for x in v): v = dict(v)
        elif v and all(isinstance(x, dict) and list(x) == ['key', 'value'] for x in v): v = {x['key']: x['value'] for x in v}
        return plain(v) if isinstance(v, dict) else [plain(x) for x in v]
    return v

def same(a, b):
    if (a in ([], {}) and b in ([], {})): return True
    if type(a) is list and type(b) is list: return len(a) == len(b) and all(map(same, a, b))
    if type(a) is dict and type(b) is dict: return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b

def check(reader, rows):
    assert len(rows) == len(want), f'{reader}: {len(rows)} rows, not {len(want)}'
    for i, (got, row) in enumerate(zip(rows, want)):
        assert list(got) == list(row), f'{reader}: columns {list(got)}'
        for name, value in row.items():
            assert same(plain(got[name]), value), f'{reader}: row {i}, {name}: {plain(got[name])!r}, not {value!r}'

check('pyarrow', pq.read_table(path).to_pylist())
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
cur = con.execute('SELECT * FROM read_parquet(?)', [path])
names = [d[0] for d in cur.description]
check('duckdb', [dict(zip(names, r)) for r in cur.fetchall()])
check('polars', polars.read_parquet(path).to_dicts())

meta = pq.ParquetFile(path).metadata
assert meta.metadata[b'unskew.fingerprint'] == b'f00d', meta.metadata
assert meta.created_by == 'unskew', meta.created_by
for g in range(meta.num_row_groups):
    for c in range(meta.num_columns):
        col = meta.row_group(g).column(c)
        assert col.compression == 'ZSTD' and col.has_offset_index and col.has_column_index, col
        assert col.statistics is not None and col.statistics.has_null_count, col
ids = [meta.row_group(g).column(0).statistics for g in range(meta.num_row_groups)]
assert (ids[0].min, ids[-1].max, ids[0].null_count) == (0, len(want) - 1, 0), ids
assert con.execute('SELECT count(*) FROM read_parquet(?) WHERE id >= 3', [path]).fetchone()[0] == len(want) - 3
print(json.dumps({str(f.name): str(f.type) for f in pq.read_schema(path)}))
`

// Other implementations read back every type, nulls, nested values, statistics, the page
// index and metadata.
func TestOthersReadTheFile(t *testing.T) {
	rec := record(testColumns(), 100)
	rows := make([]json.RawMessage, rec.NumRows())
	for i := range rows {
		var b bytes.Buffer
		b.WriteByte('{')
		for c, f := range rec.Schema().Fields() {
			if c > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q: %s", f.Name, jsonOf(t, rec.Column(c), i))
		}
		rows[i] = append(b.Bytes(), '}')
	}
	want, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "all.parquet")
	if err := os.WriteFile(path, write(t, rec, 40), 0o644); err != nil {
		t.Fatal(err)
	}
	var types map[string]string
	if err := json.Unmarshal([]byte(pythontest.Run(t, readers, want, path)), &types); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"i8": "int8", "u64": "uint64", "f32": "float", "text": "string", "raw": "binary", "day": "date32[day]", "clock": "time64[us]", "seconds": "timestamp[ms]",
		"local": "timestamp[us]", "utc": "timestamp[us, tz=UTC]", "nanos": "timestamp[ns, tz=UTC]", "dec9": "decimal128(9, 2)", "dec38": "decimal128(38, 2)",
		"pair": "fixed_size_list<element: float>[2]", "map": "map<string, int64 ('map')>",
	} {
		if types[name] != want {
			t.Errorf("pyarrow takes column %s for %s, want %s", name, types[name], want)
		}
	}
}

// jsonOf formats element i of an array as the script does.
func jsonOf(t *testing.T, a arrow.Array, i int) string {
	t.Helper()
	if a.IsNull(i) {
		return "null"
	}
	list := func(values arrow.Array, from, to int64) string {
		var b bytes.Buffer
		for e := from; e < to; e++ {
			if e > from {
				b.WriteString(", ")
			}
			b.WriteString(jsonOf(t, values, int(e)))
		}
		return "[" + b.String() + "]"
	}
	switch a := a.(type) {
	case *array.Map:
		from, to := a.ValueOffsets(i)
		m := map[string]json.RawMessage{}
		for e := from; e < to; e++ {
			m[a.Keys().(*array.String).Value(int(e))] = json.RawMessage(jsonOf(t, a.Items(), int(e)))
		}
		return string(marshal(t, m))
	case *array.Struct:
		return fmt.Sprintf(`{"z": %s, "a": %s}`, jsonOf(t, a.Field(0), i), jsonOf(t, a.Field(1), i))
	case array.ListLike:
		from, to := a.ValueOffsets(i)
		return list(a.ListValues(), from, to)
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return string(marshal(t, a.Value(i).ToTime(unit).UTC().Format("2006-01-02T15:04:05.999999")))
	case *array.Date32:
		return string(marshal(t, a.Value(i).ToTime().Format("2006-01-02")))
	case *array.Time64:
		return string(marshal(t, a.Value(i).ToTime(arrow.Microsecond).Format("15:04:05")))
	case *array.Decimal128:
		return string(marshal(t, a.Value(i).ToString(2)))
	case *array.Binary:
		return string(marshal(t, a.Value(i)))
	}
	return string(marshal(t, a.GetOneForMarshal(i)))
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The rows determine a column's encoding.
func TestEncodings(t *testing.T) {
	const n = 1000
	for _, tc := range []struct {
		name string
		v    *vector.Vector
		want string
	}{
		{"doubles", doubles(n, func(i int) float64 { return float64(i) * 1.1 }), "BYTE_STREAM_SPLIT"},
		{"few doubles", doubles(n, func(i int) float64 { return float64(i % 10) }), "RLE_DICTIONARY"},
		{"counts", ints(n, func(i int) int64 { return int64(i % 10) }), "DELTA_BINARY_PACKED"},
		{"few large ints", ints(n, func(i int) int64 { return int64(i%10) << 40 }), "RLE_DICTIONARY"},
		{"ids", ints(n, func(i int) int64 { return int64(i) << 40 }), "DELTA_BINARY_PACKED"},
		{"nothing", ints(0, nil), "DELTA_BINARY_PACKED"},
	} {
		typ, err := ArrowType(tc.v.Type)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSchema(arrow.NewSchema([]arrow.Field{{Name: "x", Type: typ, Nullable: true}}, nil))
		if err != nil {
			t.Fatal(err)
		}
		sample := parquetfile.NewSample(s)
		if err := sample.Vector(0, tc.v, 0, tc.v.N); err != nil {
			t.Fatal(err)
		}
		encodings, err := sample.Encodings()
		if err != nil {
			t.Fatal(err)
		}
		if got := encodings[0].Encoding().String(); got != tc.want {
			t.Errorf("%s are encoded as %s, want %s", tc.name, got, tc.want)
		}
	}
}

func doubles(n int, f func(i int) float64) *vector.Vector {
	v := vector.New(plan.T(plan.Double), n)
	for i := range n {
		v.Double[i] = f(i)
	}
	return v
}

func ints(n int, f func(i int) int64) *vector.Vector {
	v := vector.New(plan.T(plan.Int), n)
	for i := range n {
		v.Int[i] = f(i)
	}
	return v
}

// A type that Parquet lacks is an error that names the column.
func TestTypesThatCannotBe(t *testing.T) {
	for _, typ := range []arrow.DataType{arrow.FixedWidthTypes.MonthDayNanoInterval, arrow.Null, arrow.StructOf()} {
		for _, typ := range []arrow.DataType{typ, arrow.ListOf(typ)} {
			_, err := NewSchema(arrow.NewSchema([]arrow.Field{{Name: "x", Type: typ}}, nil))
			if bad, ok := err.(*TypeError); !ok || bad.Column != "x" || !arrow.TypeEqual(bad.Type, typ) {
				t.Errorf("%v: error %v", typ, err)
			}
		}
	}
}

// Row groups that are filled concurrently and reused give the same bytes as sequential
// writes.
func TestBytesDependOnRowsAlone(t *testing.T) {
	rec := record(testColumns(), 5000)
	first := write(t, rec, 1000)
	for range 3 {
		if again := write(t, rec, 1000); !slices.Equal(first, again) {
			t.Fatal("the same rows give different bytes")
		}
	}
}
