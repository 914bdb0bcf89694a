package offline

import (
	"context"
	"path/filepath"
	"testing"
)

// BenchmarkTrain joins 20 000 spine rows with 200 000 orders: two roles, 19 outputs.
func BenchmarkTrain(b *testing.B) {
	p, set := newShop(b, 200_000, 20_000)
	for _, bound := range []struct {
		name   string
		memory int64
	}{{"in memory", 0}, {"spilled", 1 << 20}} {
		b.Run(bound.name, func(b *testing.B) {
			for b.Loop() {
				c := p.config(set)
				c.Memory = bound.memory
				if _, err := Train(context.Background(), c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(200_000*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	if got, err := filepath.Glob(filepath.Join(p.dir, "out", "*")); err != nil || len(got) != 2 {
		b.Fatalf("files %v, %v", got, err)
	}
}
