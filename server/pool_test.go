package server

import (
	"context"
	"errors"
	"testing"
)

func testService(t *testing.T) *service {
	t.Helper()
	s, err := newService(project().Services[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestP2_PanickedReadersAreReplaced: the pool keeps its size however many requests panic.
func TestP2_PanickedReadersAreReplaced(t *testing.T) {
	s := testService(t)
	size := cap(s.readers.free)
	seen := map[*reader]bool{}
	for range 2*size + 1 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = s.withReader(t.Context(), func(r *reader) error {
				if seen[r] {
					t.Error("a reader that panicked is used again")
				}
				seen[r] = true
				panic("in the kernel")
			})
		}()
	}
	if len(s.readers.free) != size {
		t.Errorf("%d of %d readers can be lent", len(s.readers.free), size)
	}
}

// TestWaitingForAReaderEnds: if all readers are busy, a request waits no longer than its time
// limit.
func TestWaitingForAReaderEnds(t *testing.T) {
	s := testService(t)
	for range cap(s.readers.free) {
		<-s.readers.free
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.withReader(ctx, func(*reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestP1_ReadersAreCompiledOnce: sequential requests share the reader that was compiled with
// the plan, even after a failed request.
func TestP1_ReadersAreCompiledOnce(t *testing.T) {
	s := testService(t)
	first, failed := s.readers.idle[0], errors.New("failed")
	for range 2*cap(s.readers.free) + 1 {
		err := s.withReader(t.Context(), func(r *reader) error {
			if r != first {
				t.Error("another reader was compiled")
			}
			return failed
		})
		if err != failed {
			t.Error(err)
		}
	}
}

// TestReadersForgetStates: a reader does not retain the states that a request fetched.
func TestReadersForgetStates(t *testing.T) {
	s := testService(t)
	err := s.withReader(t.Context(), func(r *reader) error {
		r.views[0].States = [][]byte{make([]byte, 1<<20)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := s.readers.idle[0].views[0]; v.States != nil {
		t.Errorf("%d states are kept", len(v.States))
	}
}
