package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/eventlog/pebble"
	"github.com/unskew/unskew/internal/ingest"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/materializer/online"
	"github.com/unskew/unskew/sdk"
)

// pushes is an ingester that records its input and returns the given answer.
type pushes struct {
	source string
	batch  *vector.Batch
	answer []ingest.Pushed
	err    error
}

func (p *pushes) Push(_ context.Context, source string, batch *vector.Batch) ([]ingest.Pushed, error) {
	p.source, p.batch = source, batch
	return p.answer, p.err
}

func TestPush(t *testing.T) {
	log := &pushes{answer: []ingest.Pushed{{Outcome: ingest.Appended, Position: 7}, {Outcome: ingest.Duplicate, Position: 3},
		{Outcome: ingest.Conflict, Position: 4, Message: "other amount"}, {Outcome: ingest.Rejected, Message: "too far ahead"}}}
	f := start(t, func(cfg *Config) { cfg.Ingester = log })
	at := time.Date(2025, 1, 1, 0, 0, 0, 1999, time.UTC)
	for name, opts := range protocolOptions {
		got, err := f.client(t, opts...).Push(t.Context(), "transactions",
			sdk.Times("ts", at, at, at, at), sdk.Strings("id", "a", "b", "c", "d"), sdk.Doubles("amount", 1, 2, 3, 4).Null(2))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := []sdk.Pushed{{Outcome: sdk.Appended, Position: 7}, {Outcome: sdk.Duplicate, Position: 3},
			{Outcome: sdk.Conflict, Position: 4, Message: "other amount"}, {Outcome: sdk.Rejected, Message: "too far ahead"}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v", name, got)
		}
		if s := fmt.Sprint(got[0].Outcome, got[3].Outcome); s != "APPENDED REJECTED" {
			t.Errorf("outcomes print as %s", s)
		}
		if log.source != "transactions" || log.batch.N != 4 {
			t.Fatalf("%s: source %s, %d rows", name, log.source, log.batch.N)
		}
		for i, c := range transactions.Columns {
			if log.batch.Fields[i] != c.Field || !log.batch.Cols[i].Type.Equal(c.Type) {
				t.Errorf("%s: column %d is %v", name, i, log.batch.Fields[i])
			}
		}
		row := func(i int) (out []string) {
			for _, c := range log.batch.Cols {
				out = append(out, c.Value(i).String())
			}
			return out
		}
		if got, want := strings.Join(row(2), " "), `"c" 2025-01-01T00:00:00.000001Z null null null null`; got != want {
			t.Errorf("%s: row 2 arrived as %s, want %s", name, got, want)
		}
		if got, want := strings.Join(row(3), " "), `"d" 2025-01-01T00:00:00.000001Z null null 4.0 null`; got != want {
			t.Errorf("%s: row 3 arrived as %s, want %s", name, got, want)
		}
	}
	if _, text := get(t, f.url+"/metrics"); !strings.Contains(text, `unskew_pushed_rows_total{outcome="CONFLICT",source="transactions"} 4`) {
		t.Error("the metrics do not count conflicts")
	}
}

func TestN5_PushRefusesMistakes(t *testing.T) {
	ts, id := sdk.Times("ts", noon.Time()), sdk.Strings("id", "a")
	for _, c := range []struct {
		name, source string
		cols         []sdk.Column
		code         connect.Code
		want         string
	}{
		{"source", "transaction", []sdk.Column{ts, id}, connect.CodeNotFound, `no source "transaction" (did you mean "transactions"?)`},
		{"not a stream", "labels", []sdk.Column{ts, id}, connect.CodeFailedPrecondition, "declare it with stream: true"},
		{"column", "transactions", []sdk.Column{ts, id, sdk.Doubles("amout", 1)}, connect.CodeInvalidArgument, `source transactions has no column "amout" (did you mean "amount"?)`},
		{"twice", "transactions", []sdk.Column{ts, id, id}, connect.CodeInvalidArgument, `column "id" is sent twice`},
		{"type", "transactions", []sdk.Column{ts, id, sdk.Ints("amount", 1)}, connect.CodeInvalidArgument, `source transactions: column "amount" is double and was sent as ints; send it as doubles`},
		{"no time", "transactions", []sdk.Column{id}, connect.CodeInvalidArgument, `column "ts" (timestamp) of source transactions is missing`},
		{"no id", "transactions", []sdk.Column{ts}, connect.CodeInvalidArgument, `column "id" (string) of source transactions is missing`},
		{"no columns", "transactions", nil, connect.CodeInvalidArgument, "columns: must contain at least 1 item"},
		{"no rows", "transactions", []sdk.Column{sdk.Times("ts"), sdk.Strings("id")}, connect.CodeInvalidArgument, "the request has no rows"},
		{"rows", "transactions", []sdk.Column{sdk.Times("ts", noon.Time(), noon.Time()), id}, connect.CodeInvalidArgument, `column "ts" has 2 rows and column "id" has 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &pushes{answer: make([]ingest.Pushed, 1)}
			f := start(t, func(cfg *Config) { cfg.Ingester = log })
			_, err := f.client(t).Push(t.Context(), c.source, c.cols...)
			if connect.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v\nwant %v with %q", err, c.code, c.want)
			}
			if log.batch != nil {
				t.Error("the rows reached the log")
			}
		})
	}
}

func TestPushErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		log  ingester
		code connect.Code
		want string
	}{
		{"no ingester", nil, connect.CodeFailedPrecondition, "this server accepts no events"},
		{"unknown outcome", &pushes{err: fmt.Errorf("append: %w", eventlog.ErrOutcomeUnknown)}, connect.CodeUnavailable, eventlog.ErrOutcomeUnknown.Error()},
		{"closed", &pushes{err: eventlog.ErrClosed}, connect.CodeUnavailable, "closed"},
		{"other", &pushes{err: errors.New("disk on fire")}, connect.CodeInternal, "internal error"},
		{"short answer", &pushes{}, connect.CodeInternal, "internal error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, func(cfg *Config) { cfg.Ingester = c.log })
			_, err := f.client(t).Push(t.Context(), "transactions", sdk.Times("ts", noon.Time()), sdk.Strings("id", "a"))
			if connect.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.want) || strings.Contains(fmt.Sprint(err), "disk") {
				t.Errorf("got %v, want %v with %q", err, c.code, c.want)
			}
		})
	}
}

// TestB1_B5_O5_PushedEventsAreServed covers the whole path: events pushed over every protocol
// are validated, logged, applied and read. A time in the wrong unit rejects only its own row,
// a redelivery counts once, and an event that the log stored at T is visible as of T plus one
// microsecond, not as of T.
func TestB1_B5_O5_PushedEventsAreServed(t *testing.T) {
	for name, opts := range protocolOptions {
		t.Run(name, func(t *testing.T) {
			clock := func() plan.EventTime { return noon }
			log, err := pebble.Open(t.TempDir(), pebble.Options{Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			}()
			p := project()
			ingester, err := online.NewIngester(p, log, clock)
			if err != nil {
				t.Fatal(err)
			}
			var reads atomic.Int64
			f := start(t, func(cfg *Config) {
				cfg.Ingester = ingester
				cfg.Clock = func() plan.EventTime { return noon + plan.EventTime(reads.Add(1)-1) }
			})
			f.store.reset()
			f.store.write(t, p)
			applier, err := online.New(online.Config{Plan: p, Log: log, Store: f.store, Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			at := noon.Time().Add(-time.Second)
			wrong := time.UnixMicro(at.UnixNano())
			c := f.client(t, opts...)
			pushed, err := c.Push(t.Context(), "transactions",
				sdk.Strings("id", "a", "b", "a", "a", "c"), sdk.Times("ts", at, wrong, at, at, at), sdk.Ints("user_id", 5, 5, 5, 5, 5),
				sdk.Strings("merchant", "shop", "shop", "shop", "shop", "shop"), sdk.Doubles("amount", 1.5, 2, 1.5, 9, math.Inf(1)))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]sdk.Outcome, len(pushed))
			for i, r := range pushed {
				got[i] = r.Outcome
			}
			if want := []sdk.Outcome{sdk.Appended, sdk.Rejected, sdk.Duplicate, sdk.Conflict, sdk.Appended}; !slices.Equal(got, want) {
				t.Fatalf("outcomes %+v, want %v", pushed, want)
			}
			if !strings.Contains(pushed[1].Message, "years 0001 to 9999") || pushed[4].Position != 2 {
				t.Errorf("rows %+v", pushed)
			}
			if err := applier.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			keys, request := row(5)
			for _, want := range []struct {
				txns  int64
				spend float64
			}{{0, 0}, {2, math.Inf(1)}} {
				rows, err := c.GetFeatures(t.Context(), "fraud_v1", keys, request, sdk.Only("user_spend.txns", "user_spend.spend"), sdk.WithStates())
				if err != nil {
					t.Fatal(err)
				}
				txns, spend := rows.Features()[0].Value(0), rows.Features()[1].Value(0)
				if txns != want.txns || spend != want.spend || rows.States[0].Positions[0] != 2 {
					t.Errorf("as of %v: txns %v, spend %v, states %+v", rows.AsOf, txns, spend, rows.States)
				}
			}
		})
	}
}

// TestB5_OtherTimesAreOfTheirType: a bad timestamp that is neither event time nor known time
// cannot be reported by row, so the call is refused.
func TestB5_OtherTimesAreOfTheirType(t *testing.T) {
	p := project()
	src := *p.Sources[0]
	src.Columns = append(slices.Clone(src.Columns), plan.SourceColumn{Field: plan.Field{Name: "opened", Type: timeType}},
		plan.SourceColumn{Field: plan.Field{Name: "paid", Type: stringType}, Known: &plan.Known{Kind: plan.KnownColumn, Column: "paid_at"}},
		plan.SourceColumn{Field: plan.Field{Name: "paid_at", Type: timeType}})
	p.Sources[0] = &src
	log := &pushes{answer: []ingest.Pushed{{Outcome: ingest.Appended, Position: 1}}}
	f := start(t, func(cfg *Config) { cfg.Ingester = log })
	if err := f.Promote(p); err != nil {
		t.Fatal(err)
	}
	late := time.UnixMicro(math.MaxInt64)
	ts, id := sdk.Times("ts", noon.Time()), sdk.Strings("id", "a")
	if _, err := f.client(t).Push(t.Context(), "transactions", ts, id, sdk.Times("opened", late)); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "send microseconds") {
		t.Error(err)
	}
	if _, err := f.client(t).Push(t.Context(), "transactions", ts, id, sdk.Times("paid_at", late)); err != nil {
		t.Error(err)
	}
}

// TestPushPlainJSON pushes as a user of curl would.
func TestPushPlainJSON(t *testing.T) {
	f := start(t, func(cfg *Config) {
		cfg.Ingester = &pushes{answer: []ingest.Pushed{{Outcome: ingest.Appended, Position: 1}}}
	})
	code, answer := post(t, f.url+"/unskew.v1.IngestService/Push",
		`{"source": "transactions", "columns": [{"name": "id", "strings": {"values": ["a"]}}, {"name": "ts", "timestamps": {"micros": ["1735732800000000"]}}]}`)
	if code != 200 || compact(answer) != `{"rows":[{"outcome":"OUTCOME_APPENDED","position":"1"}]}` {
		t.Errorf("%d %s", code, answer)
	}
}
