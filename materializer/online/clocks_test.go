package online

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/backend/backendtest"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/oracle"
)

// clockedServer pushes and applies under its own clock.
type clockedServer struct {
	now     atomic.Int64
	in      *Ingester
	applier *Applier
}

func (s *clockedServer) clock() plan.EventTime { return plan.EventTime(s.now.Load()) }

// clockedServers returns n servers on the log and the store of r. The log's time is that of
// the server that pushes.
func clockedServers(r *rig, n int) []*clockedServer {
	servers := make([]*clockedServer, n)
	for i := range servers {
		s := &clockedServer{}
		s.now.Store(int64(noon))
		var err error
		if s.in, err = NewIngester(r.plan, r.log, s.clock); err != nil {
			r.t.Fatal(err)
		}
		s.applier = r.applier(func(c *Config) { c.Clock, c.Batch = s.clock, 3 })
		servers[i] = s
	}
	return servers
}

// push pushes a row through the server, under the server's clock.
func (s *clockedServer) push(r *rig, source string, c row) {
	r.t.Helper()
	r.set(s.clock())
	src, _ := r.plan.Source(source)
	if _, err := s.in.Push(context.Background(), source, batch(src, []row{c})); err != nil {
		r.t.Fatal(err)
	}
}

// logged returns what the log of a source contains, as the oracle's events.
func (r *rig) logged(source string, rows map[string]row) []oracle.Event {
	r.t.Helper()
	src, _ := r.plan.Source(source)
	records, err := r.log.Read(context.Background(), source, 0, 1<<20)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []oracle.Event
	last := plan.Always
	for _, rec := range records {
		e, err := oracle.NewEvent(src, rows[rec.ID], false)
		if err != nil {
			r.t.Fatal(err)
		}
		if rec.Appended < last {
			r.t.Fatalf("the log's time went back from %v to %v", last, rec.Appended)
		}
		last = rec.Appended
		e.Known = max(e.Known, rec.Appended)
		out = append(out, e)
	}
	return out
}

// readable decodes every state and returns the newest time in any of them.
func (r *rig) readable() plan.EventTime {
	r.t.Helper()
	newest := plan.Always
	for _, v := range r.plan.Views {
		k, err := kernel.NewView(v)
		if err != nil {
			r.t.Fatal(err)
		}
		err = r.store.Scan(context.Background(), r.live(v.Name).Prefix(), func(_, value []byte) error {
			s := k.NewState()
			err := s.Decode(value)
			newest = max(newest, s.Newest())
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return newest
}

// Two servers whose clocks differ by a millisecond, and one whose clock steps back ten, write
// states that both can read and values that match the log [b10].
func TestB10_ClocksThatDiffer(t *testing.T) {
	const ms = plan.EventTime(1000)
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		for _, clocks := range [][2]plan.EventTime{{noon, noon - ms}, {noon, noon - 10*ms}, {noon - ms, noon}, {noon, noon + 365*24*3600*second}} {
			r := newRig(t, open, defstest.Compile(t, definitions))
			servers := clockedServers(r, 2)
			servers[0].now.Store(int64(clocks[0]))
			servers[1].now.Store(int64(clocks[1]))
			rows := map[string]row{}
			for i := range 12 {
				s := servers[i%2]
				// Some are known immediately, some a moment after the slower clock.
				ts := s.clock() - plan.EventTime(i%3)*second + plan.EventTime(i%4)*ms/2
				c := click(fmt.Sprint("c", i), 1, ts, float64(i), "US")
				rows[c["id"].Str()] = c
				s.push(r, "clicks", c)
				for _, s := range servers {
					r.catchUp(s.applier)
				}
			}
			r.events = r.logged("clicks", rows)
			r.agree("spend", r.readable()+1, alice)
			r.agree("spend", r.readable()+plan.EventTime(plan.Hour), alice)
		}
	})
}

// The clocks of several servers jump both ways while events arrive and appliers run, lose
// their offsets and overtake each other. Every state is readable at every step; in the end
// its bytes and values match the log [b10].
func TestB10_ClocksThatJump(t *testing.T) {
	open, p := backendtest.Any(t), defstest.Compile(t, definitions)
	rapid.Check(t, func(rt *rapid.T) { checkJumpingClocks(rt, open(rt), p) })
}

func checkJumpingClocks(t *rapid.T, open backend.Opener, p *plan.Plan) {
	r, closeAll := openRig(t, open, p)
	defer func() {
		if err := closeAll(); err != nil {
			t.Fatal(err)
		}
	}()
	servers := clockedServers(r, 3)
	jumps := []plan.EventTime{-10 * 24 * 3600 * second, -3600 * second, -10_000, -1000, -1, 1, 1000, second, 60 * second, 10 * 24 * 3600 * second}
	rows := map[string]row{}
	for i := range rapid.IntRange(1, 24).Draw(t, "steps") {
		s := rapid.SampledFrom(servers).Draw(t, "server")
		switch rapid.IntRange(0, 5).Draw(t, "step") {
		case 0:
			s.now.Store(int64(s.clock() + rapid.SampledFrom(jumps).Draw(t, "jump")))
		case 1, 2:
			ts := s.clock() + rapid.SampledFrom(jumps[1:9]).Draw(t, "of")
			c := click(fmt.Sprint("c", i), rapid.Int64Range(0, 1).Draw(t, "user"), ts, float64(i), rapid.SampledFrom([]string{"US", "DE"}).Draw(t, "country"))
			if rapid.Bool().Draw(t, "late") {
				c = c.with("refund", plan.DoubleValue(float64(i))).with("refund_at", plan.TimestampValue(ts+rapid.SampledFrom(jumps).Draw(t, "known")))
			}
			rows[c["id"].Str()] = c
			s.push(r, "clicks", c)
		case 3:
			r.catchUp(s.applier)
			r.loseOffsets()
		default:
			r.catchUp(s.applier)
		}
		if i > 0 && rapid.Bool().Draw(t, "look") {
			r.catchUp(s.applier)
			r.readable()
		}
	}
	r.catchUp(servers[0].applier)
	r.events = r.logged("clicks", rows)
	at := max(r.readable(), noon) + rapid.SampledFrom([]plan.EventTime{1, second, 3600 * second}).Draw(t, "read")
	for user := range int64(2) {
		r.agree("spend", at, plan.IntValue(user))
	}
	for _, d := range differences(r.states(false, at), r.appliedAtOnce(open, at)) {
		t.Fatal(d)
	}
}

// appliedAtOnce returns the states, folded up to a time, of another applier that starts from
// scratch on the same log.
func (r *rig) appliedAtOnce(open backend.Opener, at plan.EventTime) map[string]string {
	on, err := open(context.Background(), r.clock)
	if err != nil {
		r.t.Fatal(err)
	}
	fresh := &rig{t: r.t, plan: r.plan, log: r.log, store: on.Store}
	fresh.set(at)
	fresh.catchUp(fresh.applier(nil))
	states := fresh.states(false, at)
	if err := on.Close(); err != nil {
		r.t.Fatal(err)
	}
	return states
}

// An event stored while the clock was 30 days ahead hides later events. After the log's time
// is set back, a rebuild has all of them, as the oracle does [b11].
func TestB11_RewoundLogShowsHiddenEvents(t *testing.T) {
	backendtest.Each(t, func(t *testing.T, open backend.Opener) {
		r := newRig(t, open, defstest.Compile(t, definitions))
		rows := map[string]row{}
		for i, at := range []plan.EventTime{noon - 10*second, noon + 30*24*3600*second, noon, noon + second} {
			c := click(fmt.Sprint("c", i), 1, noon-20*second, float64(i), "US")
			rows[c["id"].Str()] = c
			r.set(at)
			r.push("clicks", c)
		}
		now := noon + 2*second
		r.set(now)
		r.catchUp(r.applier(nil))
		expect(t, r.read("spend", now, alice), map[string]string{"n": "1 PRESENT"})
		if did, err := r.log.SetBack(t.Context(), "clicks", now-1); err != nil || !did {
			t.Fatal(did, err)
		}
		rows["more"] = click("more", 2, noon, 1, "US")
		r.push("clicks", rows["more"])
		r.events = r.logged("clicks", rows)
		if err := r.applier(nil).CatchUp(t.Context()); err == nil || !strings.Contains(err.Error(), "materialize --full --view spend") {
			t.Errorf("states made of the wrong times are continued: %v", err)
		}
		r.beginAnew()
		r.catchUp(r.applier(nil))
		expect(t, r.read("spend", now, alice), map[string]string{"n": "4 PRESENT", "total": "6.0 PRESENT"})
		r.agree("spend", now, alice)
	})
}

// Events wait while the clock is known to be wrong, and are applied once it is right [b11].
func TestB11_NothingIsAppliedUnderAWrongClock(t *testing.T) {
	r := newRig(t, backend.InMemory, defstest.Compile(t, definitions))
	r.push("clicks", click("a", 1, noon-second, 1, "US"))
	wrong := errors.New("the clock is wrong")
	ready := wrong
	a := r.applier(func(c *Config) { c.Ready = func() error { return ready } })
	r.set(noon + 1)
	if err := a.CatchUp(t.Context()); !errors.Is(err, wrong) || a.Stats().Applied != 0 {
		t.Fatalf("%v, %+v", err, a.Stats())
	}
	ready = nil
	r.catchUp(a)
	expect(t, r.read("spend", noon+1, alice), map[string]string{"n": "1 PRESENT"})
}
