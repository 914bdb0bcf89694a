package expr

import "errors"

// ErrStopped is the value that Eval panics with when it is stopped.
var ErrStopped = errors.New("expr: the evaluation was stopped")

// halt stops evaluation between rows that cel-go runs, the only ones that can take long.
type halt struct {
	stop  func() bool // nil: never
	after int         // rows until the next call of stop
}

// checkEvery is the number of rows between two calls of stop; a row of cel-go takes a few
// hundred nanoseconds or more.
const checkEvery = 16

func (h *halt) check() {
	if h.stop == nil {
		return
	}
	if h.after--; h.after > 0 {
		return
	}
	if h.after = checkEvery; h.stop() {
		panic(ErrStopped)
	}
}

// StopWhen makes Eval call stop from time to time; nil removes it. If stop returns true,
// Eval panics with ErrStopped, and the program must not be used any more.
func (p *Program) StopWhen(stop func() bool) { p.halt.stop, p.halt.after = stop, 0 }
