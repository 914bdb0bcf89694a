package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// object reads the keys of one mapping and reports what is wrong with them.
type object struct {
	r    *reporter
	n    *node
	what string // "FeatureView", "features.spend_7d", for messages
}

// object checks that n is a mapping with no keys but the allowed ones, each once.
// It is nil, after a report, when n is no mapping; unknown keys are only reported.
func (r *reporter) object(n *node, what string, allowed ...string) *object {
	if n.kind != mappingNode {
		r.errorf(n.pos, RuleWrongValue, "%s must be a mapping with the keys %s, found %s",
			what, strings.Join(allowed, ", "), n.describe())
		return nil
	}
	r.uniqueKeys(n)
	for _, e := range n.entries {
		if k := e.key.text; !slices.Contains(allowed, k) {
			r.errorf(e.key.pos, RuleUnknownKey, "%s has no key %q%s; its keys are %s",
				what, k, didYouMean(k, allowed), strings.Join(allowed, ", "))
		}
	}
	return &object{r, n, what}
}

// uniqueKeys reports keys that stand twice in n.
func (r *reporter) uniqueKeys(n *node) {
	first := map[string]*node{}
	for _, e := range n.entries {
		if f, ok := first[e.key.text]; ok {
			r.errorf(e.key.pos, RuleDuplicateKey, "the key %q stands here twice (first at line %d); drop or rename one",
				e.key.text, f.pos.Line)
			continue
		}
		first[e.key.text] = e.key
	}
}

// get is the value of a key, nil when it is absent or null.
func (o *object) get(key string) *node {
	if v, ok := o.n.get(key); ok && !v.isNull() {
		return v
	}
	return nil
}

// need is get for a key that must be there.
func (o *object) need(key string) *node {
	v := o.get(key)
	if v == nil {
		o.r.errorf(o.n.pos, RuleMissingKey, "%s lacks %q", o.what, key)
	}
	return v
}

// text is the value of a key that takes a string, "" when absent.
func (o *object) text(key string) string {
	return o.r.scalarText(o.get(key), o.what+"."+key)
}

// needText is text for a key that must be there.
func (o *object) needText(key string) string {
	return o.r.scalarText(o.need(key), o.what+"."+key)
}

// scalarText is the text of a scalar, quoted or not; "" after a report otherwise.
func (r *reporter) scalarText(n *node, what string) string {
	if n == nil {
		return ""
	}
	if n.kind != scalarNode {
		r.errorf(n.pos, RuleWrongValue, "%s must be a string, found %s", what, n.describe())
		return ""
	}
	return n.text
}

// texts is the value of a key that takes a list of strings.
func (o *object) texts(key string) []string {
	n := o.get(key)
	if n == nil {
		return nil
	}
	if n.kind != sequenceNode {
		o.r.errorf(n.pos, RuleWrongValue, "%s.%s must be a list of strings, found %s", o.what, key, n.describe())
		return nil
	}
	var out []string
	for _, item := range n.items {
		out = append(out, o.r.scalarText(item, o.what+"."+key))
	}
	return out
}

// boolean is the value of a key that takes true or false, false when absent.
func (o *object) boolean(key string) bool {
	v, _ := o.typed(key, plan.T(plan.Bool))
	return v.Bool()
}

// typed is the value of a key that takes a scalar of type t.
func (o *object) typed(key string, t plan.Type) (plan.Value, bool) {
	n := o.get(key)
	if n == nil {
		return plan.Value{}, false
	}
	v, err := value(n, t)
	if err != nil {
		reportValue(o.r, n, RuleWrongValue, err)
		return plan.Value{}, false
	}
	return v, true
}

// span is the value of a key that takes a span such as 15m.
func (o *object) span(key string) (plan.Micros, bool) {
	n := o.get(key)
	if n == nil {
		return 0, false
	}
	s, err := plan.ParseSpan(o.r.scalarText(n, o.what+"."+key))
	if err != nil {
		o.r.errorf(n.pos, RuleWrongValue, "%s.%s: %v", o.what, key, err)
		return 0, false
	}
	return s, true
}

// choice is the value of a key that takes one of some words, the first when absent.
func (o *object) choice(key string, words ...string) string {
	n := o.get(key)
	if n == nil {
		return words[0]
	}
	s := o.r.scalarText(n, o.what+"."+key)
	if !slices.Contains(words, s) {
		o.r.errorf(n.pos, RuleWrongValue, "%s.%s is %q%s; it takes %s",
			o.what, key, s, didYouMean(s, words), strings.Join(words, " or "))
		return words[0]
	}
	return s
}

// name is the value of the required key "name", checked to be an identifier.
func (o *object) name() string {
	n := o.need("name")
	if n == nil {
		return ""
	}
	return o.r.identifier(n, o.what+" name")
}

// identifier is the text of n, which expressions can use as a name; "" after a report.
func (r *reporter) identifier(n *node, what string) string {
	s := r.scalarText(n, what)
	switch {
	case n.kind != scalarNode:
		return ""
	case !isIdentifier(s):
		r.errorf(n.pos, RuleBadName, "%s %q is not an identifier; use letters, digits and underscores, not beginning with a digit", what, s)
		return ""
	case reservedNames[s]:
		r.errorf(n.pos, RuleReservedName, "%s %q is reserved; choose another", what, s)
		return ""
	}
	return s
}

func isIdentifier(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// reservedNames are the names with a meaning of their own in every expression:
// those of this language, CEL's key words and the name spaces of its libraries.
var reservedNames = wordSet(`now request
	true false null in as break const continue else for function if import let loop package namespace return var void while
	math sets strings regex lists optional cel google`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
