package tracing_test

import (
	"context"
	"testing"

	"github.com/unskew/unskew/internal/tracing"
)

// Without a tracer a mark takes a nanosecond or two.
func BenchmarkOff(b *testing.B) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		_, span := tracing.Start(ctx, "read states")
		span.Int("unskew.entities", 3).Text("unskew.service", "orders").End(nil)
	}
}

func TestOff_AllocatesNothing(t *testing.T) {
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		below, span := tracing.Start(ctx, "read states")
		span.Int("unskew.entities", 3).Text("unskew.service", "orders").End(nil)
		if below != ctx {
			t.Fatal("another context")
		}
	}); n != 0 {
		t.Errorf("a span that nobody records allocates %v times", n)
	}
}
