package oracle_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/vector"
)

var knownRules = []plan.Known{
	{},
	{Kind: plan.KnownColumn, Column: "known"},
	{Kind: plan.KnownDelay, Delay: 15 * plan.Minute},
	{Kind: plan.KnownSchedule, Schedule: "0 2 * * *", Delay: 30 * plan.Minute},
	{Kind: plan.KnownSchedule, Schedule: "*/20 8-10,23 * * 1-5"},
	{Kind: plan.KnownSchedule, Schedule: "30 4 1,15 * 5"},
	{Kind: plan.KnownSchedule, Schedule: "0 0 29 2 *"},
	{Kind: plan.KnownSchedule, Schedule: "15 6 */2 * 1"},
	{Kind: plan.KnownSchedule, Schedule: "0 12 13 * */3"},
	{Kind: plan.KnownSchedule, Schedule: "0 0 1 jan,7 5-7"},
	{Kind: plan.KnownSchedule, Schedule: "0 0 29 2 */7"},
}

// Ingestion and the oracle agree on which rows are events, their known times and their ids.
func TestIngestionAgreesWithTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, k plan.Kind) plan.SourceColumn {
			return plan.SourceColumn{Field: plan.Field{Name: name, Type: plan.T(k)}}
		}
		late := field("late", plan.String)
		late.Known = &plan.Known{}
		*late.Known = rapid.SampledFrom(knownRules).Draw(t, "known_at of the column")
		src := &plan.Source{
			Name: "s", EventTime: "ts", EventID: rapid.SampledFrom([]string{"", "name", "number"}).Draw(t, "event_id"),
			Known:   rapid.SampledFrom(knownRules).Draw(t, "known_at"),
			Columns: []plan.SourceColumn{field("ts", plan.Timestamp), field("known", plan.Timestamp), late, field("name", plan.String), field("number", plan.Int)},
		}
		row := map[string]plan.Value{
			"ts":     maybe(t, drawTime(t)),
			"known":  maybe(t, drawTime(t)),
			"late":   maybe(t, plan.StringValue(rapid.SampledFrom([]string{"", "x", "\xff", "é"}).Draw(t, "string"))),
			"name":   maybe(t, plan.StringValue(rapid.SampledFrom([]string{"", "x", "\xff", "é"}).Draw(t, "name"))),
			"number": maybe(t, plan.IntValue(rapid.Int64().Draw(t, "number"))),
		}
		want, wantErr := oracle.NewEvent(src, row, false)
		in, err := ingest.NewSource(src)
		if err != nil {
			t.Fatal(err)
		}
		batch := vector.NewBatch(in.Fields(), 1)
		for c, f := range in.Fields() {
			batch.Cols[c].Set(0, row[f.Name])
		}
		got, _, err := in.Events(batch, nil)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("the oracle says %v, ingestion %v", wantErr, err)
		}
		if err != nil {
			return
		}
		id := ""
		if got.ID != nil {
			id = got.ID[0]
		}
		lateAt, known := want.ColumnKnown["late"]
		if !known {
			lateAt = plan.Never
		}
		w := fmt.Sprint(want.Time, max(want.Time, want.Known), lateAt, want.ID, want.Columns["known"], want.Columns["late"])
		if g := fmt.Sprint(got.Time[0], got.Visible(0), got.ColumnKnown["late"][0], id, got.Batch.Col("known").Value(0), got.Batch.Col("late").Value(0)); g != w {
			t.Fatalf("the oracle has %s, ingestion %s", w, g)
		}
	})
}

func maybe(t *rapid.T, v plan.Value) plan.Value {
	if rapid.IntRange(0, 9).Draw(t, "null") == 1 {
		return plan.NullValue()
	}
	return v
}

// drawTime draws times of all centuries, often at whole minutes, sometimes invalid.
func drawTime(t *rapid.T) plan.Value {
	if rapid.IntRange(0, 19).Draw(t, "infinite") == 1 {
		return plan.TimestampValue(rapid.SampledFrom([]plan.EventTime{plan.Never, plan.Always}).Draw(t, "infinity"))
	}
	at := rapid.SampledFrom([]plan.EventTime{0, plan.MinTime, plan.MaxTime, plan.MaxTime - plan.EventTime(plan.Day), 1735689600000000}).Draw(t, "base")
	if rapid.Bool().Draw(t, "any day") {
		at = plan.EventTime(rapid.Int64Range(-25567, 25567).Draw(t, "day")) * plan.EventTime(plan.Day)
	}
	at += plan.EventTime(rapid.Int64Range(-1, 1500).Draw(t, "minute")) * plan.EventTime(plan.Minute)
	return plan.TimestampValue(at + plan.EventTime(rapid.Int64Range(-1, 1).Draw(t, "beside")))
}

// Rows at a limit are events and rows beyond it are not, both for ingestion and the oracle,
// with and without bad_rows: skip.
func TestLimitsAreThoseOfTheOracle(t *testing.T) {
	long := func(n int, with string) plan.Value { return plan.StringValue(with + strings.Repeat("x", n-len(with))) }
	const kib64, mib16 = 64 << 10, 16 << 20
	ts := plan.TimestampValue(1735689600000000) // 2025
	minimum := plan.EventTime(1577836800000000) // 2020
	for _, test := range []struct {
		name string
		row  map[string]plan.Value
		bad  bool
	}{
		{"nothing long", map[string]plan.Value{"user": long(3, ""), "shop": long(3, "")}, false},
		{"a long id", map[string]plan.Value{"id": long(kib64, "")}, false},
		{"too long an id", map[string]plan.Value{"id": long(kib64+1, "")}, true},
		{"a long text", map[string]plan.Value{"note": long(mib16, "")}, false},
		{"too long a text", map[string]plan.Value{"note": long(mib16+1, "")}, true},
		{"too long bytes", map[string]plan.Value{"blob": plan.BytesValue(make([]byte, mib16+1))}, true},
		{"a long key", map[string]plan.Value{"user": long(kib64-3, "")}, false},
		{"too long a key", map[string]plan.Value{"user": long(kib64-2, "")}, true},
		{"a long key with a zero", map[string]plan.Value{"user": long(kib64-4, "\x00")}, false},
		{"too long a key with a zero", map[string]plan.Value{"user": long(kib64-3, "\x00")}, true},
		{"a long key of two", map[string]plan.Value{"user": long(kib64/2, ""), "shop": long(kib64/2-6, "")}, false},
		{"too long a key of two", map[string]plan.Value{"user": long(kib64/2, ""), "shop": long(kib64/2-5, "")}, true},
		{"half a key", map[string]plan.Value{"shop": long(kib64, "")}, false},
		{"an early time", map[string]plan.Value{"ts": plan.TimestampValue(minimum)}, false},
		{"too early a time", map[string]plan.Value{"ts": plan.TimestampValue(minimum - 1)}, true},
	} {
		src := &plan.Source{Name: "s", EventTime: "ts", EventID: "id", MinTime: &minimum, Keys: [][]string{{"user"}, {"user", "shop"}}}
		for _, c := range []struct {
			name string
			kind plan.Kind
		}{{"ts", plan.Timestamp}, {"id", plan.String}, {"user", plan.String}, {"shop", plan.String}, {"note", plan.String}, {"blob", plan.Bytes}} {
			src.Columns = append(src.Columns, plan.SourceColumn{Field: plan.Field{Name: c.name, Type: plan.T(c.kind)}})
		}
		row := map[string]plan.Value{"ts": ts, "id": plan.StringValue("a")}
		maps.Copy(row, test.row)
		if _, err := oracle.NewEvent(src, row, false); (err != nil) != test.bad {
			t.Errorf("%s: the oracle says %v", test.name, err)
		}
		for _, src.SkipBadRows = range []bool{false, true} {
			in, err := ingest.NewSource(src)
			if err != nil {
				t.Fatal(err)
			}
			b := vector.NewBatch(in.Fields(), 2)
			for c, f := range b.Fields {
				b.Cols[c].Set(1, row[f.Name])
			}
			b.Col("ts").Set(0, ts)
			b.Col("id").Set(0, plan.StringValue("good"))
			if bad := in.CheckPushed(b); (len(bad) == 1 && bad[0].Row == 1) != test.bad || len(bad) > 1 {
				t.Errorf("%s: pushing it returns %v", test.name, bad)
			}
			if _, counts, err := in.Events(b, nil); (err != nil) != (test.bad && !src.SkipBadRows) || (len(counts.ByReason()) == 1) != (test.bad && src.SkipBadRows) {
				t.Errorf("%s, skip %v: ingestion says %v, %v", test.name, src.SkipBadRows, counts.ByReason(), err)
			}
			if _, _, bad, err := in.Logged(b, nil); err != nil || (len(bad) == 1) != test.bad {
				t.Errorf("%s: from the log %v, %v", test.name, bad, err)
			}
		}
	}
}
