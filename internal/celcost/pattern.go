package celcost

import (
	"regexp/syntax"

	"github.com/unskew/unskew/featuredefs/plan"
)

// pattern is the cost of a regular expression. A search reads its text once and tracks every
// instruction of the program. To find all matches, it restarts after each match, and what it
// had read beyond the match, looking for a better one, is read again. That is at most once
// more, unless other matches end there.
type pattern struct {
	text string
	or   []*pattern // the alternatives, if the pattern is one of several texts

	known     bool
	insts     uint64 // number of instructions of the program
	lookahead uint64 // characters read beyond a match in which others end; the largest number: the whole rest
}

// either is the pattern of a text that is a or b.
func either(a, b Size) *pattern {
	if a.pattern == nil || b.pattern == nil {
		return nil
	}
	if a.pattern == b.pattern {
		return a.pattern
	}
	return &pattern{or: []*pattern{a.pattern, b.pattern}}
}

// analyze computes the cost of p. It is called only for texts that are used as patterns.
func (p *pattern) analyze() {
	if p.known {
		return
	}
	p.known = true
	for _, q := range p.or {
		q.analyze()
		p.insts, p.lookahead = max(p.insts, q.insts), max(p.lookahead, q.lookahead)
	}
	if p.or != nil {
		return
	}
	p.insts = 1 // a pattern that does not parse fails immediately
	if re, err := syntax.Parse(p.text, syntax.Perl); err == nil {
		if prog, err := syntax.Compile(re.Simplify()); err == nil {
			p.insts, p.lookahead = uint64(len(prog.Inst)), newSearch(prog).lookahead()
		}
	}
}

// once is the cost of compiling a pattern and searching a text for one match, Unknown if the
// pattern is not a literal.
func (p *pattern) once(text uint64) uint64 {
	if p == nil {
		return Unknown
	}
	p.analyze()
	return add(mul(p.insts, 70), mul(add(text, 1), p.insts, 2))
}

// all is the cost of finding every match.
func (p *pattern) all(text uint64) uint64 {
	if p == nil {
		return Unknown
	}
	p.analyze()
	again := min(p.lookahead, text/2)
	reset := min(mul(p.insts, text), 1<<18) / 4096 // clearing the bitmap of visited states
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

// replacedAll: each match adds at most the replacement as written. The groups of all matches
// together are no longer than the text; the replacement may insert each of them several times.
func replacedAll(_ *plan.Expr, args []Size) (uint64, Size) {
	text, by := args[0].text, args[2].text
	size := textOf(add(text, mul(add(text, 1), by), mul(text, by)))
	return add(args[1].pattern.all(text), mul(add(text, 1), by), size.text/8), size
}
