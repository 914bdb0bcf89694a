package parity

import (
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
)

// clock is simulated time. It exists only inside this package: a server outside it
// always runs on the machine's time.
type clock struct{ now atomic.Int64 }

func (c *clock) read() plan.EventTime { return plan.EventTime(c.now.Load()) }

// advance moves the clock forward to t; it never goes back.
func (c *clock) advance(t plan.EventTime) {
	if t > c.read() {
		c.now.Store(int64(t))
	}
}
