// Package lease divides the parts of groups of work among the processes that share a Redis server, and
// lets others go on when one of them dies.
//
// A member announces itself and the groups that it can work on. A part of a group, such as a shard of a
// log, is held by one member at a time, until a time by the clock of the Redis server; no clock of a
// member is compared with it. Members hold about equally many parts.
//
// A lease saves work, it does not protect data: a member that is stopped for longer than its lease lasts may
// find out late. What it does must be right even if another member does the same at the same time.
// docs/decisions/0110 says why it is for the states of views.
package lease

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How long a lease lasts, and how often it is renewed. The parts of a member that died are taken after TTL and
// at most Beat.
const (
	TTL  = 3 * time.Second
	Beat = 750 * time.Millisecond
)

// longest bounds how far the end of a lease can be ahead of the server's clock. One that is farther ahead was written
// before that clock was set back, or by hand, and counts as over.
const longest = time.Minute

// state is what a server has of leases and members, as of its time.
type state struct {
	now     int64 // of the server, µs
	members map[string]member
	leases  map[part]lease
	damaged map[string]string // by field: what cannot be read
}

// part is a part of a group.
type part struct {
	group  string
	number int
}

// lease is the stored record of a part.
type lease struct {
	raw     string // as it is stored
	token   int64  // grows with every holder
	expires int64  // µs; of a part that is free: since when
	holder  string // id of a member; "" if it is free
}

// member is the stored record of a member.
type member struct {
	raw     string
	expires int64
	name    string
	groups  []string
}

// free is in the place of a holder's id.
const free = "-"

// Fields of the hash begin with what they are.
const (
	memberField = "m:"
	leaseField  = "l:"
)

func (p part) field() string { return leaseField + p.group + "/" + strconv.Itoa(p.number) }

// decode sorts what is stored. What cannot be read is set apart, so that a damaged record counts as none. Fields of other
// kinds are of a newer version of this program.
func decode(now int64, fields map[string]string) state {
	s := state{now: now, members: map[string]member{}, leases: map[part]lease{}, damaged: map[string]string{}}
	for field, raw := range fields {
		if id, ok := strings.CutPrefix(field, memberField); ok {
			if m, ok := decodeMember(raw); ok {
				s.members[id] = m
			} else {
				s.damaged[field] = raw
			}
		}
		if name, ok := strings.CutPrefix(field, leaseField); ok {
			p, ok := decodePart(name)
			l, readable := decodeLease(raw)
			if ok && readable {
				s.leases[p] = l
			} else {
				s.damaged[field] = raw
			}
		}
	}
	return s
}

func decodePart(name string) (p part, ok bool) {
	at := strings.LastIndexByte(name, '/')
	number, err := strconv.Atoi(name[at+1:])
	return part{name[:max(at, 0)], number}, at > 0 && err == nil && number >= 0
}

func decodeMember(raw string) (m member, ok bool) {
	words := strings.Fields(raw)
	if len(words) < 2 {
		return m, false
	}
	expires, err := strconv.ParseInt(words[0], 10, 64)
	return member{raw, expires, words[1], words[2:]}, err == nil
}

func decodeLease(raw string) (l lease, ok bool) {
	words := strings.Split(raw, " ")
	if len(words) != 3 || words[2] == "" {
		return l, false
	}
	token, err1 := strconv.ParseInt(words[0], 10, 64)
	expires, err2 := strconv.ParseInt(words[1], 10, 64)
	if words[2] == free {
		words[2] = ""
	}
	return lease{raw, token, expires, words[2]}, err1 == nil && err2 == nil && token > 0
}

// current reports whether something that ends at a time has not ended.
func (s *state) current(expires int64) bool {
	return expires > s.now && expires <= s.now+longest.Microseconds()
}

// held returns who holds a part, "" if nobody does.
func (s *state) held(p part) string {
	if l := s.leases[p]; s.current(l.expires) {
		return l.holder
	}
	return ""
}

// Group is work that consists of parts, numbered from 0. Members of one group can do the same work.
type Group struct {
	Name  string // without spaces
	Parts int
}

// decision is what a member does about leases that others may see differently by then.
type decision struct {
	take []part
	give []part
	drop []change // of fields that nobody needs
}

// decide chooses the parts that a member takes, and those it gives up. Every member chooses so that the one that is
// loaded least takes what is free, and that nobody has a part that would make another one, who could have it, less loaded than it is itself;
// members that see the same choose the same. me is in s.members with its groups.
func decide(s *state, me string, groups []Group) decision {
	var d decision
	l := s.loads(me)
	for _, p := range parts(groups) {
		if s.held(p) != "" {
			continue
		}
		if to := l.least(p.group); to != "" {
			if l.add(to, p.group, 1); to == me {
				d.take = append(d.take, p)
			}
		}
	}
	for _, p := range parts(groups) {
		if s.held(p) != me {
			continue
		}
		if to := l.least(p.group); to != "" && l.relieves(to, me, p.group) {
			l.add(to, p.group, 1)
			l.add(me, p.group, -1)
			d.give = append(d.give, p)
		}
	}
	d.drop = s.unneeded()
	return d
}

// loads says how many parts members have.
type loads struct {
	able map[string][]string // by group: the members that can work on it, in order
	all  map[string]int      // by member
	of   map[inGroup]int
}

type inGroup struct{ member, group string }

// loads returns the loads of the members that are there now, of which me is one.
func (s *state) loads(me string) *loads {
	l := &loads{map[string][]string{}, map[string]int{}, map[inGroup]int{}}
	for id, m := range s.members {
		if id != me && !s.current(m.expires) {
			continue
		}
		for _, g := range m.groups {
			l.able[g] = append(l.able[g], id)
		}
	}
	for _, ids := range l.able {
		slices.Sort(ids)
	}
	for p := range s.leases {
		if holder := s.held(p); holder != "" {
			l.add(holder, p.group, 1)
		}
	}
	return l
}

func (l *loads) add(member, group string, n int) {
	l.all[member] += n
	l.of[inGroup{member, group}] += n
}

// compare orders members by their load: first by their parts of the group, so that they share a busy group, then by all
// that they have, so that they share groups with one part each.
func (l *loads) compare(group, a, b string) int {
	return cmp.Or(cmp.Compare(l.of[inGroup{a, group}], l.of[inGroup{b, group}]), cmp.Compare(l.all[a], l.all[b]))
}

// least returns the member of a group with the least load, the first of several; "" if it has none.
func (l *loads) least(group string) string {
	if len(l.able[group]) == 0 {
		return ""
	}
	return slices.MinFunc(l.able[group], func(a, b string) int { return l.compare(group, a, b) })
}

// relieves reports whether a part of the group should go from one member to another: the other one then still has
// no more than the first one has then. So parts do not go back.
func (l *loads) relieves(to, from, group string) bool {
	more := l.of[inGroup{from, group}] - l.of[inGroup{to, group}]
	return more >= 2 || more == 1 && l.all[from]-l.all[to] >= 2
}

// parts lists the parts of groups. Those of all groups with a number come before those with the next one, so that one
// member does not get whole groups.
func parts(groups []Group) []part {
	var out []part
	for k, more := 0, true; more; k++ {
		more = false
		for _, g := range groups {
			if k < g.Parts {
				out, more = append(out, part{g.Name, k}), true
			}
		}
	}
	return out
}

// forgotten is how long records stay that nobody renews: of members that have gone, of groups that nobody has any more.
const forgotten = time.Hour

// unneeded returns the removal of records that ended long ago, and of those that cannot be read. A part without a
// record gets a token from the server's clock, so that it exceeds those before.
func (s *state) unneeded() []change {
	var out []change
	old := func(expires int64) bool { return expires < s.now-forgotten.Microseconds() }
	for id, m := range s.members {
		if old(m.expires) {
			out = append(out, change{"drop", memberField + id, m.raw})
		}
	}
	for p, l := range s.leases {
		if old(l.expires) {
			out = append(out, change{"drop", p.field(), l.raw})
		}
	}
	for field, raw := range s.damaged {
		out = append(out, change{"drop", field, raw})
	}
	return out
}
