package recompute_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/recompute"
)

// What can happen to an entity.
const (
	well = iota
	damaged
	lost
	lagging
	neverCame
	cameLate
	outcomeLate
	contradicted
	kinds
)

// faultyUsers is how many users the test of many faults has.
const faultyUsers = 4000

// faultySite is a site whose users each have one fault, or none.
type faultySite struct {
	*site
	kind  []int
	count [kinds]int64
}

// newFaultySite draws the faults and makes what must be there before anything is served.
func newFaultySite(t *testing.T) *faultySite {
	random := rand.New(rand.NewPCG(7, 7))
	f := &faultySite{kind: make([]int, faultyUsers)}
	var payments, visits []row
	for u := range f.kind {
		f.kind[u] = random.IntN(int(kinds))
		f.count[f.kind[u]]++
		payments = append(payments, payment(fmt.Sprint("p", u), noon-2*minute, u, 1))
		visits = append(visits, row{"ts": noon - minute, "user_id": u, "page": "a"})
		later := payment(fmt.Sprint("q", u), noon+minute, u, 3) // not materialized
		switch f.kind[u] {
		case neverCame, cameLate, contradicted:
			payments = append(payments, later)
		case outcomeLate:
			payments = append(payments, later.with("chargeback", 2.5))
		}
	}
	for range 5 {
		visits = append(visits, row{"ts": noon - minute, "user_id": faultyUsers, "page": "a"}) // whose state takes the place of others
	}
	f.site = newSite(t, backend.InMemory, definitions, map[string]string{
		"payments.csv": csv(paymentColumns, payments...), "profiles.csv": csv(profileColumns), "visits.csv": csv(visitColumns, visits...),
	})
	t.Cleanup(f.end)
	f.materialize(noon)
	return f
}

// happen lets the faults happen, reads, and lets happen what is late.
func (f *faultySite) happen(x *serving) {
	var before, after, unapplied []row
	var users []int64
	for u, kind := range f.kind {
		users = append(users, int64(u))
		later := payment(fmt.Sprint("q", u), noon+minute, u, 3)
		switch kind {
		case cameLate:
			after = append(after, later)
		case outcomeLate:
			before, after = append(before, later), append(after, later.with("chargeback", 2.5))
		case contradicted:
			before = append(before, later.with("amount", 30.0))
		case lagging:
			unapplied = append(unapplied, row{"ts": noon + minute, "user_id": u, "page": "z"})
		}
	}
	f.advance(90 * second)
	f.push("payments", before...)
	f.catchUp()
	f.push("visits", unapplied...)
	f.advance(30 * second)
	f.spoil()
	f.read(x, users...)
	f.push("payments", after...)
	f.catchUp()
	f.advance(second)
}

// spoil damages and loses states.
func (f *faultySite) spoil() {
	ctx, other := context.Background(), f.stored(f.stateKey("visiting", faultyUsers))
	var writes []onlinestore.Write
	for u, kind := range f.kind {
		key := f.stateKey("visiting", int64(u))
		if kind == damaged || kind == lost {
			if err := f.on.Store.DeletePrefix(ctx, key); err != nil {
				f.t.Fatal(err)
			}
		}
		if kind == damaged {
			writes = append(writes, onlinestore.Write{Key: key, Expect: onlinestore.Absent, Value: other})
		}
	}
	if _, err := f.on.Store.Swap(ctx, writes); err != nil {
		f.t.Fatal(err)
	}
}

// Of thousands of faults of all kinds at once each is found, with its cause, and nothing else is.
func TestP21_ThousandsOfFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("the other tests have each fault once; this runs without -short")
	}
	f := newFaultySite(t)
	f.happen(f.serve(f.plan))
	r := f.recompute()
	expect := map[string]map[recompute.Cause]int64{
		"visiting.n":    {recompute.Compute: f.count[damaged], recompute.Lost: f.count[lost], recompute.Lag: f.count[lagging]},
		"spend.n":       {recompute.Late: f.count[neverCame] + f.count[cameLate]},
		"spend.charged": {recompute.Outcome: f.count[outcomeLate]},
		"spend.total":   {recompute.Late: f.count[neverCame] + f.count[cameLate], recompute.Source: f.count[contradicted]},
	}
	for _, found := range r.Features {
		want, ok := expect[found.Name]
		if !ok {
			continue
		}
		if got := causes(found.Data.Causes); got != causes(want) {
			t.Errorf("%s: %s, want %s", found.Name, got, causes(want))
		}
		compute := map[recompute.Cause]int64{}
		for _, c := range []recompute.Cause{recompute.Compute, recompute.Lost} {
			if want[c] > 0 {
				compute[c] = want[c]
			}
		}
		if got := causes(found.Compute.Causes); got != causes(compute) {
			t.Errorf("%s over what was applied: %s, want %s", found.Name, got, causes(compute))
		}
	}
	if r.Rows != faultyUsers || len(r.NotComputed) > 0 {
		t.Errorf("%d rows, %v", r.Rows, r.NotComputed)
	}
	if n := faultyUsers - f.count[well]; n < 3000 {
		t.Errorf("only %d faults", n)
	}
}
