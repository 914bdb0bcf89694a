package celcost

import (
	"regexp/syntax"

	"github.com/unskew/unskew/featuredefs/plan"
)

// pattern is what a regular expression costs. A search reads its text once and keeps
// track of every instruction of the program. To find all matches, it starts again after
// each; what it had read beyond the match, in hope of a better one, is read again. That
// is once more at most, unless other matches end in it.
type pattern struct {
	text string
	or   []*pattern // of a text that is one of several

	known     bool
	insts     uint64 // instructions of the program
	lookahead uint64 // characters read beyond a match in which others end; the largest number: all that follow
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

// learn finds out what p costs: only for texts that are used as patterns, which few are.
func (p *pattern) learn() {
	if p.known {
		return
	}
	p.known = true
	for _, q := range p.or {
		q.learn()
		p.insts, p.lookahead = max(p.insts, q.insts), max(p.lookahead, q.lookahead)
	}
	if p.or != nil {
		return
	}
	p.insts = 1 // of one that does not parse and fails at once
	if re, err := syntax.Parse(p.text, syntax.Perl); err == nil {
		if prog, err := syntax.Compile(re.Simplify()); err == nil {
			p.insts, p.lookahead = uint64(len(prog.Inst)), newSearch(prog).lookahead()
		}
	}
}

// once is the cost of compiling a pattern and searching a text for one match. A pattern
// that is not a literal may be as expensive as it likes.
func (p *pattern) once(text uint64) uint64 {
	if p == nil {
		return Unknown
	}
	p.learn()
	return add(mul(p.insts, 70), mul(add(text, 1), p.insts, 2))
}

// all is the cost of finding every match.
func (p *pattern) all(text uint64) uint64 {
	if p == nil {
		return Unknown
	}
	p.learn()
	again := min(p.lookahead, text/2)
	reset := min(mul(p.insts, text), 1<<18) / 4096 // of what a search remembers
	return add(mul(p.once(text), 2), mul(add(text, 1), add(40, reset, mul(again, p.insts, 2))))
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
