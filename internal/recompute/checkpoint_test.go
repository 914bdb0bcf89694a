package recompute_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/recompute"
)

// text is a report, but for the last bits of means, which depend on the order of adding.
func text(t *rapid.T, r *recompute.Report) string {
	for i := range r.Features {
		if d := r.Features[i].Distance; d != nil {
			d.Mean = float64(float32(d.Mean))
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A run that is interrupted, as often as may be, and goes on from its checkpoint finds what one does that is not; what was pushed
// meanwhile changes nothing. About other rows it does not go on.
func TestInterruptedRunsGoOn(t *testing.T) {
	any, dir := backendtest.Any(t), t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := &course{T: t}
		c.begin(any(t))
		defer c.site.end()
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			c.step()
		}
		s := c.site
		const memory = 200 << 10
		by := rapid.SampledFrom([]string{"", "user_id"}).Draw(t, "by")
		want := text(t, s.recompute(func(c *recompute.Config) { c.Memory, c.By = memory, by }))
		file := filepath.Join(dir, "checkpoint")
		defer os.Remove(file)
		cfg, end := s.config(func(c *recompute.Config) {
			c.Memory, c.By, c.Checkpoint = memory, by, &recompute.Checkpoint{Path: file, Of: [32]byte{7}}
		})
		defer end()
		for interruption := 1; ; interruption++ {
			ctx, cancel := context.WithCancel(context.Background())
			heard, after := 0, rapid.IntRange(1, 60).Draw(t, "heard")
			cfg.Progress = func(recompute.Progress) {
				if heard++; heard == after && interruption < 6 {
					cancel()
				}
			}
			r, err := recompute.Run(ctx, cfg)
			cancel()
			if errors.Is(err, context.Canceled) {
				if _, err := os.Stat(file); err == nil {
					s.push("payments", drawPayment(t, s.clock(), &c.payments))
					other := cfg
					other.Checkpoint = &recompute.Checkpoint{Path: file, Of: [32]byte{8}}
					if _, err := recompute.Run(context.Background(), other); err == nil || !strings.Contains(err.Error(), "is about other rows") {
						t.Fatalf("about something else: %v", err)
					}
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, r); got != want {
				t.Fatalf("after %d interruptions\n%s\nwant\n%s", interruption-1, got, want)
			}
			break
		}
		if _, err := os.Stat(file); err == nil {
			t.Fatal("the checkpoint is still there")
		}
	})
}

func TestCheckpointsThatAreNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "checkpoint")
	for _, content := range []string{"", "{}", "PAR1", `{"format": 2, "passes": 1}`, `{"format": 1, "passes": 0}`, `{"format": 1, "passes": 100000}`, `{"format": 1, "passes": 2, "done": 3}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := recompute.Run(context.Background(), recompute.Config{Service: &plan.Service{}, Checkpoint: &recompute.Checkpoint{Path: file}})
		if err == nil || !strings.Contains(err.Error(), "has no interrupted run") {
			t.Errorf("%s: %v", content, err)
		}
	}
}
