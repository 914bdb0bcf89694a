package expr

import "errors"

// ErrStopped is what Eval panics with when it has been told to stop.
var ErrStopped = errors.New("expr: the evaluation was stopped")

// halt stops what may take long: the rows of a batch that cel-go runs.
type halt struct {
	stop  func() bool // nil: never
	after int         // rows until it is asked again
}

// askEvery is how many rows of cel-go, of some hundred nanoseconds each or more, pass
// between two questions.
const askEvery = 16

func (h *halt) check() {
	if h.stop == nil {
		return
	}
	if h.after--; h.after > 0 {
		return
	}
	if h.after = askEvery; h.stop() {
		panic(ErrStopped)
	}
}

// StopWhen makes Eval ask now and then whether to stop; nil makes it never ask. If so it
// panics with ErrStopped, and the program is good for nothing any more.
func (p *Program) StopWhen(stop func() bool) { p.halt.stop, p.halt.after = stop, 0 }
