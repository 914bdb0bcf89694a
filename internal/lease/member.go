package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unskew/unskew/internal/eventlog"
)

// Member takes part in dividing the work. It is safe for concurrent use; Run is called once.
type Member struct {
	table *Table
	id    string
	name  string
	ttl   time.Duration
	beat  time.Duration
	poke  chan struct{}

	mu     sync.Mutex
	shares []*Share
	seen   state // as of the last exchange
	err    error // of the last exchange
}

// Options of a member; the zero value is what servers have.
type Options struct {
	TTL  time.Duration // how long leases last; 0: TTL
	Beat time.Duration // how often they are renewed; 0: Beat
}

// NewMember returns a member that has announced nothing yet.
func NewMember(table *Table, o Options) *Member {
	if o.TTL == 0 {
		o.TTL = TTL
	}
	if o.Beat == 0 {
		o.Beat = Beat
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // does not fail
	return &Member{table: table, id: hex.EncodeToString(id[:]), name: processName(), ttl: o.TTL, beat: o.Beat, poke: make(chan struct{}, 1)}
}

// processName names the process for operators.
func processName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return strings.Join(strings.Fields(host), "_") + ":" + fmt.Sprint(os.Getpid())
}

// Share is the part of a group's work that a member has. Nil has everything, as where nobody else works. It is safe for
// concurrent use.
type Share struct {
	member *Member
	// Guarded by member.mu.
	group   Group
	away    time.Time // until then it takes nothing
	held    map[int]holding
	changed chan struct{} // closed when held changes
	stats   Stats
}

// holding is a lease that the member has.
type holding struct {
	token int64
	until deadline
}

// deadline is when a lease ends at the latest, by two clocks: the one that never steps may stand while the machine sleeps.
type deadline struct{ steady, wall time.Time }

// after returns the deadline of a lease that was asked for at a time, which was before it began.
func after(asked time.Time, lasts time.Duration) deadline {
	return deadline{asked.Add(lasts), asked.Round(0).Add(lasts)}
}

func (d deadline) over() bool {
	now := time.Now()
	return !now.Before(d.steady) || !now.Round(0).Before(d.wall)
}

// Stats counts what happened to leases of a group.
type Stats struct {
	Taken    int64 // leases that the member got
	TakenOff int64 // of them, those that another member had and did not give up
	Lost     int64 // leases that ended, or that others took, while the member had them
}

// Join takes part in the work of a group. A member joins a group once; joining again changes the number of its parts, which only
// grows.
func (m *Member) Join(g Group) *Share {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.hurry()
	for _, s := range m.shares {
		if s.group.Name == g.Name {
			s.group.Parts, s.away = max(g.Parts, s.group.Parts), time.Time{}
			return s
		}
	}
	s := &Share{member: m, group: g, held: map[int]holding{}, changed: make(chan struct{})}
	m.shares = append(m.shares, s)
	return s
}

// hurry has Run look at once.
func (m *Member) hurry() {
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// Err is why the member does not know what it holds, nil if it does.
func (m *Member) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Has reports whether the member holds a part now.
func (s *Share) Has(number int) bool {
	if s == nil {
		return true
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	h, ok := s.held[number]
	return ok && !h.until.over()
}

// Changed is closed when the member has got or lost a part since the call. It is nil for a nil Share.
func (s *Share) Changed() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	return s.changed
}

// Stats returns the counts.
func (s *Share) Stats() Stats {
	s.member.mu.Lock()
	defer s.member.mu.Unlock()
	return s.stats
}

// Leave gives up all parts, for a while: the member cannot do the work, and others may. It takes nothing of the
// group for that long. Without others in the group it changes nothing.
func (s *Share) Leave(pause time.Duration) {
	if s == nil {
		return
	}
	m := s.member
	m.mu.Lock()
	defer m.mu.Unlock()
	if able := m.seen.loads(m.id).able[s.group.Name]; len(able) > 1 {
		s.away = time.Now().Add(pause)
		m.hurry()
	}
}

// change closes the channel of those who wait. The caller holds member.mu.
func (s *Share) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Run announces the member, and renews, takes and gives up leases until ctx ends, which is not an error. Then it
// gives up all of them. Errors are reported once while they persist; leases end unless they are renewed in time.
func (m *Member) Run(ctx context.Context, report func(error)) error {
	tick := time.NewTicker(m.beat)
	defer tick.Stop()
	said := ""
	for {
		err := m.exchange(ctx)
		if ctx.Err() != nil {
			return m.release(context.WithoutCancel(ctx))
		}
		if errors.Is(err, eventlog.ErrClosed) {
			return err
		}
		now := ""
		if err != nil {
			if now = err.Error(); now != said {
				report(err)
			}
		}
		said = now
		select {
		case <-ctx.Done():
			return m.release(context.WithoutCancel(ctx))
		case <-tick.C:
		case <-m.poke:
		}
	}
}

// release gives up everything and removes the member. If that fails, the leases end by themselves.
func (m *Member) release(ctx context.Context) error {
	m.mu.Lock()
	var gives []change
	for _, s := range m.shares {
		for number, h := range s.held {
			gives = append(gives, giving(part{s.group.Name, number}, h.token))
		}
		clear(s.held)
		s.change()
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.ttl)
	defer cancel()
	_, _, _ = m.table.exchange(ctx, m.ttl.Microseconds(), m.id, "", gives)
	return nil
}

// exchange renews what the member holds, and then takes and gives up what it should.
func (m *Member) exchange(ctx context.Context) error {
	renewed, about := m.holdings()
	asked := time.Now()
	s, err := m.call(ctx, about, renewed, asked)
	if err != nil {
		return m.expire(err)
	}
	changes := m.decide(&s)
	if len(changes) == 0 {
		return nil
	}
	asked = time.Now()
	if _, err = m.call(ctx, about, changes, asked); err != nil {
		return m.expire(err)
	}
	return nil
}

// proposal is a change of the lease of a part, or of another field.
type proposal struct {
	change
	part part
	over bool // takes the part from another member
}

// call makes changes and takes over what came of them.
func (m *Member) call(ctx context.Context, about string, proposals []proposal, asked time.Time) (state, error) {
	changes := make([]change, len(proposals))
	for i := range proposals {
		changes[i] = proposals[i].change
	}
	done, s, err := m.table.exchange(ctx, m.ttl.Microseconds(), m.id, about, changes)
	if err != nil {
		return s, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen, m.err = s, nil
	for i, p := range proposals {
		m.made(p, done[i], &s, after(asked, m.ttl))
	}
	return s, nil
}

// made takes over what came of a proposal.
func (m *Member) made(p proposal, done bool, s *state, until deadline) {
	share := m.share(p.part.group)
	if share == nil {
		return
	}
	_, had := share.held[p.part.number]
	switch {
	case p.what == "renew" && done:
		share.held[p.part.number] = holding{s.leases[p.part].token, until}
		if !had {
			share.change()
		}
	case p.what == "renew" && had:
		delete(share.held, p.part.number)
		share.stats.Lost++
		share.change()
	case p.what == "take" && done:
		share.held[p.part.number] = holding{s.leases[p.part].token, until}
		if share.stats.Taken++; p.over {
			share.stats.TakenOff++
		}
		share.change()
	}
}

func (m *Member) share(group string) *Share {
	for _, s := range m.shares {
		if s.group.Name == group {
			return s
		}
	}
	return nil
}

// holdings returns renewals of what the member holds, and what it announces: its name and the groups it works on.
func (m *Member) holdings() (renewals []proposal, about string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	words := []string{m.name}
	for _, s := range m.shares {
		if time.Now().Before(s.away) {
			continue
		}
		words = append(words, s.group.Name)
		for number, h := range s.held {
			p := part{s.group.Name, number}
			renewals = append(renewals, proposal{change: renewing(p, h.token), part: p})
		}
	}
	return renewals, strings.Join(words, " ")
}

// decide returns the changes that the member wants, given what is stored. What it gives up it does not have any more.
func (m *Member) decide(s *state) []proposal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []proposal
	var groups []Group
	for _, share := range m.shares {
		if slices.Contains(s.members[m.id].groups, share.group.Name) {
			groups = append(groups, share.group)
		}
		out = append(out, m.settle(share, s)...)
	}
	d := decide(s, m.id, groups)
	for _, p := range d.take {
		before := s.leases[p]
		out = append(out, proposal{change{"take", p.field(), cmp.Or(before.raw, s.damaged[p.field()])}, p, before.holder != "" && before.holder != m.id})
	}
	for _, p := range d.give {
		share := m.share(p.group)
		if h, ok := share.held[p.number]; ok {
			delete(share.held, p.number)
			share.change()
			out = append(out, proposal{change: giving(p, h.token), part: p})
		}
	}
	for _, c := range d.drop {
		out = append(out, proposal{change: c})
	}
	return out
}

// settle adds the leases that the member has without knowing, since it got no answer when it took them, and gives
// up those of a group that it has left.
func (m *Member) settle(share *Share, s *state) (out []proposal) {
	left := !slices.Contains(s.members[m.id].groups, share.group.Name)
	for number := range share.group.Parts {
		p := part{share.group.Name, number}
		l := s.leases[p]
		if _, known := share.held[number]; left && known {
			delete(share.held, number)
			share.change()
		} else if known {
			continue
		}
		switch {
		case l.holder != m.id:
		case left:
			out = append(out, proposal{change: giving(p, l.token), part: p})
		case s.held(p) == m.id:
			out = append(out, proposal{change: renewing(p, l.token), part: p})
		}
	}
	return out
}

// expire keeps an error, and drops the leases that have ended meanwhile.
func (m *Member) expire(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
	for _, s := range m.shares {
		for number, h := range s.held {
			if h.until.over() {
				delete(s.held, number)
				s.stats.Lost++
				s.change()
			}
		}
	}
	return err
}
