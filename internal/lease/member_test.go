package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/redisconn"
	"github.com/unskew/unskew/internal/redistest"
)

// patience bounds how long a test waits for something.
const patience = 30 * time.Second

var quick = Options{TTL: 1500 * time.Millisecond, Beat: 40 * time.Millisecond}

// running is a member with its connection.
type running struct {
	*Member
	table *Table
	share *Share
	stop  func() // gives everything up
	said  atomic.Value
}

// die ends a member as a kill does: it gives up nothing.
func (r *running) die() {
	_ = r.table.Close()
	r.stop()
}

func start(t *testing.T, address string, groups ...Group) *running {
	t.Helper()
	table, err := Open(t.Context(), redisconn.Options{Addresses: []string{address}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Member: NewMember(table, quick), table: table}
	for _, g := range groups {
		r.share = r.Join(g)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx, func(err error) { r.said.Store(err.Error()) })
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(func() { r.stop(); _ = table.Close() })
	return r
}

// has lists the parts that a member has now.
func (r *running) has() (out []int) {
	r.mu.Lock()
	numbers := slices.Sorted(maps.Keys(r.share.held))
	r.mu.Unlock()
	for _, k := range numbers {
		if r.share.Has(k) {
			out = append(out, k)
		}
	}
	return out
}

// await waits until a condition holds; it looks every few milliseconds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// awaitShares waits until members have so many parts, all of them different.
func awaitShares(t *testing.T, want []int, members ...*running) {
	t.Helper()
	got := make([]int, len(members))
	await(t, fmt.Sprintf("shares of %v", want), func() bool {
		all := map[int]bool{}
		for i, m := range members {
			has := m.has()
			got[i] = len(has)
			for _, k := range has {
				all[k] = true
			}
		}
		sum := 0
		for _, n := range got {
			sum += n
		}
		sorted := slices.Sorted(slices.Values(got))
		return len(all) == sum && slices.Equal(sorted, want)
	})
}

func stored(t *testing.T, r *running) state {
	t.Helper()
	_, s, err := r.table.exchange(t.Context(), 1, "spectator", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSharesFollowMembers(t *testing.T) {
	server := redistest.Start(t)
	g := Group{"orders/1", 8}
	a := start(t, server.Address, g)
	awaitShares(t, []int{8}, a)
	b := start(t, server.Address, g)
	awaitShares(t, []int{4, 4}, a, b)
	c := start(t, server.Address, g)
	awaitShares(t, []int{2, 3, 3}, a, b, c)
	before := stored(t, a)
	b.stop() // cleanly
	awaitShares(t, []int{4, 4}, a, c)
	if got := a.share.Stats().TakenOff + c.share.Stats().TakenOff; got != 0 {
		t.Errorf("%d parts count as taken from a member that gave them up", got)
	}
	c.die()
	awaitShares(t, []int{8}, a)
	if s := a.share.Stats(); s.TakenOff != 4 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	for p, l := range stored(t, a).leases {
		if old := before.leases[p]; l.token < old.token || l.holder != old.holder && l.token == old.token {
			t.Errorf("%v: the token of %s is %d, that of %s was %d", p, l.holder, l.token, old.holder, old.token)
		}
	}
}

// A server with other definitions does not wait for those that hold the shards for theirs.
func TestOtherGroupsAreNotWaitedFor(t *testing.T) {
	server := redistest.Start(t)
	a := start(t, server.Address, Group{"orders/1", 4})
	b := start(t, server.Address, Group{"orders/2", 4})
	awaitShares(t, []int{4}, a)
	awaitShares(t, []int{4}, b)
}

// A member that gets no answers has nothing once its leases may be over, and says why; with answers it goes on.
func TestWithoutAnswersLeasesEnd(t *testing.T) {
	server := redistest.Start(t)
	a := start(t, server.Address, Group{"orders/1", 2})
	awaitShares(t, []int{2}, a)
	server.Pause(t)
	await(t, "no leases", func() bool { return len(a.has()) == 0 })
	await(t, "an error", func() bool { return a.Err() != nil })
	server.Resume(t)
	awaitShares(t, []int{2}, a)
	if a.Err() != nil {
		t.Error(a.Err())
	}
	server.Restart(t) // empty
	await(t, "new records", func() bool {
		_, s, err := a.table.exchange(t.Context(), 1, "spectator", "", nil)
		return err == nil && len(s.members) == 1 && len(s.leases) == 2
	})
	awaitShares(t, []int{2}, a)
}

// What somebody does to the records costs a moment, no work: each part is held again, under a later token.
func TestDamagedRecords(t *testing.T) {
	server := redistest.Start(t)
	a, b := start(t, server.Address, Group{"orders/1", 3}), start(t, server.Address, Group{"orders/1", 3})
	awaitShares(t, []int{1, 2}, a, b)
	do := func(args ...string) {
		t.Helper()
		if err := a.table.conn.Do(t.Context(), a.table.conn.B().Arbitrary(args...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	field := part{"orders/1", 1}.field()
	for name, damage := range map[string]func(){
		"deleted":     func() { do("HDEL", a.table.key, field) },
		"damaged":     func() { do("HSET", a.table.key, field, "what?") },
		"huge token":  func() { do("HSET", a.table.key, field, strings.Repeat("9", 300)+" 1 x") },
		"for ever":    func() { do("HSET", a.table.key, field, "7 9000000000000000 nobody") },
		"of nobody":   func() { do("HSET", a.table.key, field, "7 1 nobody") },
		"all deleted": func() { do("DEL", a.table.key) },
		"member":      func() { do("HSET", a.table.key, memberField+a.id, "?", memberField+"ghost", "?") },
	} {
		before := stored(t, a).leases[part{"orders/1", 1}]
		lost := a.share.Stats().Lost + b.share.Stats().Lost
		damage()
		if name != "member" {
			await(t, name+": the loss is noticed", func() bool { return a.share.Stats().Lost+b.share.Stats().Lost > lost })
		}
		awaitShares(t, []int{1, 2}, a, b)
		await(t, name+": a good record", func() bool {
			s := stored(t, a)
			l := s.leases[part{"orders/1", 1}]
			return (l.holder == a.id || l.holder == b.id) && (l.token > before.token || name == "member") && len(s.damaged) == 0
		})
	}
	do("SET", a.table.key, "not a hash")
	await(t, "the error", func() bool { said, _ := a.said.Load().(string); return strings.Contains(said, "WRONGTYPE") })
	do("DEL", a.table.key)
	awaitShares(t, []int{1, 2}, a, b)
}

// A member that was stopped for long knows that it has nothing, without asking, and cannot renew or free what others have.
func TestA_StoppedMemberHasNothing(t *testing.T) {
	server := redistest.Start(t)
	g := Group{"orders/1", 2}
	a := start(t, server.Address, g)
	awaitShares(t, []int{2}, a)
	a.mu.Lock()
	held := maps.Clone(a.share.held)
	a.mu.Unlock()
	a.die()
	b := start(t, server.Address, g)
	awaitShares(t, []int{2}, b)
	a.share.held = held // it was stopped and does not know that they are over
	if has := a.has(); has != nil {
		t.Errorf("it has %v", has)
	}
	leases := stored(t, b).leases
	var changes []change
	for p, h := range held {
		changes = append(changes, renewing(p1(p), h.token), giving(p1(p), h.token))
	}
	done, s, err := b.table.exchange(t.Context(), time.Hour.Microseconds(), a.id, "late", changes)
	if err != nil || slices.Contains(done, true) || len(changes) == 0 {
		t.Errorf("%v, %v", done, err)
	}
	for p, l := range leases {
		if now := s.leases[p]; now.holder != b.id || now.token != l.token {
			t.Errorf("%v: %+v", p, now)
		}
	}
}

func p1(number int) part { return part{"orders/1", number} }

// Who cannot do the work leaves it to others, as long as there are others.
func TestLeave(t *testing.T) {
	server := redistest.Start(t)
	g := Group{"orders/1", 4}
	a := start(t, server.Address, g)
	awaitShares(t, []int{4}, a)
	a.share.Leave(time.Hour)
	if a.share.away.After(time.Now()) {
		t.Error("the only member has left")
	}
	b := start(t, server.Address, g)
	awaitShares(t, []int{2, 2}, a, b)
	a.share.Leave(time.Hour)
	awaitShares(t, []int{0, 4}, a, b)
	a.Join(g)
	awaitShares(t, []int{2, 2}, a, b)
	a.Join(Group{g.Name, 6})
	b.Join(Group{g.Name, 6})
	awaitShares(t, []int{3, 3}, a, b)
}

// Whoever takes a lease and gets no answer finds it among those that are stored.
func TestTakenWithoutAnswer(t *testing.T) {
	server := redistest.Start(t)
	a := start(t, server.Address, Group{"orders/1", 1})
	awaitShares(t, []int{1}, a)
	a.mu.Lock()
	a.share.held = map[int]holding{}
	a.mu.Unlock()
	awaitShares(t, []int{1}, a)
	if got := a.share.Stats().Taken; got != 1 {
		t.Errorf("it was taken %d times", got)
	}
}

func TestNilShareHasAll(t *testing.T) {
	var s *Share
	s.Leave(time.Hour)
	if !s.Has(3) || s.Changed() != nil {
		t.Error("nil has not everything")
	}
}

func TestDeadlines(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		d    deadline
		want bool
	}{
		"in time":               {after(now, time.Hour), false},
		"late":                  {after(now.Add(-2*time.Hour), time.Hour), true},
		"the machine has slept": {deadline{now.Add(time.Hour), now.Round(0).Add(-time.Second)}, true},
	} {
		if got := c.d.over(); got != c.want {
			t.Errorf("%s: over: %v", name, got)
		}
	}
}
