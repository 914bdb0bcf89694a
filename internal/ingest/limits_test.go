package ingest

import (
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/vector"
)

// users is a source whose keys are texts.
func users() *plan.Source {
	src := &plan.Source{Name: "visits", Stream: true, EventTime: "ts", EventID: "id", Keys: [][]string{{"user"}, {"shop", "n"}}}
	for _, f := range []plan.Field{
		{Name: "ts", Type: plan.T(plan.Timestamp)}, {Name: "id", Type: plan.T(plan.String)}, {Name: "user", Type: plan.T(plan.String)},
		{Name: "shop", Type: plan.T(plan.Bytes)}, {Name: "n", Type: plan.T(plan.Int)}, {Name: "note", Type: plan.T(plan.String)},
	} {
		src.Columns = append(src.Columns, plan.SourceColumn{Field: f})
	}
	return src
}

func visits(t *testing.T, in *Source, rows ...map[string]plan.Value) *vector.Batch {
	t.Helper()
	b := vector.NewBatch(in.Fields(), len(rows))
	for i, row := range rows {
		for c, f := range b.Fields {
			v, ok := row[f.Name]
			switch {
			case ok:
			case f.Name == "ts":
				v = plan.TimestampValue(tm("2025-01-01T00:00:00Z"))
			case f.Name == "id":
				v = plan.StringValue(string(rune('a' + i)))
			}
			b.Cols[c].Set(i, v)
		}
	}
	return b
}

type columns = map[string]plan.Value

func longText(n int) plan.Value { return plan.StringValue(strings.Repeat("x", n)) }

// A row beyond a limit is a bad row whose message names column and limit. The other rows of its
// batch are kept, even if the source does not skip bad rows [p6].
func TestP6_OneRowBeyondALimit(t *testing.T) {
	for name, tc := range map[string]struct {
		row    columns
		reason Reason
		want   string
	}{
		"key":        {columns{"user": longText(70_000)}, LongKey, `column "user": the key, as it is encoded, has 70003 bytes, at most 65536 are allowed`},
		"key of two": {columns{"shop": plan.BytesValue(make([]byte, 40_000)), "n": plan.IntValue(1)}, LongKey, `column "shop": the key, as it is encoded, has 80012 bytes`},
		"id":         {columns{"id": longText(limits.IDBytes + 1)}, LongID, `column "id": the event id has 65537 bytes, at most 65536 are allowed`},
		"text":       {columns{"note": longText(limits.TextBytes + 1)}, LongText, `column "note": the value has 16777217 bytes, at most 16777216 are allowed`},
		"time":       {columns{"ts": plan.TimestampValue(tm("1999-12-31T23:59:59.999999Z"))}, EarlyTime, "before 2000-01-01T00:00:00Z, the min_time of source visits"},
	} {
		for _, skips := range []bool{false, true} {
			src := users()
			src.SkipBadRows = skips
			begin := tm("2000-01-01T00:00:00Z")
			src.MinTime = &begin
			in := newSource(t, src)
			b := visits(t, in, nil, tc.row, nil)
			bad := in.CheckPushed(b)
			if len(bad) != 1 || bad[0].Row != 1 || bad[0].Reason != tc.reason || !strings.Contains(bad[0].Why(), tc.want) {
				t.Errorf("%s: a push is answered %v, want %q", name, bad, tc.want)
			}
			ev, counts, err := in.Events(b, nil)
			switch {
			case !skips && (err == nil || !strings.Contains(err.Error(), "row 2, column ") || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%s: %v, want an error about row 2", name, err)
			case skips && (err != nil || ev.Batch.N != 2 || counts.Skipped[tc.reason] != 1):
				t.Errorf("%s: %v, %v; want one row skipped", name, counts.ByReason(), err)
			}
			ev, _, left, err := in.Logged(b, &Arrivals{Row: []plan.EventTime{1, 2, 3}})
			if err != nil || len(left) != 1 || left[0].Row != 1 || ev.Batch.N != 2 {
				t.Errorf("%s: from the log %v, %v; want one row left out", name, left, err)
			}
		}
	}
}

// Pushed times that look like seconds or milliseconds are rejected unless the source declares
// min_time. A midnight of 1970 is a valid date [b5].
func TestB5_SecondsAreNotMicroseconds(t *testing.T) {
	src := users()
	src.Columns[5] = plan.SourceColumn{Field: plan.Field{Name: "seen", Type: plan.T(plan.Timestamp)}}
	src.Known = plan.Known{Kind: plan.KnownColumn, Column: "seen"}
	at := func(t plan.EventTime) plan.Value { return plan.TimestampValue(t) }
	row := func(ts, seen plan.EventTime) columns { return columns{"ts": at(ts), "seen": at(seen)} }
	now := tm("2025-01-01T00:00:00Z")
	rows := []columns{
		row(now, now), row(now/1_000_000, now), row(now/1000, now), row(now, now/1000), row(0, now), row(plan.EventTime(3*plan.Day), now),
		row(tm("1970-12-31T23:59:59.999999Z"), now), row(tm("1971-01-01T00:00:00.000001Z"), now), row(-1, now),
	}
	in := newSource(t, src)
	b := visits(t, in, rows...)
	var refused []int
	for _, bad := range in.CheckPushed(b) {
		refused = append(refused, bad.Row)
		if bad.Reason != ScaledTime || !strings.Contains(bad.Text, "lies in 1970") || !strings.Contains(bad.Text, "min_time") {
			t.Errorf("row %d: %v", bad.Row, bad.Why())
		}
	}
	if want := []int{1, 2, 3, 6}; !slices.Equal(refused, want) {
		t.Errorf("refused %v, want %v", refused, want)
	}
	if n, first := in.Scaled(b); n != 3 || first != 1 {
		t.Errorf("of a file %d rows are suspicious, first %d; want 3 from 1", n, first)
	}
	if _, _, err := in.Events(b, nil); err != nil {
		t.Errorf("rows of a file: %v", err)
	}
	begin := plan.MinTime
	src.MinTime = &begin
	in = newSource(t, src)
	if bad := in.CheckPushed(b); len(bad) != 0 {
		t.Errorf("with a min_time: %v", bad)
	}
	if n, _ := in.Scaled(b); n != 0 {
		t.Errorf("with a min_time %d rows of a file are suspicious", n)
	}
}

// CheckPushed finds every row that Events would find bad, so a batch that was checked loses no
// row.
func TestCheckPushedFindsWhatEventsFind(t *testing.T) {
	for _, tc := range []columns{
		{"due": plan.TimestampValue(plan.Never)}, {"due": plan.TimestampValue(plan.MinTime - 1)}, {"ts": plan.NullValue()},
		{"seen": plan.TimestampValue(plan.MaxTime + 1)}, {"id": plan.StringValue("caf\xe9")}, {"id": longText(limits.IDBytes + 1)},
	} {
		for _, skips := range []bool{false, true} {
			src := payments()
			src.SkipBadRows = skips
			in := newSource(t, src)
			b := vector.NewBatch(in.Fields(), 1)
			now := plan.TimestampValue(tm("2025-01-01T00:00:00Z"))
			for c, f := range b.Fields {
				v, ok := tc[f.Name]
				if !ok && (f.Name == "ts" || f.Name == "seen") {
					v = now
				} else if !ok && f.Name == "id" {
					v = plan.StringValue("a")
				}
				b.Cols[c].Set(0, v)
			}
			if bad := in.CheckPushed(b); len(bad) != 1 {
				t.Errorf("%v, skip %v: the check finds %v", tc, skips, bad)
			}
		}
	}
}
