package lang

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Expression is the CEL text of a scalar and the position of its characters.
type Expression struct {
	text   []rune
	lines  []int // offset of each line in text
	places yamldoc.Offsets
	parsed *cel.Ast // names are replaced by internal ones when they are resolved
	row    bool     // it is about one event
}

// maxExpression bounds the length of an expression, in bytes.
const maxExpression = 20_000

// Parse parses the text of n; nil after reporting an error.
func (c *Compiler) Parse(n *yamldoc.Node, what string) *Expression {
	if n.Kind != yamldoc.Scalar {
		c.r.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s must be an expression, found %s", what, n.Describe())
		return nil
	}
	if len(n.Text) > maxExpression {
		c.r.Errorf(n.Pos, RuleCELSyntax, "%s is longer than %d bytes; split it with let:", what, maxExpression)
		return nil
	}
	x := &Expression{text: []rune(n.Text), places: n.Offsets()}
	x.lines = lineStarts(x.text)
	parsed, iss := c.env.Parse(n.Text)
	if iss.Err() != nil {
		c.reportSyntax(x, iss.Errors())
		return nil
	}
	x.parsed = parsed
	return x
}

func lineStarts(text []rune) []int {
	starts := []int{0}
	for i, r := range text {
		if r == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// syntaxWords rephrases messages of CEL's parser.
var syntaxWords = strings.NewReplacer(
	"Syntax error: ", "",
	"mismatched input ", "unexpected ",
	"extraneous input ", "unexpected ",
	"token recognition error at: ", "unexpected ",
	"no viable alternative at input ", "unexpected ",
	"'<EOF>'", "end of the expression",
)

// reportSyntax reports the parser's first error; the following ones are mostly noise.
func (c *Compiler) reportSyntax(x *Expression, errs []*common.Error) {
	e := errs[0]
	msg, _, _ := strings.Cut(e.Message, " expecting ")
	c.r.Errorf(x.posOf(e.Location), RuleCELSyntax, "cannot read the expression: %s%s", syntaxWords.Replace(msg), x.bareWindow(e.Location))
}

// bareWindow returns a hint if the error is at the unit of a number such as 7d.
func (x *Expression) bareWindow(l common.Location) string {
	line := l.Line() - 1
	if line < 0 || line >= len(x.lines) {
		return ""
	}
	unit := x.lines[line] + l.Column()
	if unit < 0 || unit >= len(x.text) || !strings.ContainsRune("smhd", x.text[unit]) {
		return ""
	}
	begin := unit
	for begin > 0 && x.text[begin-1] >= '0' && x.text[begin-1] <= '9' {
		begin--
	}
	if begin == unit {
		return ""
	}
	return fmt.Sprintf("; a window is a string: %q", string(x.text[begin:unit+1]))
}

// posOf converts a location in the text (line from 1, column from 0) to a position in the
// file.
func (x *Expression) posOf(l common.Location) plan.Pos {
	line := l.Line() - 1
	if line < 0 || line >= len(x.lines) {
		return x.places.At(0)
	}
	return x.places.At(x.lines[line] + l.Column())
}

// tree returns the syntax tree. It is shared, and resolving names modifies it.
func (x *Expression) tree() ast.Expr { return x.parsed.NativeRep().Expr() }

// pos returns the position of e: for a function call where the name begins, for an operator
// that of the operator.
func (x *Expression) pos(e ast.Expr) plan.Pos {
	name := ""
	if e.Kind() == ast.CallKind {
		name = e.AsCall().FunctionName()
	}
	return x.posOfID(e.ID(), name)
}

func (x *Expression) posOfID(id int64, function string) plan.Pos {
	r, ok := x.parsed.NativeRep().SourceInfo().GetOffsetRange(id)
	if !ok {
		return x.places.At(0)
	}
	start := int(r.Start)
	if i := strings.LastIndexByte(function, '.'); i >= 0 {
		function = function[i+1:]
	}
	// The parser reports a call at its parenthesis.
	if n := start - len(function); n >= 0 && start <= len(x.text) && function != "" && string(x.text[n:start]) == function {
		start = n
	}
	return x.places.At(start)
}
