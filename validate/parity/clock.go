package parity

import (
	"sync/atomic"

	"github.com/unskew/unskew/featuredefs/plan"
)

// clock is simulated time, only for this package: a server elsewhere always uses the machine's
// time.
type clock struct{ now atomic.Int64 }

func (c *clock) read() plan.EventTime { return plan.EventTime(c.now.Load()) }

// advance moves the clock forward to t; it never goes back.
func (c *clock) advance(t plan.EventTime) {
	if t > c.read() {
		c.now.Store(int64(t))
	}
}
