package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/kernel/vector"
	"github.com/unskew/unskew/sdk"
)

// pushes is an ingester that keeps what it gets and answers as told.
type pushes struct {
	source string
	batch  *vector.Batch
	answer []Pushed
	err    error
}

func (p *pushes) Push(_ context.Context, source string, batch *vector.Batch) ([]Pushed, error) {
	p.source, p.batch = source, batch
	return p.answer, p.err
}

func TestPush(t *testing.T) {
	log := &pushes{answer: []Pushed{{Outcome: Appended, Position: 7}, {Outcome: Duplicate, Position: 3},
		{Outcome: Conflict, Position: 4, Message: "other amount"}, {Outcome: Rejected, Message: "too far ahead"}}}
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
			log := &pushes{answer: make([]Pushed, 1)}
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
		{"no ingester", nil, connect.CodeFailedPrecondition, "this server takes no events"},
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

// TestB5_TimesInOtherUnits: nanoseconds sent as microseconds are refused, not stored
// in the year 50000.
func TestB5_TimesInOtherUnits(t *testing.T) {
	log := &pushes{answer: []Pushed{{Outcome: Appended, Position: 1}}}
	f := start(t, func(cfg *Config) { cfg.Ingester = log })
	body := `{"source": "transactions", "columns": [{"name": "id", "strings": {"values": ["a"]}}, {"name": "ts", "timestamps": {"micros": ["%d"]}}]}`
	if code, answer := post(t, f.url+"/unskew.v1.IngestService/Push", fmt.Sprintf(body, int64(noon)*1000)); code != 400 || !strings.Contains(answer, "send microseconds") {
		t.Errorf("%d %s", code, answer)
	}
	if code, answer := post(t, f.url+"/unskew.v1.IngestService/Push", fmt.Sprintf(body, int64(noon))); code != 200 || compact(answer) != `{"rows":[{"outcome":"OUTCOME_APPENDED","position":"1"}]}` {
		t.Errorf("%d %s", code, answer)
	}
	if got := log.batch.Col("ts").Value(0).Time(); got != plan.EventTime(noon) {
		t.Errorf("arrived as %v", got)
	}
}
