package lease

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is a table in memory, whose members decide one after the other.
type model struct {
	state
	groups map[string][]Group // by member
}

func newModel() *model {
	return &model{state{now: 1e15, members: map[string]member{}, leases: map[part]lease{}}, map[string][]Group{}}
}

func (m *model) join(id string, groups ...Group) {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	m.groups[id], m.members[id] = groups, member{expires: m.now + 1, groups: names}
}

// die has a member and its leases end.
func (m *model) die(id string) {
	delete(m.groups, id)
	delete(m.members, id)
	for p, l := range m.leases {
		if l.holder == id {
			m.leases[p] = lease{token: l.token, expires: m.now, holder: id}
		}
	}
}

// round has every member decide once, in random order, and reports whether anything changed.
func (m *model) round(rng *rand.Rand) (changed bool) {
	ids := slices.Sorted(maps.Keys(m.groups))
	rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		d := decide(&m.state, id, m.groups[id])
		for _, p := range d.take {
			m.leases[p] = lease{token: m.leases[p].token + 1, expires: m.now + 1, holder: id}
		}
		for _, p := range d.give {
			m.leases[p] = lease{token: m.leases[p].token, expires: m.now}
		}
		changed = changed || len(d.take)+len(d.give) > 0
	}
	return changed
}

// settled checks that every part is held by a member that can work on it, and by none that is loaded more than another that could have it.
func (m *model) settled(t *testing.T) {
	t.Helper()
	l := m.loads("")
	for id, groups := range m.groups {
		for _, p := range parts(groups) {
			holder := m.held(p)
			if !slices.Contains(l.able[p.group], holder) {
				t.Fatalf("%v is held by %q", p, holder)
			}
			more, all := l.of[inGroup{holder, p.group}]-l.of[inGroup{id, p.group}], l.all[holder]-l.all[id]
			if more > 1 || more == 1 && all > 1 {
				t.Fatalf("%v is held by %s, which has %d parts more of the group than %s, and %d more of all", p, holder, more, id, all)
			}
		}
	}
}

// Members that come and go settle soon, with every part in one hand and nobody overloaded, and then change nothing.
func TestMembersShare(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newModel()
		var all []Group
		for i := range 1 + rng.IntN(5) {
			all = append(all, Group{fmt.Sprint("g", i), 1 + rng.IntN(9)})
		}
		for step := range 8 {
			if id := fmt.Sprint("m", rng.IntN(5)); m.groups[id] == nil || rng.IntN(2) == 0 {
				var some []Group
				for _, g := range all {
					if rng.IntN(4) > 0 {
						some = append(some, g)
					}
				}
				m.die(id)
				m.join(id, some...)
			} else {
				m.die(id)
			}
			rounds := 0
			for m.round(rng) {
				if rounds++; rounds > 60 {
					t.Fatalf("seed %d, step %d: not settled after %d rounds: %v", seed, step, rounds, m.leases)
				}
			}
			m.settled(t)
		}
	}
}

// Sources with one shard are divided as well.
func TestSmallGroupsAreSpread(t *testing.T) {
	m := newModel()
	groups := []Group{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}}
	rng := rand.New(rand.NewPCG(1, 1))
	m.join("x", groups...)
	m.round(rng)
	m.join("y", groups...)
	for m.round(rng) {
	}
	if all := m.loads("").all; all["x"] != 2 || all["y"] != 2 {
		t.Errorf("%v", all)
	}
}

// What takes part in the choice counts only while it lasts, by a clock that may have been set back.
func TestEndedRecordsDoNotCount(t *testing.T) {
	p := part{"g", 0}
	for name, c := range map[string]struct {
		expires int64
		held    bool
	}{
		"now":                {0, false},
		"soon":               {1, true},
		"long":               {longest.Microseconds(), true},
		"clock was set back": {longest.Microseconds() + 1, false},
		"over":               {-1, false},
	} {
		m := newModel()
		m.join("me", Group{"g", 1})
		m.members["other"] = member{expires: m.now + 1, groups: []string{"g"}}
		m.leases[p] = lease{token: 5, expires: m.now + c.expires, holder: "other"}
		if got := m.held(p) == "other"; got != c.held {
			t.Errorf("%s: held: %v", name, got)
		}
		if got := len(decide(&m.state, "me", m.groups["me"]).take) == 1; got == c.held {
			t.Errorf("%s: taken: %v", name, got)
		}
	}
	m := newModel()
	m.join("me", Group{"g", 1})
	m.members["aaa"] = member{expires: m.now, groups: []string{"g"}}
	if d := decide(&m.state, "me", m.groups["me"]); len(d.take) != 1 {
		t.Errorf("a part is left to a member that is gone: %+v", d)
	}
}

func TestDecode(t *testing.T) {
	s := decode(7, map[string]string{
		"l:orders/ab/3": "12 99 deadbeef", "l:orders/ab/4": "13 98 -", "m:deadbeef": "99 host:1 orders/ab x/y", "m:quiet": "99 host:2",
		"l:orders/ab/5": "12 99", "l:orders/ab/6": "0 99 x", "l:/7": "12 99 x", "l:orders/-1": "12 99 x", "l:orders/ab/8": "99999999999999999999 1 x",
		"l:orders/ab/9": "12  99", "m:bad": "soon host", "m:worse": "", "x:new": "of a later version",
	})
	if l := s.leases[part{"orders/ab", 3}]; l.token != 12 || l.expires != 99 || l.holder != "deadbeef" {
		t.Errorf("%+v", l)
	}
	if l := s.leases[part{"orders/ab", 4}]; l.holder != "" || l.token != 13 {
		t.Errorf("%+v", l)
	}
	if m := s.members["deadbeef"]; m.name != "host:1" || !slices.Equal(m.groups, []string{"orders/ab", "x/y"}) {
		t.Errorf("%+v", m)
	}
	if len(s.leases) != 2 || len(s.members) != 2 || len(s.damaged) != 8 {
		t.Errorf("%d leases, %d members, damaged: %v", len(s.leases), len(s.members), s.damaged)
	}
}
