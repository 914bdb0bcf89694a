package logtest

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/internal/eventlog"
)

// model is what a shard should be: its records, and the payload and position of every id.
type model struct {
	records []string
	ids     map[string]modelID
}

type modelID struct {
	payload  string
	position eventlog.Position
}

func (m *model) append(e eventlog.Entry) eventlog.Result {
	if prior, ok := m.ids[e.ID]; ok && e.ID != "" {
		if prior.payload == string(e.Payload) {
			return eventlog.Result{Outcome: eventlog.Duplicate, Position: prior.position}
		}
		return eventlog.Result{Outcome: eventlog.Conflict, Position: prior.position}
	}
	m.records = append(m.records, e.ID+"="+string(e.Payload))
	p := eventlog.Position(len(m.records))
	m.ids[e.ID] = modelID{string(e.Payload), p}
	return eventlog.Result{Outcome: eventlog.Appended, Position: p}
}

func (m *model) register(e eventlog.Entry) {
	if _, ok := m.ids[e.ID]; !ok {
		m.ids[e.ID] = modelID{string(e.Payload), 0}
	}
}

// entries draws from few ids and payloads, so that both meet often.
func entries() *rapid.Generator[[]eventlog.Entry] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) eventlog.Entry {
		return entry(rapid.SampledFrom([]string{"", "a", "b", "b\x00", "\x00", "c", "d"}).Draw(t, "id"),
			rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "payload"))
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
