package kernel_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
)

// A state that is set aside has its position and the reason. Every aggregate read from it is an
// error that says so; other rows of the same read are not affected.
func TestStatesThatAreSetAside(t *testing.T) {
	k := compiled(t, strings.Replace(spending, "  n: count(\"7d\")\n", "  n: count(\"7d\")\n  twice: n * 2\n  safe: {expr: sum(qty), default: 7, on_error: default}\n", 1))
	s := k.NewState()
	apply(k, s, payments(k, 12, 1), plan.EventTime(30*plan.Day))
	s.SetApplied(logpos.One(0, 41))
	whole := s.Append(nil)
	s.SetAside("too large")
	b := s.Append(nil)
	if !s.Applied().Equal(logpos.One(0, 41)) || len(b) > len("too large")+header+10+checksum {
		t.Fatalf("positions %d, %d bytes", s.Applied(), len(b))
	}
	again := k.NewState()
	if err := again.Decode(b); err != nil || again.Aside() != "too large" || !again.Applied().Equal(logpos.One(0, 41)) || again.Newest() != plan.Always {
		t.Fatalf("%v: %q at %d", err, again.Aside(), again.Applied())
	}
	for n := range b {
		if err := k.NewState().Decode(b[:n]); err == nil {
			t.Errorf("a record cut to %d of %d bytes decodes", n, len(b))
		}
	}
	beside := k.NewState()
	if err := beside.Decode(whole); err != nil {
		t.Fatal(err)
	}
	at := plan.EventTime(30 * plan.Day)
	f := k.Read([]*kernel.State{again, beside, nil}, []plan.EventTime{at, at, at})
	for c, feature := range k.Plan().Features {
		col := f.Cols[c]
		if col.Status[0] != kernel.Failed || col.Status[1] == kernel.Failed || col.Status[2] == kernel.Failed {
			t.Errorf("%s: %v", feature.Name, col.Status)
		}
		if text := f.ErrorText(c, 0); !strings.Contains(text, "set aside: too large") {
			t.Errorf("%s: %q", feature.Name, text)
		}
		if feature.Name == "safe" && !col.Vec.Value(0).Equal(plan.IntValue(7)) {
			t.Errorf("the default of an error is %v", col.Vec.Value(0))
		}
	}
	stored := k.ReadStored([][]byte{b, whole, nil}, at)
	for c, feature := range k.Plan().Features {
		if status := stored.Cols[c].Status; status[0] != kernel.Failed || status[1] == kernel.Failed || status[2] == kernel.Failed {
			t.Errorf("%s, as stored: %v", feature.Name, status)
		}
		if text := stored.ErrorText(c, 0); !strings.Contains(text, "set aside: too large") {
			t.Errorf("%s, as stored: %q", feature.Name, text)
		}
	}
	// The state is reused for another entity.
	if err := again.Decode(whole); err != nil || again.Aside() != "" || !bytes.Equal(again.Append(nil), whole) {
		t.Errorf("decoding a state over one that was set aside: %v", err)
	}
	f = k.Read([]*kernel.State{again}, []plan.EventTime{at})
	if f.Cols[0].Status[0] == kernel.Failed {
		t.Error("the error of the previous read is still there")
	}
}
