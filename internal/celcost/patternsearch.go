package celcost

import (
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"unicode"
)

// search follows the threads of a regular expression through texts. A thread is identified by
// the instruction that read the last character, or start. Among several ways to continue, an
// earlier one is preferred (leftmost-first).
type search struct {
	prog  *syntax.Prog
	runes []rune // one of each class of characters that the program distinguishes
	known map[place]*choice
	sets  map[string]*threads
	steps int
}

const start = -1

// maxSteps bounds the work of finding the lookahead. A pattern that needs more counts as one
// with unbounded lookahead.
const maxSteps = 1 << 19

// place is the last instruction of a thread, and the empty-width conditions that are true
// before the next character.
type place struct {
	inst int
	at   syntax.EmptyOp
}

// choice is the instructions that may read the next character, in order of preference, until
// one is a match.
type choice struct {
	reads []int
	ends  bool // a match is possible, and preferred to the remaining instructions
}

// threads is a set of threads of one search, by their last instructions. They are preferred to
// a match that was found before, and have not matched themselves.
type threads struct {
	key   string
	insts []int
}

func newSearch(prog *syntax.Prog) *search {
	s := &search{prog: prog, known: map[place]*choice{}, sets: map[string]*threads{}}
	bounds := map[rune]bool{0: true, '\n': true, '\n' + 1: true, '0': true, '9' + 1: true, 'A': true, 'Z' + 1: true, '_': true, '_' + 1: true, 'a': true, 'z' + 1: true}
	for i := range prog.Inst {
		if in := &prog.Inst[i]; reads(in) {
			classBounds(bounds, in.Rune)
		}
	}
	s.chooseRunes(bounds)
	return s
}

func reads(in *syntax.Inst) bool {
	switch in.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// classBounds adds the characters at which a class begins or has ended.
func classBounds(bounds map[rune]bool, class []rune) {
	for k, r := range class {
		bounds[r+rune(k%2)] = true // odd entries are the last characters of ranges
	}
	if len(class) == 1 { // a single character may match in either case
		r := class[0]
		bounds[r+1] = true
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			bounds[f], bounds[f+1] = true, true
		}
	}
}

// chooseRunes keeps one of all characters that are read by the same instructions.
func (s *search) chooseRunes(bounds map[rune]bool) {
	all := make([]rune, 0, len(bounds))
	for r := range bounds {
		all = append(all, r)
	}
	slices.Sort(all)
	seen := map[string]bool{}
	for _, r := range all {
		signature := []byte{byte(kindOf(r))}
		for i := range s.prog.Inst {
			if in := &s.prog.Inst[i]; reads(in) && in.MatchRune(r) {
				signature = append(signature, byte(i), byte(i>>8), byte(i>>16))
			}
		}
		if !seen[string(signature)] {
			seen[string(signature)] = true
			s.runes = append(s.runes, r)
		}
	}
}

// kindOf is a representative of the characters that empty-width conditions do not distinguish
// from r.
func kindOf(r rune) rune {
	switch {
	case syntax.IsWordChar(r):
		return 'a'
	case r == '\n':
		return r
	}
	return ' '
}

// choices are the ways in which a thread can continue between two characters.
func (s *search) choices(inst int, prev, next rune) *choice {
	p := place{inst, syntax.EmptyOpContext(prev, next)}
	if c := s.known[p]; c != nil {
		return c
	}
	c := &choice{}
	pc := s.prog.Start
	if inst != start {
		pc = int(s.prog.Inst[inst].Out)
	}
	s.follow(c, pc, p.at, map[int]bool{})
	s.known[p] = c
	return c
}

// follow adds to c the instructions reachable from pc, until a match.
func (s *search) follow(c *choice, pc int, at syntax.EmptyOp, seen map[int]bool) {
	if c.ends || seen[pc] {
		return
	}
	seen[pc] = true
	switch in := &s.prog.Inst[pc]; in.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		s.follow(c, int(in.Out), at, seen)
		s.follow(c, int(in.Arg), at, seen)
	case syntax.InstCapture, syntax.InstNop:
		s.follow(c, int(in.Out), at, seen)
	case syntax.InstEmptyWidth:
		if syntax.EmptyOp(in.Arg)&^at == 0 {
			s.follow(c, int(in.Out), at, seen)
		}
	case syntax.InstMatch:
		c.ends = true
	case syntax.InstFail:
	default:
		c.reads = append(c.reads, pc)
	}
}

// reading lists the instructions that read r.
func (s *search) reading(insts []int, r rune) []int {
	var out []int
	for _, i := range insts {
		if s.prog.Inst[i].MatchRune(r) {
			out = append(out, i)
		}
	}
	return out
}

// set is the set of threads with the given last instructions, nil for none.
func (s *search) set(insts []int) *threads {
	if len(insts) == 0 {
		return nil
	}
	slices.Sort(insts)
	insts = slices.Compact(insts)
	key := fmt.Sprint(insts)
	if s.sets[key] == nil {
		s.sets[key] = &threads{key, insts}
	}
	return s.sets[key]
}

// next advances threads by r. It returns nil if one of them matches before r, because then the
// earlier match is not the result of the search.
func (s *search) next(t *threads, prev, r rune) *threads {
	var insts []int
	for _, i := range t.insts {
		c := s.choices(i, prev, r)
		if c.ends {
			return nil
		}
		insts = append(insts, s.reading(c.reads, r)...)
	}
	return s.set(insts)
}

// beyond is a state of two searches over the same text: the first has found a match and reads
// beyond it, the second began right after the match.
type beyond struct {
	better *threads // of the first search
	fresh  int      // thread of the second search
	prev   rune     // kindOf the last character
}

// lookahead is the largest number of characters that threads read beyond a match that they
// are preferred to, without matching, if another match can end among these characters; else 0,
// because then the parts read beyond matches do not overlap and are together no longer than
// the text.
func (s *search) lookahead() uint64 {
	var todo []beyond
	seen := map[beyond]bool{}
	found := func(b beyond) {
		if !seen[b] {
			seen[b] = true
			todo = append(todo, b)
		}
	}
	s.begin(found)
	most := uint64(0)
	for n := 0; n < len(todo); n++ {
		if s.step(todo[n], found) {
			most = max(most, s.most(todo))
			break
		}
		if s.steps > maxSteps {
			return math.MaxUint64
		}
	}
	return most
}

// begin finds the sets of threads that can be preferred to a match when it is found.
func (s *search) begin(found func(beyond)) {
	for inst := start; inst < len(s.prog.Inst); inst++ {
		if inst != start && !reads(&s.prog.Inst[inst]) {
			continue
		}
		for _, prev := range s.before(inst) {
			for _, r := range s.runes {
				c := s.choices(inst, prev, r)
				if inst == start && !c.ends { // such a thread began before the match
					continue
				}
				if better := s.set(s.reading(c.reads, r)); better != nil {
					s.start(better, prev, r, found)
				}
			}
		}
	}
}

// before lists the kinds of the last characters that a thread can have read.
func (s *search) before(inst int) []rune {
	if inst == start {
		return []rune{-1, 'a', '\n', ' '}
	}
	var kinds []rune
	for _, r := range s.runes {
		if k := kindOf(r); s.prog.Inst[inst].MatchRune(r) && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// start adds the states in which the second search begins before r, or later.
func (s *search) start(better *threads, prev, r rune, found func(beyond)) {
	found(beyond{better, start, kindOf(r)})
	for _, i := range s.reading(s.choices(start, prev, r).reads, r) {
		found(beyond{better, i, kindOf(r)})
	}
}

// step advances both searches by each character, and reports whether the second one matches.
func (s *search) step(b beyond, found func(beyond)) bool {
	for _, r := range s.runes {
		s.steps++
		if slices.ContainsFunc(b.better.insts, func(i int) bool { return s.choices(i, b.prev, r).ends }) {
			continue
		}
		c := s.choices(b.fresh, b.prev, r)
		if c.ends {
			return true
		}
		better := s.next(b.better, b.prev, r)
		switch {
		case better == nil:
		case b.fresh == start:
			s.start(better, b.prev, r, found)
		default:
			for _, i := range s.reading(c.reads, r) {
				found(beyond{better, i, kindOf(r)})
			}
		}
	}
	return false
}

// most is the largest number of characters that threads of the given states can read,
// including a final match.
func (s *search) most(from []beyond) uint64 {
	l := &longest{s: s, path: map[beyond]bool{}, known: map[beyond]uint64{}}
	most := uint64(0)
	for _, b := range from {
		most = max(most, add(1, l.from(b.better, b.prev)))
	}
	return most
}

// longest finds the longest text that threads can read without a match.
type longest struct {
	s     *search
	path  map[beyond]bool
	known map[beyond]uint64
}

func (l *longest) from(t *threads, prev rune) uint64 {
	b := beyond{better: t, prev: prev}
	if n, ok := l.known[b]; ok {
		return n
	}
	if l.s.steps++; l.path[b] || l.s.steps > maxSteps {
		return math.MaxUint64
	}
	l.path[b] = true
	most := uint64(0)
	for _, r := range l.s.runes {
		if next := l.s.next(t, prev, r); next != nil {
			most = max(most, add(1, l.from(next, kindOf(r))))
		}
	}
	delete(l.path, b)
	l.known[b] = most
	return most
}
