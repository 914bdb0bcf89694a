package kernel_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
)

// spending has an aggregate of every encoding, windows that share tiles, an unbounded window,
// and rows that are known later.
const spending = `kind: Entity
name: who
keys: [{name: id, type: int}]
---
kind: Source
name: payments
stream: true
event_time: ts
event_id: id
known_at: known
columns:
  who: {type: int}
  ts: {type: timestamp}
  id: {type: string}
  known: {type: timestamp}
  amount: {type: double}
  qty: {type: int}
  shop: {type: string}
  ok: {type: bool}
---
kind: FeatureView
name: spending
entity: who
source: payments
keys: {id: who}
features:
  n: count("7d")
  ever: count()
  short: count("1h/1m")
  total: sum(qty, "1d")
  exact: sum(amount)
  spread: var_pop(amount, "7d")
  most: max(amount, "1h/1m")
  last: latest(shop, "7d")
  pair: latest([shop, 'x'], "7d").orValue(['none'])
  some: latest_n(qty, 3, "1d")
  least: min_by(shop, amount, "7d")
  shops: distinct_count(shop, "1d")
  about: approx_distinct(shop)
  half: approx_quantile(amount, 0.5, "7d")
  top: top_k(shop, 2, "7d")
  good: all(ok, "1d")
  per: sum(qty, "7d").by(shop)
  spent: sum(amount, "1d")
  typical: mean(amount, "7d")
  fewest: min(qty, "1d")
  newest: latest_time("1d")
  wait: max(known - ts, "7d")
  large: sum(amount * 1e20, "7d")
`

func spendingView(t testing.TB) *kernel.View {
	t.Helper()
	return compiled(t, spending)
}

// payments are n events in the ten days after the epoch, some known later.
func payments(k *kernel.View, n int, seed uint64) *kernel.Events {
	src := k.Plan().Source
	fields := make([]plan.Field, len(src.Columns))
	for i, c := range src.Columns {
		fields[i] = c.Field
	}
	r := rand.New(rand.NewPCG(seed, 0))
	ev := &kernel.Events{Batch: vector.NewBatch(fields, n), ID: make([]string, n)}
	for i := range n {
		at := plan.EventTime(r.Int64N(int64(10 * plan.Day)))
		ev.Time = append(ev.Time, at)
		ev.Known = append(ev.Known, at+plan.EventTime(r.IntN(2))*plan.EventTime(plan.Day))
		ev.ID[i] = string(rune('a' + i))
		ev.Batch.Col("amount").Set(i, plan.DoubleValue(r.NormFloat64()))
		ev.Batch.Col("qty").Set(i, plan.IntValue(r.Int64N(20)-10))
		ev.Batch.Col("shop").Set(i, plan.StringValue([]string{"a", "b", "c\x00d"}[r.IntN(3)]))
		ev.Batch.Col("ok").Set(i, plan.BoolValue(r.IntN(3) > 0))
	}
	return ev
}

func apply(k *kernel.View, s *kernel.State, ev *kernel.Events, horizon plan.EventTime) {
	sel := make([]int32, ev.Batch.N)
	for i := range sel {
		sel[i] = int32(i)
	}
	s.Apply(k.Eval(ev), sel, horizon)
}

// The lengths of the parts of an encoding that a fuzzer does not change: revision, format and
// fingerprint; checksum.
const (
	header   = 8 + 1 + 16
	checksum = 4
)

// sealed is an encoding with the given body, whose header and checksum are right.
func sealed(k *kernel.View, body []byte) []byte {
	return sealedAs(k, k.NewState().Append(nil)[8], body)
}

// sealedAs is sealed for a given format.
func sealedAs(k *kernel.View, format byte, body []byte) []byte {
	b := append(k.NewState().Append(nil)[:header], body...)
	b[8] = format
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func FuzzStateDecode(f *testing.F) {
	k := spendingView(f)
	for n := range 12 {
		s := k.NewState()
		apply(k, s, payments(k, n, uint64(n)), plan.EventTime(5*plan.Day))
		b := s.Append(nil)
		f.Add(b[header : len(b)-checksum])
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkState(t, k, sealed(k, body)) })
}

// checkState decodes b. If b is refused, the state is empty afterwards; if it is accepted,
// Append writes b, and the state can be read and added to.
func checkState(t *testing.T, k *kernel.View, b []byte) {
	s := k.NewState()
	at := plan.EventTime(20 * plan.Day)
	if newest := k.NewestOf(b, plan.Always); newest.Valid() {
		at = max(newest, 0) + plan.EventTime(plan.Day)
	}
	values := rowTexts(k.ReadStored([][]byte{b}, at))
	if err := s.Decode(b); err != nil {
		// Load does not check what it does not need.
		if empty := k.NewState().Append(nil); !bytes.Equal(s.Append(nil), empty) {
			t.Fatalf("after %v the state is %x", err, s.Append(nil))
		}
		return
	}
	if got := s.Append(nil); !bytes.Equal(got, b) {
		t.Fatalf("accepted %x, writes %x", b, got)
	}
	if got := rowTexts(k.Read([]*kernel.State{s}, []plan.EventTime{at})); !slices.Equal(values, got) {
		t.Fatalf("read as it is stored: %v\ndecoded: %v\nof %x", values, got, b)
	}
	apply(k, s, payments(k, 3, 1), at)
	k.Read([]*kernel.State{s}, []plan.EventTime{max(at, s.Newest()+1)})
	if again := k.NewState(); again.Decode(s.Append(nil)) != nil {
		t.Fatal("a state does not decode what it wrote")
	}
}

// rowTexts are all values of the first row.
func rowTexts(f *kernel.Features) []string {
	out := make([]string, len(f.Cols))
	for i := range f.Cols {
		out[i] = cellText(&f.Cols[i])
	}
	return out
}

// TestStateDecode_RefusesImpossibleStates: an invalid newest time, and pending rows that are
// visible already, have an event time after their visible time, or have an invalid time.
func TestStateDecode_RefusesImpossibleStates(t *testing.T) {
	k := spendingView(t)
	empty := k.NewState().Append(nil)
	body := empty[header : len(empty)-checksum]
	_, n := binary.Varint(body)
	for _, newest := range []plan.EventTime{plan.Never, plan.Never - 1, plan.MaxTime + 1, plan.MinTime - 1} {
		b := append(binary.AppendVarint(nil, int64(newest)), body[n:]...)
		if err := k.NewState().Decode(sealed(k, b)); err == nil {
			t.Errorf("a state whose newest time is %d decodes", newest)
		}
	}
	pending := func(visible, at plan.EventTime, slot int64) []byte {
		b := append(bytes.Clone(body[:len(body)-1]), 1)
		for _, v := range []plan.Value{plan.TimestampValue(visible), plan.IntValue(slot), plan.TimestampValue(at), plan.StringValue(""), plan.NullValue(), plan.NullValue(), plan.NullValue()} {
			b = plan.AppendCanonical(b, v)
		}
		return sealed(k, b)
	}
	if err := k.NewState().Decode(pending(5, 5, 0)); err != nil {
		t.Errorf("a valid pending row: %v", err)
	}
	for what, b := range map[string][]byte{
		"is visible always":          pending(plan.Always, 5, 0),
		"is visible before the year": pending(plan.MinTime-1, 5, 0),
		"happens later":              pending(5, 6, 0),
		"never happens":              pending(5, plan.Never, 0),
		"counts and happens":         pending(5, 5, -1),
	} {
		if err := k.NewState().Decode(b); err == nil {
			t.Errorf("a state with a pending row that %s decodes", what)
		}
	}
}

// TestStateDecode_Refuses decodes truncated and damaged states.
func TestStateDecode_Refuses(t *testing.T) {
	k := spendingView(t)
	s := k.NewState()
	apply(k, s, payments(k, 5, 1), plan.EventTime(3*plan.Day))
	good := s.Append(nil)
	checkState(t, k, good)
	body := good[header : len(good)-checksum]
	for n := range body {
		if err := k.NewState().Decode(sealed(k, body[:n])); err == nil {
			t.Errorf("a state cut to %d of %d bytes decodes", n, len(body))
		}
		damaged := bytes.Clone(good)
		damaged[header+n] ^= 0x10
		if err := k.NewState().Decode(damaged); err == nil {
			t.Errorf("a state with byte %d damaged decodes", header+n)
		}
		checkState(t, k, sealed(k, damaged[header:len(good)-checksum]))
	}
	if err := k.NewState().Decode(sealed(k, append(bytes.Clone(body), 0))); err == nil {
		t.Error("a state with an extra byte decodes")
	}
}
