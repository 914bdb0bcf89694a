package offline

import (
	"context"
	"testing"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/materializer/online"
)

// What is pushed during a build is in the build when it becomes live, so that no read goes back to what was before.
func TestP4_BuildsHaveWhatWasPushedMeanwhile(t *testing.T) {
	onEachBackend(t, func(t *testing.T, open tills) {
		all := paid(60)
		l := open(t, fromFiles)
		l.writePayments("payments-1.parquet", all[:20]...)
		l.push(all[20:30]...)
		l.run(l.backfill(midnight))
		l.push(all[30:40]...)
		l.catchUp()

		b := l.backfill(midnight)
		b.Full = true
		history := b.History
		b.History = func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) error {
			l.push(all[40:50]...)
			l.catchUp() // a server applies it to the build that is live
			return history(ctx, until, workers, f)
		}
		calls := 0
		b.CatchUp = func(ctx context.Context, store onlinestore.Store) error {
			a, err := online.New(online.Config{Plan: l.plan, Log: l.log, Store: store, Clock: l.clock})
			if err == nil {
				err = a.CatchUp(ctx)
			}
			if calls++; calls == 1 {
				l.push(all[50:]...) // meanwhile
			}
			return err
		}
		before := l.live()
		if r := l.run(b); r.Generation.Number != before.Number+1 || l.live().Build != r.Generation.Build {
			t.Fatalf("generation %d is not live", r.Generation.Number)
		}
		at := midnight + plan.EventTime(plan.Hour)
		atOnce := l.folded(at)
		l.catchUp()
		expectSame(t, "the log adds nothing", atOnce, l.folded(at))
		again := l.backfill(midnight)
		again.Full = true
		l.run(again)
		expectSame(t, "as a build afterwards", atOnce, l.folded(at))
	})
}
