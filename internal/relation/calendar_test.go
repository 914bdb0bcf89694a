//go:build duckdb_arrow

package relation

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/duckdb"
)

// sparkColumn is a column of a file that Spark wrote: each value in µs as the file stores it
// and as Spark reads it.
type sparkColumn struct {
	File, Column  string
	Stored, Spark []*int64
}

func (w *sparkColumn) hybrid(i int) bool { return w.Stored[i] != nil && *w.Stored[i] != *w.Spark[i] }

func sparkColumns(t *testing.T) (columns []sparkColumn) {
	t.Helper()
	text, err := os.ReadFile("testdata/spark/want.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &columns); err != nil {
		t.Fatal(err)
	}
	return columns
}

// TestN12_SparkFilesHaveSparksValues reads files of both calendars. No value may differ from what
// Spark reads: it is refused instead, and others are read.
func TestN12_SparkFilesHaveSparksValues(t *testing.T) {
	p := newProject(t)
	refused, read := 0, 0
	for _, w := range sparkColumns(t) {
		p.copyFile(filepath.Join("testdata/spark", w.File), w.File)
		rel := from(w.File)
		rel.KeepBad = true
		bad := map[int]string{}
		var got []plan.Value
		err := p.Scan(context.Background(), rel, []plan.Field{field(w.Column, plan.Timestamp)}, func(b *Batch) error {
			for _, c := range b.Bad {
				bad[c.Row] = c.Reason
			}
			for i := range b.N {
				got = append(got, b.Cols[0].Value(i))
			}
			return nil
		})
		if err != nil || len(got) != len(w.Spark) {
			t.Fatalf("%s: %d rows, want %d: %v", w.File, len(got), len(w.Spark), err)
		}
		for i := range w.Spark {
			switch reason, isBad := bad[i]; {
			case isBad && !strings.Contains(reason, "ModeInWrite=CORRECTED"):
				t.Errorf("%s, column %s, row %d: %s", w.File, w.Column, i, reason)
			case isBad && *w.Stored[i] >= offsetOf(w.File, w.Column):
				t.Errorf("%s, column %s, row %d is refused: %s", w.File, w.Column, i, reason)
			case isBad:
				refused++
			case w.hybrid(i):
				t.Errorf("%s, column %s, row %d is read as %v, Spark reads %v", w.File, w.Column, i, got[i], plan.EventTime(*w.Spark[i]))
			case w.Spark[i] == nil != got[i].IsNull() || w.Spark[i] != nil && int64(got[i].Time()) != *w.Spark[i]:
				t.Errorf("%s, column %s, row %d is read as %v, want %v", w.File, w.Column, i, got[i], w.Spark[i])
			default:
				read++
			}
		}
	}
	if refused < 20 || read < 100 {
		t.Errorf("only %d values were refused and %d read", refused, read)
	}
}

// offsetOf is the moment from which values of a file must be read: the first on which both
// calendars and all time zones agree.
func offsetOf(file, column string) int64 {
	switch {
	case strings.HasPrefix(file, "corrected"):
		return math.MinInt64
	case column == "d" || strings.Contains(file, "-utc-"):
		return int64(gregorianSwitch)
	}
	return int64(offsetSwitch)
}

// TestN12_SparkFilesAreRefusedAsAWhole where a reader does not look at each value:
// in sql:, on servers, and in columns that pass through a spine.
func TestN12_SparkFilesAreRefusedAsAWhole(t *testing.T) {
	p := newProject(t)
	byFile := map[string]bool{} // whether it has a value in the old calendar
	for _, w := range sparkColumns(t) {
		for i := range w.Spark {
			byFile[w.File] = byFile[w.File] || w.hybrid(i)
		}
	}
	for file, hybrid := range byFile {
		p.copyFile(filepath.Join("testdata/spark", file), file)
		url := "file://" + filepath.Join(p.dir, file)
		scan := func(rel Relation) error {
			_, err := p.rows(rel, field("i", plan.Int))
			return err
		}
		errs := map[string]error{
			"sql":        scan(query("SELECT * FROM " + duckdb.Quote(file))),
			"server":     scan(from(url)),
			"server sql": scan(query("SELECT * FROM " + duckdb.Quote(url))),
			"records": p.Records(context.Background(), from(file), nil, func(*arrow.Schema) error { return nil },
				func(arrow.RecordBatch) error { return nil }),
		}
		for way, err := range errs {
			// A nested value is refused where statistics do not exclude the old calendar.
			unknown := strings.HasSuffix(file, "-nested.parquet") && (strings.Contains(file, "int96") || strings.HasPrefix(way, "server"))
			if hybrid || unknown {
				if err == nil || !strings.Contains(err.Error(), "ModeInWrite=CORRECTED") || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), `"`) {
					t.Errorf("%s, %s: error %v", way, file, err)
				}
				continue
			}
			// pqarrow reads INT96 as nanoseconds, which end in 1677, and refuses earlier times.
			if nanos := way == "records" && strings.Contains(file, "int96") && strings.HasSuffix(file, "-old.parquet"); (err != nil) != nanos {
				t.Errorf("%s, %s: %v", way, file, err)
			}
		}
	}
}

// TestN12_FootersThatMeanTheOldCalendar covers writers that are no longer installed.
func TestN12_FootersThatMeanTheOldCalendar(t *testing.T) {
	none := plan.EventTime(math.MinInt64)
	kv := func(pairs ...string) (footer []format.KeyValue) {
		for i := 0; i < len(pairs); i += 2 {
			footer = append(footer, format.KeyValue{Key: pairs[i], Value: pairs[i+1]})
		}
		return footer
	}
	for name, c := range map[string]struct {
		footer []format.KeyValue
		want   calendar
	}{
		"no footer":            {kv(), calendar{none, none, none}},
		"pandas":               {kv("pandas", "{}"), calendar{none, none, none}},
		"Spark 2.3":            {kv(sparkSchema, "{}"), calendar{gregorianSwitch, offsetSwitch, offsetSwitch}},
		"Spark 2.4.8":          {kv(sparkSchema, "{}", sparkVersion, "2.4.8"), calendar{gregorianSwitch, offsetSwitch, offsetSwitch}},
		"Spark 3.0.3":          {kv(sparkVersion, "3.0.3"), calendar{none, none, offsetSwitch}},
		"Spark 3.1.0":          {kv(sparkVersion, "3.1.0"), calendar{none, none, none}},
		"Spark 10.0.0":         {kv(sparkVersion, "10.0.0"), calendar{none, none, none}},
		"LEGACY in UTC":        {kv(sparkVersion, "3.5.1", sparkLegacy, "", sparkZone, "UTC"), calendar{gregorianSwitch, gregorianSwitch, none}},
		"LEGACY in Berlin":     {kv(sparkVersion, "3.5.1", sparkLegacy, "", sparkZone, "Europe/Berlin"), calendar{gregorianSwitch, offsetSwitch, none}},
		"LEGACY INT96":         {kv(sparkVersion, "4.0.1", sparkLegacy96, "", sparkZone, "Asia/Tokyo"), calendar{none, none, offsetSwitch}},
		"Hive":                 {kv("writer.date.proleptic", "false", "writer.time.zone", "UTC"), calendar{gregorianSwitch, none, none}},
		"Hive, other calendar": {kv("writer.date.proleptic", "true"), calendar{none, none, none}},
	} {
		if got := calendarOf(c.footer); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestN12_FooterOfSpark24 changes the version in a file and removes the other keys.
func TestN12_FooterOfSpark24(t *testing.T) {
	p := newProject(t)
	p.changeFooter("testdata/spark/legacy-micros-utc-old.parquet", "old.parquet", func(m *format.FileMetaData) {
		m.KeyValueMetadata = slices.DeleteFunc(m.KeyValueMetadata, func(kv format.KeyValue) bool { return kv.Key != sparkVersion })
		m.KeyValueMetadata[0].Value = "2.4.8"
	})
	for _, rel := range []Relation{from("old.parquet"), query("FROM 'old.parquet'")} {
		if rows, err := p.rows(rel, field("d", plan.Timestamp)); err == nil || !strings.Contains(err.Error(), `row 1 of old.parquet, column "d"`) {
			t.Errorf("%v, %v", rows, err)
		}
	}
}

// copyFile copies a file of testdata to the project.
func (p *project) copyFile(path, name string) {
	p.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	p.write(name, string(b))
}

// changeFooter copies a Parquet file to the project with another footer.
func (p *project) changeFooter(path, name string, change func(*format.FileMetaData)) {
	p.Helper()
	in, err := openParquetFile(path)
	if err != nil {
		p.Fatal(err)
	}
	defer in.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		p.Fatal(err)
	}
	meta := *in.Metadata()
	meta.KeyValueMetadata = slices.Clone(meta.KeyValueMetadata)
	change(&meta)
	p.write(name, string(withFooter(p.T, whole, &meta)))
}

// withFooter replaces the footer of a Parquet file.
func withFooter(t *testing.T, whole []byte, meta *format.FileMetaData) []byte {
	t.Helper()
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), meta)
	if err != nil {
		t.Fatal(err)
	}
	tail := len(whole) - 8
	pages := whole[:tail-int(binary.LittleEndian.Uint32(whole[tail:]))]
	out := append(slices.Clone(pages), footer...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(footer)))
	return append(out, "PAR1"...)
}
