package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

const failing = `kind: Entity
name: who
keys: [{name: who, type: string}]
---
kind: Source
name: payments
stream: true
event_time: ts
event_id: id
columns:
  who: {type: string}
  ts: {type: timestamp}
  id: {type: string}
  qty: {type: int}
  code: {type: string}
---
kind: FeatureView
name: v
entity: who
source: payments
features:
  codes: sum(int(code)) + count().where(100 / qty > 3)
  again: codes + 1
  mine: 'count({"x": 1}[who])'
  total: sum(qty)
  more: total + 1
  share: 10 / count("1h/exact")
  twice: share * 2
  groups: count().by(string(ts))
  kept: {expr: 1 / count("1h/exact"), default: 7, on_error: default}
`

// compiled compiles definitions with one view.
func compiled(t testing.TB, text string) *kernel.View {
	t.Helper()
	k, err := kernel.NewView(defstest.Compile(t, text).Views[0])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type payment struct {
	ts   plan.EventTime
	id   string
	qty  int64
	code string
}

func paymentBatch(src *plan.Source, list []payment) *kernel.Events {
	var fields []plan.Field
	for _, c := range src.Columns {
		fields = append(fields, c.Field)
	}
	ev := &kernel.Events{Batch: vector.NewBatch(fields, len(list))}
	for i, p := range list {
		ev.Time, ev.ID = append(ev.Time, p.ts), append(ev.ID, p.id)
		for c, v := range []plan.Value{plan.StringValue("secret"), plan.TimestampValue(p.ts), plan.StringValue(p.id), plan.IntValue(p.qty), plan.StringValue(p.code)} {
			ev.Batch.Cols[c].Set(i, v)
		}
	}
	return ev
}

func swept(t testing.TB, k *kernel.View, at plan.EventTime, batches ...[]payment) *kernel.Whole {
	t.Helper()
	r := whole(t, k, at)
	for _, b := range batches {
		if err := r.Add(paymentBatch(k.Plan().Source, b)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// whole is a replay of a view as of one time of the entity "secret".
func whole(t testing.TB, k *kernel.View, at plan.EventTime) *kernel.Whole {
	t.Helper()
	r, err := kernel.NewWhole(k.Plan(), []*vector.Vector{vector.Of(plan.T(plan.String), plan.StringValue("secret"))}, []plan.EventTime{at}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func texts(first []kernel.Failure) string {
	var out []string
	for _, f := range first {
		out = append(out, fmt.Sprintf("%d %s %s", f.Time, f.ID, f.Text))
	}
	return strings.Join(out, "; ")
}

// The kept reasons are the first by time and id, for any order and batching of events, and
// contain no key.
func TestFirstFailures(t *testing.T) {
	k := compiled(t, failing)
	events := []payment{
		{9, "z", 1, "late"}, {8, "y", 1, "7"}, {5, "c", 0, "12"}, {5, "b", 1, "x\n"}, {5, "a", 2, "3"}, {3, "d", 0, "y"}, {6, "e", 0, "1"},
	}
	const (
		codes = "3 d division by zero; 3 d type conversion error from 'string' to 'int'; 5 b type conversion error from 'string' to 'int'"
		mine  = "3 d no such key: …; 5 a no such key: …; 5 b no such key: …"
	)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		batches := slices.Collect(slices.Chunk(events, 1+random.IntN(len(events))))
		r := swept(t, k, 10, batches...)
		for i, want := range map[int]struct {
			n     int
			first string
		}{0: {6, codes}, 1: {6, codes}, 2: {7, mine}, 3: {0, ""}} {
			if n, first := r.LeftOut(i); n != want.n || texts(first) != want.first {
				t.Fatalf("seed %d: feature %d left out %d events, first\n%s\nwant %d\n%s", seed, i, n, texts(first), want.n, want.first)
			}
		}
	}
}

// ErrorText says why an outer expression failed, also if the cause is an aggregate or a
// feature that it reads.
func TestErrorTexts(t *testing.T) {
	k := compiled(t, failing)
	events := []payment{{1, "a", math.MaxInt64, "1"}, {2, "b", math.MaxInt64, "1"}}
	for i := range 1001 {
		events = append(events, payment{plan.EventTime(3 + i), fmt.Sprint(i), 0, "1"})
	}
	err := swept(t, k, plan.EventTime(3*plan.Hour), events).Results(func(_ int, f *kernel.Features) error {
		for c, want := range map[int]string{
			3: "sum(…) overflows", 4: "sum(…) overflows", 5: "division by zero", 6: "division by zero", 8: "division by zero",
			7: "count(…).by(…) has more than 1000 keys",
		} {
			if col := f.Cols[c]; col.Errors != 1 || col.Status[0] != kernel.Failed || f.ErrorText(c, 0) != want {
				t.Errorf("feature %d: %d errors, %v, %q, want %q", c, col.Errors, col.Status[0], f.ErrorText(c, 0), want)
			}
		}
		if f.Cols[0].Errors != 0 {
			t.Errorf("%d errors, want none", f.Cols[0].Errors)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two events of one time, without ids, whose failing expressions differ but read the same
// bytes are two failures, in any order.
func TestFailuresOfDifferentExpressions(t *testing.T) {
	k := compiled(t, strings.Replace(failing, "  codes: ", `  apart: 'count({"a": 1}[who]).where(int(code) > 0)'`+"\n  codes: ", 1))
	batches := [][]payment{{{5, "", 1, "secret"}}, {{5, "", 1, "1"}}}
	want := "5  type conversion error from 'string' to 'int'; 5  no such key: …"
	for range 2 {
		if n, first := swept(t, k, 10, batches...).LeftOut(0); n != 2 || texts(first) != want {
			t.Errorf("%d failures: %s; want %s", n, texts(first), want)
		}
		slices.Reverse(batches)
	}
}

func TestShownError(t *testing.T) {
	long := strings.Repeat("ä", 150)
	for _, c := range []struct {
		text string
		want string
	}{
		{"no such key: 42", "no such key: …"},
		{"no such key: two\nlines", "no such key: …"},
		{`invalid RFC 3339 timestamp "CORP\\ali\"ce" here`, "invalid RFC 3339 timestamp … here"},
		{`parsing "cut off` + long, "parsing …"},
		{"a\nb\x1b[1m", "a b [1m"},
		{"x" + long, "x" + strings.Repeat("ä", 99) + "…"},
		{"", "failed here, but not in cel-go; please report this"},
	} {
		if got := kernel.ShownError(c.text); got != c.want {
			t.Errorf("%q is shown as %q, want %q", c.text, got, c.want)
		}
	}
}

const outcomes = `kind: Entity
name: who
keys: [{name: who, type: string}]
---
kind: Source
name: payments
stream: true
event_time: ts
columns:
  who: {type: string}
  ts: {type: timestamp}
  qty: {type: int}
  paid: {type: bool, outcome: true, known_at: paid_at}
  paid_at: {type: timestamp}
---
kind: FeatureView
name: v
entity: who
source: payments
features:
  bare: count().where(paid)
  both: sum(qty).where(paid && qty > 0)
  each: count().by(string(paid))
`

// A row is visible at its time or at its known time, whichever is later.
func TestVisibleTimes(t *testing.T) {
	k := compiled(t, failing)
	var fields []plan.Field
	for _, c := range k.Plan().Source.Columns {
		fields = append(fields, c.Field)
	}
	ev := &kernel.Events{Batch: vector.NewBatch(fields, 2), Time: []plan.EventTime{10, 10}, Known: []plan.EventTime{5, 20}}
	if got, want := k.Eval(ev).Visible, []plan.EventTime{10, 20}; !slices.Equal(got, want) {
		t.Errorf("visible at %v, want %v", got, want)
	}
}

// A row with a late column that is not known yet does not fail. One with a column that is
// known and null does, and the reason names the column.
func TestWhatIsNotKnownHasNotFailed(t *testing.T) {
	k := compiled(t, outcomes)
	var fields []plan.Field
	for _, c := range k.Plan().Source.Columns {
		fields = append(fields, c.Field)
	}
	ev := &kernel.Events{Batch: vector.NewBatch(fields, 2), Time: []plan.EventTime{1, 2}, ColumnKnown: map[string][]plan.EventTime{"paid": {plan.Never, 2}}}
	for i := range 2 {
		ev.Batch.Col("who").Set(i, plan.StringValue("a"))
		ev.Batch.Col("qty").Set(i, plan.IntValue(1))
		ev.Batch.Col("paid").Set(i, plan.NullValue())
	}
	r := whole(t, k, 5)
	if err := r.Add(ev); err != nil {
		t.Fatal(err)
	}
	if n, first := r.LeftOut(0); n != 0 {
		t.Errorf("a filter that is null: %d failures, %s", n, texts(first))
	}
	const want = "2  paid null here: no such overload"
	for _, i := range []int{1, 2} {
		if n, first := r.LeftOut(i); n != 1 || !strings.HasPrefix(texts(first), want) {
			t.Errorf("feature %d: %d failures, %s; want 1, %s", i, n, texts(first), want)
		}
	}
}
