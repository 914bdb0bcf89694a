package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/sdk"
)

// A server that has not read a state yet answers many large requests at once.
func TestP19_TheFirstBurstIsAnswered(t *testing.T) {
	const burst, rows = 8, 250
	entered, proceed := make(chan struct{}, burst), make(chan struct{})
	f := start(t, func(cfg *Config) { cfg.States = &blockedStates{cfg.States, entered, proceed} })
	users := make([]int64, rows)
	for i := range users {
		users[i] = int64(i)
	}
	keys, request := row(users...)
	answered := make(chan error, burst)
	for range burst {
		go func() {
			_, err := f.client(t, sdk.WithAttempts(1)).GetFeatures(context.Background(), "fraud_v1", keys, request)
			answered <- err
		}()
	}
	for range burst {
		select {
		case <-entered: // it has reserved what it may need
		case err := <-answered:
			t.Fatalf("a request was refused: %v", err)
		}
	}
	close(proceed)
	for range burst {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

// sized is a store in which each state has so many bytes.
type sized struct {
	*memoryStore
	bytes int
	got   func(states int) // called after each round trip
}

func (s *sized) Get(ctx context.Context, keys [][]byte) ([][]byte, error) {
	values, err := s.memoryStore.Get(ctx, keys)
	states := 0
	for i, v := range values {
		if v == nil {
			values[i] = make([]byte, s.bytes)
			states++
		}
	}
	s.got(states)
	return values, err
}

// usersQuery asks for n users.
func usersQuery(s *service, n int) *query {
	users := vector.New(intType, n)
	for i := range n {
		users.Int[i] = int64(1000 + i)
	}
	return &query{n: n, keys: []*vector.Vector{users, users, vector.New(stringType, n)}, outputs: s.all}
}

// The size of states is learned from a few of them, before the others are read, and what is read never
// exceeds what is reserved by more than one part.
func TestP19_StatesAreReadInParts(t *testing.T) {
	f := start(t, nil)
	svc := f.live.Load().services["fraud_v1"]
	v := &visit{budget: f.budget, caller: "a"}
	ctx := context.WithValue(t.Context(), visitKey{}, v)
	read, most := 0, 0
	store := &sized{f.store, 100 << 10, nil}
	store.got = func(n int) {
		if read+n > 0 && int64(read*store.bytes) > max(v.fetching, freeStates) {
			t.Errorf("%d states were read before another %d, %d bytes are reserved", read, n, v.fetching)
		}
		read, most = read+n, max(most, n)
	}
	fetch := func(users int) error {
		read, most = 0, 0
		_, err := svc.fetch(ctx, usersQuery(svc, users), registry.NewReader(store), plan.Never)
		return err
	}
	if err := fetch(100); err != nil || read != 201 || most > nextPartStates {
		t.Errorf("%d states were read, up to %d at a time: %v", read, most, err)
	}
	if v.fetching != int64(read*store.bytes) {
		t.Errorf("%d states have %d bytes, %d are reserved", read, store.bytes, v.fetching)
	}
	v.doneStates()
	if err := fetch(100); err != nil || most < partBytes/store.bytes/2 || most > partBytes/store.bytes {
		t.Errorf("once their size is known, %d are read at a time: %v", most, err)
	}
	v.doneStates()
	var refused *callerError
	if err := fetch(1000); !errors.As(err, &refused) || refused.code != connect.CodeResourceExhausted || read*store.bytes > limits.FetchedBytes+partBytes {
		t.Errorf("after %d bytes of states: %v", read*store.bytes, err)
	}
	v.doneStates()

	// Smaller than was expected, and larger than the smallest that is assumed.
	store.bytes = 10 << 10
	if err := fetch(500); err != nil {
		t.Error(err)
	}
	v.doneStates()
	if n := f.budget.fetching.inUse(); n != 0 {
		t.Errorf("%v bytes remain reserved", n)
	}
}

// Reads that all turn out to need more than there is wait for one another, and hold nothing meanwhile.
func TestP19_LargeStatesWait(t *testing.T) {
	f := start(t, nil)
	svc := f.live.Load().services["fraud_v1"]
	store := &sized{f.store, 100 << 10, func(int) {
		if n := f.budget.fetching.inUse(); n > limits.FetchingBytes {
			t.Errorf("%v bytes are reserved", n)
		}
	}}
	states := registry.NewReader(store)
	var done sync.WaitGroup
	for c := range 32 {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(c)))
			v := &visit{budget: f.budget, caller: fmt.Sprint(c % 4)}
			ctx := context.WithValue(t.Context(), visitKey{}, v)
			for range 3 {
				_, err := svc.fetch(ctx, usersQuery(svc, 1+rng.IntN(200)), states, plan.Never)
				var refused *callerError
				if err != nil && !errors.As(err, &refused) {
					t.Error(err)
				}
				v.doneStates()
			}
		})
	}
	done.Wait()
	if n := f.budget.fetching.inUse(); n != 0 {
		t.Errorf("%v bytes remain reserved", n)
	}
}
