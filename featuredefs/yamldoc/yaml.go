package yamldoc

import (
	"errors"
	"fmt"
	"strings"

	yamlerrors "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// Node is a YAML value with its position in the file. Aliases are resolved to the node they
// refer to, which is shared.
type Node struct {
	Kind    Kind
	file    *File
	Pos     plan.Pos
	style   scalarStyle
	Text    string  // scalar: its value
	tag     string  // scalar: an explicit tag such as "!!binary"
	Items   []*Node // sequence
	Entries []Entry // mapping, in order, duplicates included
	weight  int     // number of nodes in this subtree, counting aliases at each use
}

type Entry struct {
	Key   *Node // a scalar
	Value *Node
}

type Kind uint8

const (
	Scalar Kind = iota
	Sequence
	Mapping
)

// scalarStyle is how a scalar is written. Only plain ones can be other than strings.
type scalarStyle uint8

const (
	plainStyle scalarStyle = iota
	singleQuoted
	doubleQuoted
	literalBlock // |
	foldedBlock  // >
)

// Limits that protect against hostile input; real definitions are far below them.
const (
	MaxFileSize  = 16 << 20
	maxDepth     = 200
	maxNodeCount = 2_000_000
)

// parseDocument parses one YAML document; nil after reporting an error.
func parseDocument(r *diag.Reporter, d document) *Node {
	c := &converter{r: r, doc: d, anchors: map[string]*Node{}}
	text := d.text()
	if line, col, ok := tooDeep(text); ok {
		c.errorf(line, col, "nested more than %d levels deep; flatten the document", maxDepth)
		return nil
	}
	body, err := parseYAML(text)
	if err != nil {
		c.syntaxError(err)
		return nil
	}
	if body == nil {
		return nil
	}
	n := c.node(body, 0)
	if c.failed {
		return nil
	}
	return n
}

// parseYAML returns the body of a document without markers. The parser is known to panic on
// some malformed input; that is treated as a syntax error.
func parseYAML(text string) (body ast.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser failed (%v); look for unbalanced quotes or brackets", p)
		}
	}()
	f, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil || len(f.Docs) == 0 {
		return nil, err
	}
	return f.Docs[0].Body, nil
}

// tooDeep finds the first position where brackets or indentation nest deeper than maxDepth.
// It also counts brackets in strings, which only makes it stricter.
func tooDeep(text string) (line, col int, found bool) {
	depth := 0
	for i, l := range strings.Split(text, "\n") {
		if indent := len(l) - len(strings.TrimLeft(l, " -?:")); indent > 4*maxDepth {
			return i + 1, 1, true
		}
		for j, r := range l {
			switch r {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(0, depth-1)
			}
			if depth > maxDepth {
				return i + 1, j + 1, true
			}
		}
	}
	return 0, 0, false
}

// converter converts the parser's tree to nodes.
type converter struct {
	r       *diag.Reporter
	doc     document
	anchors map[string]*Node
	count   int
	failed  bool
}

// at converts a line and column of the document to a position in the file.
func (c *converter) at(line, col int) plan.Pos {
	return c.doc.file.Pos(c.doc.first+max(line, 1), max(col, 1))
}

func (c *converter) errorf(line, col int, format string, args ...any) {
	c.failed = true
	c.r.Errorf(c.at(line, col), RuleYAMLSyntax, format, args...)
}

func (c *converter) syntaxError(err error) {
	var syntax *yamlerrors.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		p := syntax.Token.Position
		if key, value, at, ok := cutValue(c.doc.text(), syntax.Message, p.Line, p.Column); ok {
			c.unquoted(key, value, c.at(at.Line, at.Col))
			return
		}
		hint := ""
		if strings.Contains(syntax.Message, "mapping value is not allowed") {
			hint = `; quote an expression that contains ": " or " #"`
		}
		c.errorf(p.Line, p.Column, "%s%s", syntax.Message, hint)
		return
	}
	c.errorf(1, 1, "%v", err)
}

// node converts n; it never returns nil, and sets failed if it could not convert.
func (c *converter) node(n ast.Node, depth int) *Node {
	out := c.convert(n, depth)
	if out.weight == 0 {
		out.weight = out.weigh()
	}
	return out
}

func (c *converter) convert(n ast.Node, depth int) *Node {
	out := &Node{file: c.doc.file, Pos: c.start(n)}
	if c.count++; c.count > maxNodeCount || depth > maxDepth {
		if !c.failed {
			c.errorf(out.Pos.Line-c.doc.first, out.Pos.Col, "the document is too large or too deeply nested; split it")
		}
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		c.mapping(out, n.Values, depth)
		if n.IsFlowStyle {
			c.cutInBraces(out)
		}
		return out
	case *ast.MappingValueNode:
		return c.mapping(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.Kind = Sequence
		for _, v := range n.Values {
			if scalar := c.splitScalar(v); n.IsFlowStyle && scalar != nil {
				scalar.weight = 1
				out.Items = append(out.Items, scalar)
				continue
			}
			out.Items = append(out.Items, c.node(v, depth+1))
		}
		return out
	case *ast.AnchorNode:
		return c.anchor(n, depth)
	case *ast.AliasNode:
		return c.alias(out, n)
	case *ast.TagNode:
		return c.tagged(out, n, depth)
	case *ast.LiteralNode:
		return literalScalar(out, n)
	case *ast.NullNode:
		if n.Token.Type == token.ImplicitNullType {
			out.Text = ""
			return out
		}
	}
	return c.scalar(out, n)
}

// start returns where n begins in the file: for a mapping its first key.
func (c *converter) start(n ast.Node) plan.Pos {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return c.start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return c.start(n.Key)
	case *ast.MappingKeyNode:
		if n.Value != nil {
			return c.start(n.Value)
		}
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return c.at(t.Position.Line, t.Position.Column)
	}
	return c.at(1, 1)
}

func (c *converter) scalar(out *Node, n ast.Node) *Node {
	t := n.GetToken()
	if t == nil {
		c.failed = true
		c.r.Errorf(out.Pos, RuleYAMLSyntax, "this YAML construct is not supported; write a scalar, list or mapping")
		return out
	}
	out.Text = t.Value
	switch t.Type {
	case token.SingleQuoteType:
		out.style = singleQuoted
	case token.DoubleQuoteType:
		out.style = doubleQuoted
	}
	return out
}

// splitScalar works around a bug of the parser: in a flow list inside a flow mapping it reads
// a plain scalar with a colon, such as localhost:6379 or a time, as a pair. A colon that is
// not followed by a separator is part of a plain scalar (YAML 1.2, section 7.3.3). It returns
// nil for everything else.
func (c *converter) splitScalar(n ast.Node) *Node {
	pair := lonePair(n)
	if pair == nil || pair.Start == nil || pair.Value == nil {
		return nil
	}
	key, value := pair.Key.GetToken(), pair.Value.GetToken()
	if key == nil || value == nil || !isPlain(key) || !isPlain(value) {
		return nil
	}
	colon := pair.Start.Position
	if colon.Line != value.Position.Line || colon.Column+1 != value.Position.Column {
		return nil
	}
	return &Node{file: c.doc.file, Pos: c.start(pair.Key), Text: key.Value + ":" + value.Value}
}

// lonePair returns the only pair of a mapping written without braces.
func lonePair(n ast.Node) *ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingValueNode:
		return n
	case *ast.MappingNode:
		if len(n.Values) == 1 && !n.IsFlowStyle {
			return n.Values[0]
		}
	}
	return nil
}

func isPlain(t *token.Token) bool {
	switch t.CharacterType {
	case token.CharacterTypeIndicator, token.CharacterTypeInvalid:
		return false
	}
	return t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType && t.Type != token.ImplicitNullType
}

func literalScalar(out *Node, n *ast.LiteralNode) *Node {
	out.style = literalBlock
	if n.Start.Type == token.FoldedType {
		out.style = foldedBlock
	}
	if n.Value != nil {
		out.Text = n.Value.Value
	}
	return out
}

func (c *converter) mapping(out *Node, values []*ast.MappingValueNode, depth int) *Node {
	out.Kind = Mapping
	var merged []Entry
	for _, v := range values {
		if v.Key.IsMergeKey() {
			merged = append(merged, c.merge(v, depth)...)
			continue
		}
		key := c.key(v.Key, depth)
		if key == nil {
			continue
		}
		out.Entries = append(out.Entries, Entry{key, c.value(v, key, depth)})
	}
	for _, e := range merged {
		if _, ok := out.Get(e.Key.Text); !ok {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}

func (c *converter) key(k ast.MapKeyNode, depth int) *Node {
	var n ast.Node = k
	if mk, ok := n.(*ast.MappingKeyNode); ok && mk.Value != nil {
		n = mk.Value
	}
	key := c.node(n, depth+1)
	if key.Kind != Scalar {
		c.failed = true
		c.r.Errorf(key.Pos, RuleYAMLSyntax, "a key must be a scalar")
		return nil
	}
	return key
}

// value converts the value of an entry. An absent value gets the position of its key.
func (c *converter) value(v *ast.MappingValueNode, key *Node, depth int) *Node {
	if v.Value == nil {
		return &Node{file: c.doc.file, Pos: key.Pos}
	}
	n := c.node(v.Value, depth+1)
	if null, ok := v.Value.(*ast.NullNode); ok && null.Token.Type == token.ImplicitNullType {
		n.Pos = key.Pos
	}
	return n
}

// merge returns the entries of a "<<" key: a mapping or a list of mappings.
func (c *converter) merge(v *ast.MappingValueNode, depth int) []Entry {
	n := c.node(v.Value, depth+1)
	sources := []*Node{n}
	if n.Kind == Sequence {
		sources = n.Items
	}
	var out []Entry
	for _, s := range sources {
		if s.Kind != Mapping {
			c.failed = true
			c.r.Errorf(s.Pos, RuleYAMLSyntax, "<< takes a mapping or a list of mappings")
			continue
		}
		out = append(out, s.Entries...)
	}
	return out
}

func (c *converter) anchor(n *ast.AnchorNode, depth int) *Node {
	if n.Value == nil {
		out := &Node{file: c.doc.file, Pos: c.start(n)}
		c.anchors[anchorName(n.Name)] = out
		return out
	}
	v := c.node(n.Value, depth+1)
	c.anchors[anchorName(n.Name)] = v
	return v
}

func (c *converter) alias(out *Node, n *ast.AliasNode) *Node {
	name := anchorName(n.Value)
	v, ok := c.anchors[name]
	if !ok {
		c.failed = true
		c.r.Errorf(out.Pos, RuleYAMLSyntax, "no anchor &%s comes before this alias in the document", name)
		return out
	}
	c.count += v.weight
	return v
}

func anchorName(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}

// stringTag and the others are the explicit tags that a scalar may have.
const (
	stringTag = "!!str"
	binaryTag = "!!binary"
)

func (c *converter) tagged(out *Node, n *ast.TagNode, depth int) *Node {
	tag := n.Start.Value
	switch tag {
	case stringTag, binaryTag:
	default:
		c.failed = true
		c.r.Errorf(out.Pos, RuleYAMLSyntax, "tag %s is not supported; only %s and %s are", tag, stringTag, binaryTag)
		return out
	}
	if n.Value == nil {
		out.tag = tag
		return out
	}
	v := c.node(n.Value, depth+1)
	if v.Kind != Scalar {
		c.failed = true
		c.r.Errorf(out.Pos, RuleYAMLSyntax, "tag %s needs a scalar", tag)
		return v
	}
	v.tag = tag
	return v
}

// weigh sums the weights of the children of n, up to maxNodeCount: nested aliases can stand
// for exponentially many nodes.
func (n *Node) weigh() int {
	w := 1
	for _, i := range n.Items {
		w = min(w+i.weight, maxNodeCount)
	}
	for _, e := range n.Entries {
		w = min(w+e.Value.weight+1, maxNodeCount)
	}
	return w
}

// Get returns the value of the first entry with the key.
func (n *Node) Get(key string) (*Node, bool) {
	for _, e := range n.Entries {
		if e.Key.Text == key {
			return e.Value, true
		}
	}
	return nil, false
}

// IsNull reports whether n is YAML's null.
func (n *Node) IsNull() bool {
	if n.Kind != Scalar || n.style != plainStyle || n.tag != "" {
		return false
	}
	switch n.Text {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// Describe describes what n is, for messages.
func (n *Node) Describe() string {
	switch {
	case n.Kind == Mapping:
		return "a mapping"
	case n.Kind == Sequence:
		return "a list"
	case n.IsNull():
		return "nothing"
	}
	if n.style == plainStyle {
		return abbreviate(n.Text)
	}
	return fmt.Sprintf("%q", abbreviate(n.Text))
}

// abbreviate shortens an author's text for messages.
func abbreviate(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}
