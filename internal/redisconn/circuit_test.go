package redisconn

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/redistest"
)

// After a server has failed, calls fail without being sent, in far less time than their limit, whatever became of the server: it was
// stopped, killed, cut off, or answers too slowly. Once it answers, they are sent again; a probe does that, no call.
func TestCallsToASilentServerFailAtOnce(t *testing.T) {
	for name, fault := range map[string]struct {
		begin, end func(t *testing.T, s *redistest.Server, p *redistest.Proxy)
	}{
		"stopped": {
			func(t *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Pause(t) },
			func(t *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Resume(t) },
		},
		"killed": {
			func(_ *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Kill() },
			func(t *testing.T, s *redistest.Server, _ *redistest.Proxy) { s.Restart(t) },
		},
		"cut": {
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Cut() },
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Mend() },
		},
		"slow": {
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Delay(3 * time.Second) },
			func(_ *testing.T, _ *redistest.Server, p *redistest.Proxy) { p.Delay(0) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.StartTCP(t, redistest.Access{})
			proxy := redistest.StartProxy(t, server.Address)
			const limit = time.Second
			c := dialTest(t, Options{Addresses: []string{proxy.Address}, Timeout: limit})
			call := func() (time.Duration, error) {
				ctx, cancel := c.Bound(context.Background())
				defer cancel()
				begun := time.Now()
				err := Cause(ctx, c.Do(ctx, c.B().Get().Key("k").Build()).Error())
				return time.Since(begun), err
			}
			if _, err := call(); Unavailable(err) {
				t.Fatal(err)
			}
			fault.begin(t, server, proxy)
			var open *openError
			sent := 0
			for {
				took, err := call()
				if took > 3*limit {
					t.Errorf("a call took %v", took)
				}
				if errors.As(err, &open) {
					break
				}
				if sent++; sent > breakAfter {
					t.Fatalf("%d calls were sent to a server that does not answer, the last: %v", sent, err)
				}
			}
			var all []time.Duration
			for range 1000 {
				took, err := call()
				if !errors.As(err, &open) || !Unavailable(err) || !Refused(err) {
					t.Fatalf("%v after %v", err, took)
				}
				all = append(all, took)
			}
			slices.Sort(all)
			if p99 := all[990]; p99 > limit/20 {
				t.Errorf("the 99th of 100 refusals took %v", p99)
			} else {
				t.Logf("%d were sent; a refusal takes %v, of 100 the 99th %v", sent, all[500], p99)
			}
			if n, of := c.Circuits(); n != 1 || of != 1 {
				t.Errorf("%d of %d circuits are open", n, of)
			}
			fault.end(t, server, proxy)
			for late := time.Now().Add(30 * time.Second); ; {
				if open, _ := c.Circuits(); open == 0 {
					break
				} else if time.Now().After(late) {
					t.Fatal("the server answers, and nothing is sent to it")
				}
				<-time.After(time.Millisecond)
			}
			for late := time.Now().Add(30 * time.Second); ; { // a connection may be found broken
				if _, err := call(); !Unavailable(err) {
					break
				} else if time.Now().After(late) {
					t.Fatal(err)
				}
			}
		})
	}
}

// Of a cluster, calls to the other servers go on, and those to the replica once it has taken over.
func TestOneSilentServerOfACluster(t *testing.T) {
	cluster := redistest.StartReplicated(t, 3, redistest.Access{}, "--cluster-require-full-coverage", "no")
	c := dialTest(t, Options{Addresses: strings.Split(cluster.Addresses(), ","), Timeout: 500 * time.Millisecond})
	keys := map[*redistest.Server]string{}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		owner, _ := cluster.Owner(t, cluster.Slot(t, key))
		keys[owner] = key
	}
	if len(keys) != 3 {
		t.Fatalf("keys of %d servers", len(keys))
	}
	set := func(key string) error {
		ctx, cancel := c.Bound(context.Background())
		defer cancel()
		return Cause(ctx, c.Do(ctx, c.B().Set().Key(key).Value("v").Build()).Error())
	}
	var victim *redistest.Server
	for s, key := range keys {
		if err := set(key); err != nil {
			t.Fatal(err)
		}
		victim = s
	}
	victim.Pause(t)
	var open *openError
	for n := 0; !errors.As(set(keys[victim]), &open); n++ {
		if n > breakAfter {
			t.Fatalf("%d calls were sent", n)
		}
	}
	if open.address != victim.Address {
		t.Errorf("the circuit of %s is open, not that of %s", open.address, victim.Address)
	}
	for s, key := range keys {
		if s != victim {
			if err := set(key); errors.As(err, &open) {
				t.Errorf("another server: %v", err)
			}
		}
	}
	for late := time.Now().Add(30 * time.Second); set(keys[victim]) != nil; <-time.After(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the replica does not get what its master got")
		}
	}
	victim.Resume(t)
}
