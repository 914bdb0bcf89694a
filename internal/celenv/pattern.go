package celenv

import (
	"math"
	"regexp/syntax"
	"slices"
	"unicode"

	"github.com/unskew/unskew/featuredefs/plan"
)

// pattern is what a regular expression costs. A search reads its text once and keeps
// track of every instruction of the program. To find all matches, it starts again after
// each; what it had read beyond the match, in hope of a better one, is read again.
type pattern struct {
	text string
	or   []*pattern // of a text that is one of several

	known bool
	insts uint64 // instructions of the program
	waste uint64 // characters read beyond a match; the largest number: all that follow
}

// either is the pattern of a text that is one of two.
func either(a, b Size) *pattern {
	if a.pattern == nil || b.pattern == nil {
		return nil
	}
	if a.pattern == b.pattern {
		return a.pattern
	}
	return &pattern{or: []*pattern{a.pattern, b.pattern}}
}

// learn finds out what p costs, which most texts are never asked.
func (p *pattern) learn() {
	if p.known {
		return
	}
	p.known = true
	for _, q := range p.or {
		q.learn()
		p.insts, p.waste = max(p.insts, q.insts), max(p.waste, q.waste)
	}
	if p.or != nil {
		return
	}
	p.insts = 1 // of one that does not parse and fails at once
	if re, err := syntax.Parse(p.text, syntax.Perl); err == nil {
		if prog, err := syntax.Compile(re.Simplify()); err == nil {
			p.insts, p.waste = uint64(len(prog.Inst)), newSearch(prog).waste()
		}
	}
}

// once is the cost of compiling a pattern and searching a text for one match. A pattern
// that is not a literal may be as expensive as it likes.
func (p *pattern) once(text uint64) uint64 {
	if p == nil {
		return UnknownCost
	}
	p.learn()
	return add(mul(p.insts, 70), mul(add(text, 1), p.insts, 2))
}

// all is the cost of finding every match.
func (p *pattern) all(text uint64) uint64 {
	if p == nil {
		return UnknownCost
	}
	p.learn()
	again := min(p.waste, text/2)
	reset := min(mul(p.insts, text), 1<<18) / 4096 // of what a search remembers
	return add(p.once(text), mul(add(text, 1), add(40, reset, mul(again, p.insts, 2))))
}

func matched(_ *plan.Expr, args []Size) (uint64, Size) {
	return args[1].pattern.once(args[0].text), scalar
}

func extracted(_ *plan.Expr, args []Size) (uint64, Size) {
	return args[1].pattern.once(args[0].text), textOf(args[0].text)
}

func extractedAll(_ *plan.Expr, args []Size) (uint64, Size) {
	text := args[0].text
	n := add(text, 1)
	return args[1].pattern.all(text), Size{items: n, nodes: add(1, n), text: text, elem: textOf(text).ref()}
}

// replacedAll: each replacement is as long as it is written, and what its groups hold is
// no longer than the text, for all matches together.
func replacedAll(_ *plan.Expr, args []Size) (uint64, Size) {
	text, by := args[0].text, args[2].text
	size := textOf(add(text, mul(add(text, 1), by), mul(text, by)))
	return add(args[1].pattern.all(text), mul(add(text, 1), by), size.text/8), size
}

// search is a program as a graph of the instructions that read a character. Where it has
// a choice, the earlier one is preferred: leftmost first.
type search struct {
	prog  *syntax.Prog
	next  map[int]*choice // by the instruction that has been read; start: before any
	runes []rune          // one of every class of characters that the program tells apart
}

// choice is what may be read next, best first, and whether there is a match already; what
// a certain match is preferred to is left out.
type choice struct {
	reads []read
	ends  bool // with a match, at least if some condition on the place holds
	sure  bool // without any condition
}

type read struct {
	inst int
	sure bool
}

const start = -1

func newSearch(prog *syntax.Prog) *search {
	s := &search{prog: prog, next: map[int]*choice{start: {}}}
	s.follow(s.next[start], prog.Start, true, map[read]bool{})
	classes := map[rune]bool{0: true, '\n': true, '\n' + 1: true}
	for i := range prog.Inst {
		in := &prog.Inst[i]
		if !reads(in) {
			continue
		}
		s.next[i] = &choice{}
		s.follow(s.next[i], int(in.Out), true, map[read]bool{})
		for k, r := range in.Rune {
			if len(in.Rune) == 1 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					classes[f], classes[f+1] = true, true
				}
			}
			classes[r+rune(k%2)] = true // a range ends with its last character
			if len(in.Rune) == 1 {
				classes[r+1] = true
			}
		}
	}
	for r := range classes {
		s.runes = append(s.runes, r)
	}
	slices.Sort(s.runes)
	return s
}

func reads(in *syntax.Inst) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// follow adds to c what comes from instruction pc; it reports that nothing after it counts.
func (s *search) follow(c *choice, pc int, sure bool, seen map[read]bool) bool {
	at := read{pc, sure}
	if seen[at] {
		return false
	}
	seen[at] = true
	in := &s.prog.Inst[pc]
	switch in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return s.follow(c, int(in.Out), sure, seen) || s.follow(c, int(in.Arg), sure, seen)
	case syntax.InstCapture, syntax.InstNop:
		return s.follow(c, int(in.Out), sure, seen)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(in.Arg)&syntax.EmptyEndText != 0 {
			return false // nothing is left to be read
		}
		return s.follow(c, int(in.Out), false, seen)
	case syntax.InstMatch:
		c.ends, c.sure = true, c.sure || sure
		return sure
	case syntax.InstFail:
		return false
	}
	c.reads = append(c.reads, at)
	return false
}

// maxSearch bounds the work of finding the waste.
const maxSearch = 1 << 21

// pair is two threads of a search of which the second is preferred.
type pair struct{ x, y int }

// waste is the most that is read beyond a match: by a thread that is preferred to the one
// that matched and does not match itself.
func (s *search) waste() uint64 {
	if n := len(s.next); n*n*len(s.runes) > maxSearch {
		return math.MaxUint64
	}
	most := uint64(0)
	for _, p := range s.pairs() {
		if s.next[p.x].ends {
			most = max(most, s.beyond(p.y, map[int]bool{}, map[int]uint64{}))
		}
	}
	for i, c := range s.next {
		if c.ends {
			most = max(most, s.beyond(i, map[int]bool{}, map[int]uint64{}))
		}
	}
	return most
}

// beyond is the most that a thread can read from i on without a match.
func (s *search) beyond(i int, path map[int]bool, known map[int]uint64) uint64 {
	if n, ok := known[i]; ok {
		return n
	}
	path[i] = true
	most := uint64(0)
	for _, r := range s.next[i].reads {
		switch {
		case s.next[r.inst].sure:
			most = max(most, 1)
		case path[r.inst]:
			most = math.MaxUint64
		default:
			most = max(most, add(1, s.beyond(r.inst, path, known)))
		}
	}
	delete(path, i)
	known[i] = most
	return most
}

// pairs are the threads that can be where they are after the same text.
func (s *search) pairs() []pair {
	var todo []pair
	seen := map[pair]bool{}
	found := func(p pair) {
		if p.x != p.y && !seen[p] { // of two threads in one place, one is dropped
			seen[p] = true
			todo = append(todo, p)
		}
	}
	for i, c := range s.next {
		// A thread that began earlier is preferred, and has not matched.
		if !c.sure && !s.next[start].sure {
			found(pair{start, i})
		}
		for _, r := range s.runes {
			taken, _ := s.taken(i, r)
			for k, better := range taken {
				for _, worse := range taken[k+1:] {
					found(pair{worse, better})
				}
			}
		}
	}
	for n := 0; n < len(todo); n++ {
		for _, r := range s.runes {
			ys, matched := s.taken(todo[n].y, r)
			if matched {
				continue
			}
			xs, _ := s.taken(todo[n].x, r)
			for _, x := range xs {
				for _, y := range ys {
					found(pair{x, y})
				}
			}
		}
	}
	return todo
}

// taken lists what reads r next, best first, until a match that is certain.
func (s *search) taken(i int, r rune) (insts []int, matched bool) {
	for _, next := range s.next[i].reads {
		if !s.prog.Inst[next.inst].MatchRune(r) {
			continue
		}
		insts = append(insts, next.inst)
		if next.sure && s.next[next.inst].sure {
			return insts, true
		}
	}
	return insts, false
}
