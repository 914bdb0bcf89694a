package plan

import (
	"strings"
	"testing"
)

func keySource() *Source {
	delay := &Known{Kind: KnownDelay, Delay: Hour}
	return &Source{Name: "s", Columns: []SourceColumn{
		{Field: Field{"a", T(Double)}}, {Field: Field{"b", T(Double)}, Known: delay},
	}}
}

func keyColumn(name string) *Expr { return &Expr{Kind: Column, Type: T(Double), Name: name} }

func TestSlotKey(t *testing.T) {
	src := keySource()
	base := Slot{Func: Sum, Arg: keyColumn("a"), Type: T(Double)}
	elsewhere := base
	elsewhere.Arg = &Expr{Kind: Column, Type: T(Double), Name: "a", Pos: Pos{"x.yaml", 3, 4}}
	if SlotKey(src, &base) != SlotKey(src, &elsewhere) {
		t.Error("the key depends on the position of an expression")
	}
	for name, change := range map[string]func(*Slot){
		"function": func(s *Slot) { s.Func = Mean },
		"argument": func(s *Slot) { s.Arg = keyColumn("b") },
		"by":       func(s *Slot) { s.By = keyColumn("a") },
		"group":    func(s *Slot) { s.Group = keyColumn("a") },
		"filter":   func(s *Slot) { s.Filter = keyColumn("a") },
		"n":        func(s *Slot) { s.N = 1 },
		"quantile": func(s *Slot) { s.Quantile = 0.5 },
		"type":     func(s *Slot) { s.Type = OptionalOf(T(Double)) },
	} {
		other := base
		change(&other)
		if SlotKey(src, &base) == SlotKey(src, &other) {
			t.Errorf("another %s has the same key", name)
		}
	}
}

func TestSlotKey_KnownTimeOfAColumn(t *testing.T) {
	slot := Slot{Func: Sum, Arg: keyColumn("b"), Type: T(Double)}
	later := keySource()
	later.Columns[1].Known = &Known{Kind: KnownDelay, Delay: Day}
	if SlotKey(keySource(), &slot) == SlotKey(later, &slot) {
		t.Error("another known time has the same key")
	}
}

func TestPrint(t *testing.T) {
	src := keySource()
	entity := &Entity{Name: "user", Keys: []Field{{"id", T(Int)}}}
	zero := DoubleValue(0)
	v := &View{Name: "v", Entity: entity, Source: src, KeyColumns: []string{"id"},
		Slots:      []Slot{{Func: Sum, Arg: keyColumn("a"), Type: T(Double)}},
		Aggregates: []WindowedAggregate{{0, Window{7 * Day, Hour}}},
	}
	leaf := &Expr{Kind: Aggregate, Type: T(Double)}
	v.Features = []*Feature{{Name: "f", Type: T(Double), Default: &zero, OnErrorDefault: true,
		Expr: &Expr{Kind: Call, Name: "_/_", Type: T(Double), Args: []*Expr{leaf, {Kind: Literal, Lit: DoubleValue(2), Type: T(Double)}}}}}
	var b strings.Builder
	if err := Print(&b, &Plan{Project: "p", Entities: []*Entity{entity}, Sources: []*Source{src}, Views: []*View{v}}); err != nil {
		t.Fatal(err)
	}
	want := `project p
entity user(id int)
source s: event time , known at once
  a double
  b double, known after 1h
view v of user from s [000000000000]
  slot 0: sum(a) double
  @0: slot 0 over 7d/1h
  f double = (@0 / 2.0), default 0.0 on errors too [000000000000]
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
