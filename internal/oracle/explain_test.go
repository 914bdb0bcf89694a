package oracle_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
	"github.com/unskew/unskew/internal/recompute"
)

// An explanation has the value of the oracle, and the events that it says are used give that value by themselves.
func TestExplanationsNameTheEventsThatCount(t *testing.T) { check(t, explanationsHold) }

func explanationsHold(s *scenario) {
	r := s.reads[0]
	if s.plan.Source.EventID == "" || slices.ContainsFunc(r.Key, plan.Value.IsNull) {
		return // events cannot be told apart, or there is no entity
	}
	batches := s.batches()
	feature := rapid.IntRange(0, len(s.plan.Features)-1).Draw(s.t, "feature")
	e, err := explain.Run(context.Background(), explain.Config{
		View: s.plan, Feature: feature, Key: r.Key, At: r.At, Events: len(s.events),
		History: func(_ context.Context, _ []*plan.View, _ recompute.Range, _ int, f func(int, *kernel.Events) error) error {
			for _, b := range batches {
				if err := f(0, batchOf(s.plan, b)); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	want := s.expect(s.events, r)[feature]
	if want.Exact && (e.Training.Value != want.Value.String() || e.Training.Status != string(want.Status)) {
		s.t.Fatalf("%s is explained as %v %s, the oracle has %v %s", want.Name, e.Training.Value, e.Training.Status, want.Value, want.Status)
	}
	if x := s.plan.Features[feature].Expr; x.Kind == plan.Aggregate {
		if slot := s.plan.Slots[s.plan.Aggregates[x.Index].Slot]; slot.Func == plan.Count && slot.Group == nil && e.Training.Status != "ERROR" && e.Training.Value != fmt.Sprint(e.Parts[0].Used) {
			s.t.Fatalf("%s is %v, and %d events are said to be used", want.Name, e.Training.Value, e.Parts[0].Used)
		}
	}
	used := map[string]bool{}
	for _, ev := range e.Events {
		if slices.ContainsFunc(ev.Parts, func(p explain.InPart) bool { return p.LeftOut == explain.Used }) {
			used[ev.ID] = true
		}
	}
	alone := slices.DeleteFunc(slices.Clone(s.events), func(ev oracle.Event) bool { return !used[ev.ID] })
	got := s.expect(alone, r)[feature]
	known := func(st oracle.Status) oracle.Status {
		if st == oracle.UnknownEntity {
			return oracle.Empty // nobody knows the entity without the events that are left out
		}
		return st
	}
	if want.Exact && (!got.Value.Equal(want.Value) || known(got.Status) != known(want.Status)) {
		s.t.Fatalf("%s is %v %s; over the events that are said to be used alone, %v, it is %v %s", want.Name, want.Value, want.Status, used, got.Value, got.Status)
	}
}
