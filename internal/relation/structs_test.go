//go:build duckdb_arrow

package relation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/unskew/unskew/featuredefs/plan"
)

// inside is a relation with one column, x, at a path.
func inside(file string, path ...string) Relation {
	rel := from(file)
	rel.Paths = map[string][]string{"x": path}
	return rel
}

const merchants = `SELECT i AS id, CASE WHEN i = 1 THEN NULL ELSE {'city': 'c' || i, 'Flat.name': i * 0.5::DOUBLE,
	'address': CASE WHEN i = 2 THEN NULL ELSE {'zip': CASE WHEN i <> 3 THEN 1000 + i END, 'since': TIMESTAMP '2025-01-01' + INTERVAL (i) DAY} END} END AS merchant FROM range(5) t(i)`

// TestFieldsOfStructs reads the same rows from Parquet and from JSON, whose types are inferred.
func TestFieldsOfStructs(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", merchants)
	p.copyTo("a.json", merchants)
	paths := map[string][]string{
		"city": {"merchant", "city"}, "half": {"merchant", "Flat.name"}, "merchant": {"id"},
		"zip": {"merchant", "address", "zip"}, "since": {"merchant", "address", "since"},
	}
	fields := []plan.Field{field("city", plan.String), field("half", plan.Double), field("merchant", plan.Int), field("zip", plan.Int), field("since", plan.Timestamp)}
	want := []string{
		"c0 0.0 0 1000 2025-01-01T00:00:00Z", "null null 1 null null", "c2 1.0 2 null null", "c3 1.5 3 null 2025-01-04T00:00:00Z", "c4 2.0 4 1004 2025-01-05T00:00:00Z",
	}
	for _, file := range []string{"a.parquet", "a.json"} {
		rel := from(file)
		rel.Paths = paths
		rows, err := p.rows(rel, fields...)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var got []string
		for _, row := range rows {
			texts := make([]string, len(row))
			for i, v := range row {
				texts[i] = strings.Trim(v.String(), `"`)
			}
			got = append(got, strings.Join(texts, " "))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		found, err := p.Columns(context.Background(), rel)
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, c := range found {
			columns = append(columns, fmt.Sprint(c.Name, " ", c.Type, c.Unusable))
		}
		slices.Sort(columns)
		if want := []string{"city string", "half double", "merchant int", "since timestamp", "zip int"}; !slices.Equal(columns, want) {
			t.Errorf("%s has the columns %q, want %q", file, columns, want)
		}
	}
}

// TestFieldsOfStructs_Refused: what cannot be read is refused with its name and what to write.
func TestFieldsOfStructs_Refused(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", `SELECT {'city': 'x', 'at': {'zip': 1}, 'clock': TIME '10:00', 'tags': ['a']} AS m, [{'price': 1.5}] AS items, MAP {'k': 1} AS attributes, 7 AS n, 'flat' AS "m.town"`)
	p.copyTo("b.parquet", `SELECT {'town': 'x'} AS m`)
	p.write("d.jsonl", `{"m": {"City": "x"}}`+"\n"+`{"m": {"city": "x"}}`+"\n")
	p.write("e.jsonl", `{"m": {"city": "x"}}`+"\n"+`{"m": "none"}`+"\n")
	p.write("f.jsonl", `{"m": {"city": "x", "city": "y"}}`+"\n")
	p.write("g.csv", "m\nx\n")
	p.writeArrow("h.parquet", "m", structOf(t, "City", "city"))
	pushed := func(file string, path ...string) Relation {
		rel := inside(file, path...)
		rel.Pushed = true
		return rel
	}
	for _, c := range []struct {
		rel  Relation
		want []string
	}{
		{inside("a.parquet", "m", "citi"), []string{`column "x" of a.parquet is read from "m.citi", and "m" has no field "citi" (did you mean "city"?); it has city, at, clock, tags`}},
		{inside("a.parquet", "mm", "city"), []string{`there is no column "mm" (did you mean`, "there are m, items"}},
		{inside("a.parquet", "m", "town"), []string{`"m" has no field "town"`}},
		{inside("a.parquet", "m", "at"), []string{`"m.at", which is a STRUCT; name one of its fields: zip`}},
		{inside("a.parquet", "m", "clock"), []string{`"m.clock", which is a TIME of day`, `let sql: convert it, such as CAST("m"."clock" AS VARCHAR)`}},
		{inside("a.parquet", "m", "tags"), []string{`"m.tags", which is a LIST`, `let sql: read an element of it or its length, such as SELECT "m"."tags"[1]`}},
		{inside("a.parquet", "items", "price"), []string{`"items" is a LIST, whose elements have no names`, `SELECT "items"[1]."price" AS x`}},
		{inside("a.parquet", "attributes", "k"), []string{`"attributes" is a MAP, whose keys are not fields`, `SELECT "attributes"['k'] AS x`}},
		{inside("a.parquet", "n", "k"), []string{`"n" is a`, "which has no fields"}},
		{inside("a.parquet", "m", "city", "name"), []string{`"m.city" is a STRING, which has no fields`}},
		{inside("?.parquet", "m", "city"), []string{`column "x" of b.parquet`, `"m" has no field "city"`}},
		{inside("h.parquet", "m", "city"), []string{`"m" has fields "City" and "city", which differ only in case`}},
		{pushed("a.parquet", "m", "city"), []string{`"m" has the unknown field "at"`}},
		{inside("d.jsonl", "m", "city"), []string{`columns "m.City" and "m.city" differ only in case`}},
		{inside("e.jsonl", "m", "city"), []string{"line 2 of e.jsonl", "m is not an object, so it has no m.city"}},
		{inside("e.jsonl", "m", "zip"), []string{`m is not an object`}},
		{inside("f.jsonl", "m", "city"), []string{`column "m.city" occurs twice`}},
		{inside("g.csv", "m", "city"), []string{`CSV has no objects, so it has no "m.city"; write JSON or Parquet`}},
	} {
		_, err := p.rows(c.rel, field("x", plan.String))
		if err == nil {
			t.Errorf("%s at %q was read", c.rel.From, c.rel.Paths["x"])
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s at %q: %v\nhas no %q", c.rel.From, c.rel.Paths["x"], err, want)
			}
		}
	}
}

// TestFieldsOfStructs_Dotted: a name with dots is found by a path that has it as one name, and the
// message says so.
func TestFieldsOfStructs_Dotted(t *testing.T) {
	p := newProject(t)
	p.copyTo("a.parquet", `SELECT 'x' AS "m.city"`)
	if rows, err := p.rows(inside("a.parquet", "m.city"), field("x", plan.String)); err != nil || rows[0][0].Str() != "x" {
		t.Errorf("%v, %v", rows, err)
	}
	_, err := p.rows(inside("a.parquet", "m", "city"), field("x", plan.String))
	if err == nil || !strings.Contains(err.Error(), `to read it, write field: ["m.city"]`) {
		t.Error(err)
	}
}

// TestFieldsOfStructs_Partition: a folder's column can have another name too.
func TestFieldsOfStructs_Partition(t *testing.T) {
	p := newProject(t)
	for _, file := range []string{"parquet/k=7/a.parquet", "json/k=7/a.json"} {
		if err := os.MkdirAll(filepath.Join(p.dir, filepath.Dir(file)), 0o755); err != nil {
			t.Fatal(err)
		}
		p.copyTo(file, "SELECT 1 AS y")
		rel := inside(strings.Replace(file, "k=7", "k=*", 1), "k")
		rows, err := p.rows(rel, field("x", plan.Int))
		if err != nil || rows[0][0].Int() != 7 {
			t.Errorf("%s: %v, %v", file, rows, err)
		}
		found, err := p.Columns(context.Background(), rel)
		if err != nil || len(found) != 2 || found[1].Name != "x" || found[1].Type.Kind != plan.Int {
			t.Errorf("%s: %v, %v", file, found, err)
		}
	}
}

// structOf is a struct with fields of one string each.
func structOf(t *testing.T, names ...string) arrow.Array {
	var fields []arrow.Field
	var columns []arrow.Array
	for _, name := range names {
		b := array.NewStringBuilder(memory.DefaultAllocator)
		b.Append("of " + name)
		fields, columns = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true}), append(columns, b.NewArray())
	}
	s, err := array.NewStructArrayWithFields(columns, fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFieldsOfStructs_Large reads one field of ten thousand, and one a hundred structs deep. A message
// about such a file is short, and memory stays in proportion. With -short there are three thousand.
func TestFieldsOfStructs_Large(t *testing.T) {
	p := newProject(t)
	names := make([]string, 10_000)
	if testing.Short() {
		names = names[:3000]
	}
	for i := range names {
		names[i] = fmt.Sprintf("field_%d", i)
	}
	last := names[len(names)-1]
	p.writeArrow("wide.parquet", "m", structOf(t, names...))
	deep, path := structOf(t, "leaf"), []string{"leaf"}
	for range 100 {
		s, err := array.NewStructArrayWithFields([]arrow.Array{deep}, []arrow.Field{{Name: "s", Type: deep.DataType(), Nullable: true}})
		if err != nil {
			t.Fatal(err)
		}
		deep, path = s, append([]string{"s"}, path...)
	}
	p.writeArrow("deep.parquet", "m", deep)
	for _, c := range []struct {
		rel  Relation
		want string
	}{
		{inside("wide.parquet", "m", last), "of " + last},
		{inside("deep.parquet", append([]string{"m"}, path...)...), "of leaf"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		rows, err := p.rows(c.rel, field("x", plan.String))
		if err != nil || len(rows) != 1 || rows[0][0].Str() != c.want {
			t.Errorf("%s: %v, %v", c.rel.From, rows, err)
		}
		runtime.ReadMemStats(&after)
		if after.TotalAlloc-before.TotalAlloc > 128<<20 {
			t.Errorf("reading %s allocated %d MiB", c.rel.From, (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	}
	if _, err := p.rows(inside("wide.parquet", "m", "fields"), field("x", plan.String)); err == nil || len(err.Error()) > 1000 {
		t.Errorf("%v", err)
	}
}
