package explain_test

import (
	"context"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/vector"
)

const definitions = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
from: payments.csv
stream: true
event_time: ts
event_id: id
columns:
  id: {type: string}
  ts: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  country: {type: string}
  refunded: {type: bool, outcome: true, known_at: {delay: 1m}}
---
kind: FeatureView
name: spend
entity: user
source: payments
features:
  n: count("1h")
  refunds: count("1h").where(refunded)
  foreign: sum(amount, "1h").where(country != "DE")
  share: "n == 0 ? 0.0 : foreign / double(n)"
`

const hour = plan.EventTime(plan.Hour)

// payments are five events of user 1 and one of user 2: before the window of the hour before 10:00, three in it, and one after.
func payments(t *testing.T) (*plan.View, *kernel.Events) {
	t.Helper()
	p := defstest.Compile(t, definitions)
	v := p.Views[0]
	ts := []plan.EventTime{8 * hour, 9*hour + 1, 9*hour + 2, 9*hour + 3, 10 * hour, 9*hour + 4}
	ev := &kernel.Events{
		Time: ts, ID: []string{"early", "home", "away", "none", "future", "other"},
		Batch: &vector.Batch{N: len(ts)},
	}
	for _, c := range []struct {
		name   string
		kind   plan.Kind
		values []plan.Value
	}{
		{"user_id", plan.Int, []plan.Value{plan.IntValue(1), plan.IntValue(1), plan.IntValue(1), plan.IntValue(1), plan.IntValue(1), plan.IntValue(2)}},
		{"amount", plan.Double, []plan.Value{plan.DoubleValue(1), plan.DoubleValue(2), plan.DoubleValue(4), plan.NullValue(), plan.DoubleValue(16), plan.DoubleValue(32)}},
		{"country", plan.String, []plan.Value{plan.StringValue("FR"), plan.StringValue("DE"), plan.StringValue("FR"), plan.StringValue("FR"), plan.StringValue("FR"), plan.StringValue("FR")}},
	} {
		f := plan.Field{Name: c.name, Type: plan.Type{Kind: c.kind}}
		ev.Batch.Fields = append(ev.Batch.Fields, f)
		ev.Batch.Cols = append(ev.Batch.Cols, vector.Of(f.Type, c.values...))
	}
	ev.ColumnKnown = map[string][]plan.EventTime{"refunded": make([]plan.EventTime, len(ts))}
	refunded := make([]plan.Value, len(ts))
	for i := range ts {
		ev.ColumnKnown["refunded"][i], refunded[i] = ts[i]+plan.EventTime(plan.Minute), plan.BoolValue(true)
	}
	ev.ColumnKnown["refunded"][2] = 10 * hour // away, as of which it is not known yet
	f := plan.Field{Name: "refunded", Type: plan.Type{Kind: plan.Bool}}
	ev.Batch.Fields = append(ev.Batch.Fields, f)
	ev.Batch.Cols = append(ev.Batch.Cols, vector.Of(f.Type, refunded...))
	return v, ev
}

// A late column is known later than its event.
func TestLateColumnsHaveTimes(t *testing.T) {
	v, ev := payments(t)
	e, err := explain.Run(t.Context(), explain.Config{
		View: v, Feature: 1, Key: []plan.Value{plan.IntValue(1)}, At: 10 * hour, Events: 10,
		History: func(_ context.Context, _ []*plan.View, _ recompute.Range, _ int, f func(int, *kernel.Events) error) error {
			return f(0, ev)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.Training.Value != "2" || e.Parts[0].Used != 2 || e.Parts[0].LeftOut[explain.NotKnown] != 1 {
		t.Errorf("the explanation is %+v", e)
	}
	for _, x := range e.Events {
		if p := x.Parts[0]; (p.LeftOut == explain.NotKnown) != (x.ID == "away") || x.ID == "away" && p.Known != (10*hour).String() {
			t.Errorf("%s is %+v", x.ID, p)
		}
	}
}

func TestEventsHaveReasons(t *testing.T) {
	v, ev := payments(t)
	e, err := explain.Run(t.Context(), explain.Config{
		View: v, Feature: 3, Key: []plan.Value{plan.IntValue(1)}, At: 10 * hour, Events: 10,
		History: func(_ context.Context, _ []*plan.View, _ recompute.Range, _ int, f func(int, *kernel.Events) error) error {
			return f(0, ev)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.Training.Value != "1.3333333333333333" || len(e.Parts) != 2 || e.Total != 5 || !strings.Contains(e.Expr, "foreign") {
		t.Errorf("the explanation is %+v", e)
	}
	got := map[string][2]explain.Reason{}
	for _, x := range e.Events {
		got[x.ID] = [2]explain.Reason{x.Parts[0].LeftOut, x.Parts[1].LeftOut}
	}
	for id, want := range map[string][2]explain.Reason{
		"early": {explain.Before, explain.Before}, "home": {explain.Used, explain.Where}, "away": {explain.Used, explain.Used},
		"none": {explain.Used, explain.NoValue}, "future": {explain.After, explain.After},
	} {
		if got[id] != want {
			t.Errorf("%s is %q, want %q", id, got[id], want)
		}
	}
	if e.Parts[0].Used != 3 || e.Parts[1].Used != 1 || e.Parts[1].LeftOut[explain.NoValue] != 1 {
		t.Errorf("the parts are %+v", e.Parts)
	}
}

// Serving has not applied one event, and has one that training does not have.
func TestSidesAreMarked(t *testing.T) {
	v, all := payments(t)
	part := func(rows ...int) *kernel.Events {
		ev := &kernel.Events{Batch: &vector.Batch{N: len(rows), Fields: all.Batch.Fields}}
		for _, i := range rows {
			ev.Time, ev.ID = append(ev.Time, all.Time[i]), append(ev.ID, all.ID[i])
		}
		ev.ColumnKnown = map[string][]plan.EventTime{"refunded": {}}
		for _, i := range rows {
			ev.ColumnKnown["refunded"] = append(ev.ColumnKnown["refunded"], all.ColumnKnown["refunded"][i])
		}
		for _, c := range all.Batch.Cols {
			var values []plan.Value
			for _, i := range rows {
				values = append(values, c.Value(i))
			}
			ev.Batch.Cols = append(ev.Batch.Cols, vector.Of(c.Type, values...))
		}
		return ev
	}
	recorded := recompute.NewCell(plan.IntValue(2), "PRESENT")
	e, err := explain.Run(t.Context(), explain.Config{
		View: v, Feature: 0, Key: []plan.Value{plan.IntValue(1)}, At: 10 * hour, Events: 10, Ends: logpos.Vector{9},
		Serving: &explain.Serving{Range: recompute.Range{To: plan.Never, Until: logpos.Vector{3}}, Recorded: &recorded},
		History: func(_ context.Context, _ []*plan.View, r recompute.Range, _ int, f func(int, *kernel.Events) error) error {
			if r.Until.At(0) == 3 {
				return f(0, part(0, 1, 3))
			}
			return f(0, part(0, 1, 2))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.Training.Value != "2" || e.Replayed == nil || e.Replayed.Value != "2" || *e.Served != recorded {
		t.Errorf("the values are %v, %v and %v", e.Training, e.Replayed, e.Served)
	}
	sides := map[string]explain.Side{}
	for _, x := range e.Events {
		sides[x.ID] = x.Side
	}
	if sides["away"] != explain.TrainingOnly || sides["none"] != explain.ServingOnly || sides["home"] != explain.Both || sides["early"] != explain.Both {
		t.Errorf("the sides are %q", sides)
	}
}
