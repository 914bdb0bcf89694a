package kernel_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/vector"
)

// lossy is a view whose features handle absence and failure in every way that there is.
const lossy = `  n: count("7d")
  twice: n * 2
  safe: {expr: sum(qty), default: 7, on_error: default}
  filled: {expr: max(qty), default: 3}
  constant: {expr: "2 + 2"}
`

func lossyView(t *testing.T) *kernel.View {
	return compiled(t, strings.Replace(spending, "  n: count(\"7d\")\n", lossy, 1))
}

// checkLost reads a damaged or lost state beside a good one, and none.
func checkLost(t *testing.T, k *kernel.View, lost, whole []byte, why string) {
	t.Helper()
	at := plan.EventTime(30 * plan.Day)
	f := k.ReadStored([][]byte{lost, whole, nil}, at)
	if !f.Lost.Get(0) || f.Lost.Get(1) || f.Lost.Get(2) || !f.Known.Get(0) {
		t.Fatalf("lost rows %v, known rows %v", f.Lost, f.Known)
	}
	for c, feature := range k.Plan().Features {
		col := f.Cols[c]
		if feature.Name == "constant" {
			if col.Status[0] != kernel.Present {
				t.Errorf("%s, which reads no state, is %v", feature.Name, col.Status[0])
			}
			continue
		}
		if col.Status[0] != kernel.Lost || !col.Vec.IsErr(0) || col.Status[1] == kernel.Lost || col.Status[2] == kernel.Lost {
			t.Errorf("%s: %v", feature.Name, col.Status)
		}
		if text := f.ErrorText(c, 0); !strings.Contains(text, "the entity's state is lost: ") || !strings.Contains(text, why) {
			t.Errorf("%s: %q", feature.Name, text)
		}
	}
}

// A record of a lost state gives no value, whatever a feature says of absence and errors. [o10]
func TestO10_LostStatesHaveNoValues(t *testing.T) {
	k := lossyView(t)
	s := k.NewState()
	apply(k, s, payments(k, 12, 1), plan.EventTime(30*plan.Day))
	s.SetApplied(logpos.One(0, 41))
	whole := s.Append(nil)
	record := kernel.AppendLost([]byte("before")[:0], k.Plan().Fingerprint, 1<<63+5, "gone")
	checkLost(t, k, record, whole, "gone")
	if err := s.Decode(record); err != nil || !s.Lost() || s.Aside() != "gone" || s.Applied().Sum() != 0 || s.Newest() != plan.Always {
		t.Fatalf("%v: %v, %q, %v, %v", err, s.Lost(), s.Aside(), s.Applied(), s.Newest())
	}
	if err := s.Decode(whole); err != nil || s.Lost() || !bytes.Equal(s.Append(nil), whole) {
		t.Errorf("decoding a state over a lost one: %v", err)
	}
	for n := range record {
		if err := k.NewState().Decode(record[:n]); err == nil {
			t.Errorf("a record cut to %d of %d bytes decodes", n, len(record))
		}
	}
	f := k.ReadStored([][]byte{whole}, plan.EventTime(30*plan.Day))
	if f.Lost != nil || f.Cols[0].Status[0] != kernel.Present {
		t.Error("the loss of the previous read is still there")
	}
}

// Whatever bit of a stored state flips, and wherever it is cut, the entity is lost and nothing else changes: not the
// values of others in the read, nor the time that is read as of. [o10]
func TestO10_DamagedStatesAreLost(t *testing.T) {
	k := lossyView(t)
	s := k.NewState()
	apply(k, s, payments(k, 12, 1), plan.EventTime(30*plan.Day))
	s.SetApplied(logpos.One(0, 41))
	whole := s.Append(nil)
	damaged := func(b []byte) {
		t.Helper()
		err := k.NewState().Decode(b)
		if err == nil {
			t.Fatal("damaged bytes decode")
		}
		if !errors.Is(err, kernel.ErrDamaged) {
			t.Fatalf("%v is not ErrDamaged", err)
		}
		checkLost(t, k, b, whole, "")
		if newest := k.NewestOf(b, plan.Always); newest != plan.Always {
			t.Fatalf("newest time %v", newest)
		}
	}
	for bit := range 8 * len(whole) {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		damaged(b)
	}
	for n := range whole {
		damaged(whole[:n])
	}
}

// A derived feature is lost if it fails and reads a view whose state is lost.
func TestO10_DerivedFeaturesAreLost(t *testing.T) {
	k := lossyView(t)
	p := &plan.Service{Name: "s", Views: []plan.ViewRef{{As: "v", View: k.Plan()}}, Features: []plan.ServiceFeature{{Ref: 0, Feature: 0}}}
	ref := &plan.Expr{Kind: plan.FeatureRef, Index: 0, Type: k.Plan().Features[0].RefType()}
	p.Derived, p.Order = []*plan.Feature{{Name: "d", Type: ref.Type, Expr: ref}}, []int{0}
	svc, err := kernel.NewService(p)
	if err != nil {
		t.Fatal(err)
	}
	at := plan.EventTime(30 * plan.Day)
	f := k.ReadStored([][]byte{nil, kernel.AppendLost(nil, k.Plan().Fingerprint, 1<<63, "gone")}, at)
	got := svc.DeriveShared([]*kernel.Features{f}, [][]int32{{1, 0, 1}}, &vector.Batch{N: 3}, []plan.EventTime{at, at, at})
	if s := got.Cols[0].Status; s[0] != kernel.Lost || s[1] != kernel.Present || s[2] != kernel.Lost {
		t.Errorf("statuses %v", s)
	}
}
