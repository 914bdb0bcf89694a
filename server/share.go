package server

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/internal/limits"
)

// shared is a bounded resource of all callers of which no caller can take everything. What a caller
// may have depends on what is free: at most limits.CallerShare times as much as would be left. So a
// caller that is alone may have three quarters, two may have three sevenths each, and a caller that has nothing gets what is
// free.
type shared struct {
	what    string // for messages, as in "bytes of answers that are being sent"
	flag    string // the name in metrics
	total   int64
	refused func(resource string)

	mu      sync.Mutex
	used    int64
	by      map[string]int64     // what each caller has; callers with nothing are absent
	waiting map[string][]*waiter // of each caller, first come first
	turns   []string             // the callers with waiters, that whose turn it is first
}

// waiter is a request that waits for its part.
type waiter struct {
	n     int64
	ready chan struct{} // closed once it has it
}

func newShared(flag, what string, total int64, refused func(string)) *shared {
	return &shared{what: what, flag: flag, total: total, refused: refused, by: map[string]int64{}, waiting: map[string][]*waiter{}}
}

// take gives n to a caller now, or returns an error. give must follow.
func (s *shared) take(caller string, n int64) error {
	if !s.try(caller, n) {
		return s.refuse("")
	}
	return nil
}

// try gives n to a caller now if it may have it. give must follow if it does.
func (s *shared) try(caller string, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok := s.fits(n) && s.fair(caller, n)
	if ok {
		s.add(caller, n)
	}
	return ok
}

func (s *shared) fits(n int64) bool { return s.used+n <= s.total }

func (s *shared) fair(caller string, n int64) bool {
	has := s.by[caller]
	return has == 0 || has+n <= limits.CallerShare*(s.total-s.used-n)
}

func (s *shared) add(caller string, n int64) {
	s.used += n
	s.by[caller] += n
}

// refuse makes the error of a request that does not get its part.
func (s *shared) refuse(why string) error {
	s.refused(s.flag)
	return &callerError{code: connect.CodeResourceExhausted, later: true, message: fmt.Sprintf("there is no room for this request beside others: at most %d %s%s; try again in a moment", s.total, s.what, why)}
}

// wait gives n, which is at most the total, to a caller as soon as it is free. Callers take turns, so
// one with many requests does not delay the others. It is an error if ctx ends, or if the
// caller's requests already wait for limits.CallerQueue times the total.
func (s *shared) wait(ctx context.Context, caller string, n int64) error {
	s.mu.Lock()
	if len(s.turns) == 0 && s.fits(n) {
		s.add(caller, n)
		s.mu.Unlock()
		return nil
	}
	queued := n
	for _, w := range s.waiting[caller] {
		queued += w.n
	}
	if queued > limits.CallerQueue*s.total {
		s.mu.Unlock()
		return s.refuse(fmt.Sprintf(", and those that wait have %d more", queued-n))
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	if len(s.waiting[caller]) == 0 {
		s.turns = append(s.turns, caller)
	}
	s.waiting[caller] = append(s.waiting[caller], w)
	s.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.ready: // it came at the same time
		s.give0(caller, n)
	default:
		s.leave(caller, w)
	}
	if ctx.Err() == context.DeadlineExceeded {
		return s.refuse(", and it has waited for its whole time")
	}
	return ctx.Err()
}

// leave removes a waiter.
func (s *shared) leave(caller string, w *waiter) {
	list := slices.DeleteFunc(s.waiting[caller], func(x *waiter) bool { return x == w })
	s.waiting[caller] = list
	if len(list) == 0 {
		delete(s.waiting, caller)
		s.turns = slices.DeleteFunc(s.turns, func(c string) bool { return c == caller })
	}
	s.serve() // the one behind it may fit
}

// give returns what take or wait has given.
func (s *shared) give(caller string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give0(caller, n)
}

func (s *shared) give0(caller string, n int64) {
	s.used -= n
	if s.by[caller] -= n; s.by[caller] == 0 {
		delete(s.by, caller)
	}
	s.serve()
}

// serve gives those that wait what is free, one caller after the other. A request that does not fit
// is waited for, so that small ones do not keep a large one waiting for ever.
func (s *shared) serve() {
	for len(s.turns) > 0 {
		caller := s.turns[0]
		w := s.waiting[caller][0]
		if !s.fits(w.n) {
			return
		}
		s.add(caller, w.n)
		close(w.ready)
		s.turns = s.turns[1:]
		if rest := s.waiting[caller][1:]; len(rest) > 0 {
			s.waiting[caller] = rest
			s.turns = append(s.turns, caller)
		} else {
			delete(s.waiting, caller)
		}
	}
}

// adjust changes what a caller has to another amount, which may be more than is free: it is there
// already.
func (s *shared) adjust(caller string, from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(caller, to-from)
	if s.by[caller] == 0 {
		delete(s.by, caller)
	}
	s.serve()
}

// inUse is how much is taken.
func (s *shared) inUse() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(s.used)
}
