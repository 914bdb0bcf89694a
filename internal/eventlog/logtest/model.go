package logtest

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/eventlog"
)

// model is what a shard should be: its records, and what it knows of every id.
type model struct {
	records []string
	ids     map[string]modelID
}

type modelID struct {
	body     string
	fields   map[string]string
	position eventlog.Position
}

// given is the fields of a delivery.
func given(e eventlog.Entry) map[string]string {
	m := map[string]string{}
	if e.Late != nil {
		for _, f := range e.Late.Fields {
			m[f.Name] = string(f.Value)
		}
	}
	return m
}

func body(e eventlog.Entry) string {
	if e.Body == nil {
		return string(e.Payload)
	}
	return string(e.Body)
}

func (m *model) append(e eventlog.Entry) eventlog.Result {
	p := eventlog.Position(len(m.records) + 1)
	prior, ok := m.ids[e.ID]
	if !ok || e.ID == "" {
		m.records = append(m.records, e.ID+"="+string(e.Payload))
		m.ids[e.ID] = modelID{body(e), given(e), p}
		return eventlog.Result{Outcome: eventlog.Appended, Position: p}
	}
	missing, same := 0, prior.body == body(e)
	for name, value := range given(e) {
		has, filled := prior.fields[name]
		if !filled {
			missing++
		}
		same = same && (!filled || has == value)
	}
	switch {
	case !same:
		return eventlog.Result{Outcome: eventlog.Conflict, Position: prior.position}
	case missing == 0:
		return eventlog.Result{Outcome: eventlog.Duplicate, Position: prior.position}
	}
	maps.Copy(prior.fields, given(e))
	m.records = append(m.records, e.ID+"="+string(e.Payload))
	return eventlog.Result{Outcome: eventlog.Filled, Position: p}
}

func (m *model) register(e eventlog.Entry) {
	prior, ok := m.ids[e.ID]
	switch {
	case !ok:
		m.ids[e.ID] = modelID{body(e), given(e), 0}
	case prior.body == body(e):
		for name, value := range given(e) {
			if _, filled := prior.fields[name]; !filled {
				prior.fields[name] = value
			}
		}
	case e.Late != nil && prior.position > 0: // history knew it at time 0
		m.ids[e.ID] = modelID{body(e), given(e), 0}
	}
}

// entries draws from few ids, bodies and fields, so that they meet often.
func entries() *rapid.Generator[[]eventlog.Entry] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) eventlog.Entry {
		id := rapid.SampledFrom([]string{"", "a", "b", "b\x00", "\x00", "c", "d"}).Draw(t, "id")
		body := rapid.SampledFrom([]string{"", "x", "x", "x", "y"}).Draw(t, "body")
		if id == "" || id == "a" {
			return entry(id, body)
		}
		var fields []string
		for _, name := range []string{"f", "g", "h"} {
			if v := rapid.IntRange(0, 3).Draw(t, name); v > 1 {
				fields = append(fields, fmt.Sprintf("%s=%d", name, max(v, 2)/3))
			}
		}
		return late(id, body, strings.Join(fields, " "))
	}), 0, 6)
}

// testModel makes random calls and compares every answer with the model's.
func testModel(t *testing.T, s Storage) {
	l := open(t, s)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		shard := fmt.Sprintf("model %d", run)
		m := &model{ids: map[string]modelID{}}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { checkAppend(t, l, shard, m, entries().Draw(t, "entries")) },
			"register": func(t *rapid.T) {
				es := entries().Draw(t, "entries")
				register(t, l, shard, es...)
				for _, e := range es {
					m.register(e)
				}
			},
			"read": func(t *rapid.T) {
				after := rapid.IntRange(0, len(m.records)+1).Draw(t, "after")
				limit := rapid.IntRange(0, len(m.records)+1).Draw(t, "limit")
				from := min(after, len(m.records))
				wantRecords(t, read(t, l, shard, eventlog.Position(after), limit), m.records[from:min(from+limit, len(m.records))]...)
			},
		})
		wantRecords(t, readAll(t, l, shard), m.records...)
	})
}

func checkAppend(t *rapid.T, l eventlog.Log, shard string, m *model, es []eventlog.Entry) {
	got, err := l.Append(context.Background(), shard, es)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	for i, e := range es {
		if want := m.append(e); got[i] != want {
			t.Fatalf("entry %d (%q=%q): %+v, want %+v", i, e.ID, e.Payload, got[i], want)
		}
	}
}
