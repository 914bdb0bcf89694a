package yamldoc

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// Object reads the keys of one mapping and reports errors in them.
type Object struct {
	r        *Reader
	Node     *Node
	what     string           // "FeatureView" or "features.spend_7d", for messages
	misspelt map[string]*Node // values of unknown keys, by the key that was probably meant
}

// Object checks that n is a mapping with only the allowed keys, each once. It returns nil
// after reporting that n is not a mapping. Unknown keys are reported; the value of one that
// looks misspelt is used, so that what depends on it causes no more errors.
func (r *Reader) Object(n *Node, what string, allowed ...string) *Object {
	if n.Kind != Mapping {
		r.Errorf(n.Pos, RuleWrongValue, "%s must be a mapping with the keys %s, found %s",
			what, strings.Join(allowed, ", "), n.Describe())
		return nil
	}
	r.UniqueKeys(n)
	o := &Object{r: r, Node: n, what: what}
	for _, e := range n.Entries {
		k := e.Key.Text
		if slices.Contains(allowed, k) {
			continue
		}
		r.Errorf(e.Key.Pos, RuleUnknownKey, "%s has no key %q%s; its keys are %s",
			what, k, diag.DidYouMean(k, allowed), strings.Join(allowed, ", "))
		if meant, ok := diag.Meant(k, allowed); ok {
			if o.misspelt == nil {
				o.misspelt = map[string]*Node{}
			}
			o.misspelt[meant] = e.Value
		}
	}
	return o
}

// UniqueKeys reports keys that occur twice in n.
func (r *Reader) UniqueKeys(n *Node) {
	first := map[string]*Node{}
	for _, e := range n.Entries {
		if f, ok := first[e.Key.Text]; ok {
			r.Errorf(e.Key.Pos, RuleDuplicateKey, "the key %q occurs twice (first at line %d); remove or rename one",
				e.Key.Text, f.Pos.Line)
			continue
		}
		first[e.Key.Text] = e.Key
	}
}

// Get returns the value of a key, nil if it is absent or null.
func (o *Object) Get(key string) *Node {
	v, ok := o.Node.Get(key)
	if !ok {
		v, ok = o.misspelt[key]
	}
	if ok && !v.IsNull() {
		return v
	}
	return nil
}

// Need is Get for a required key.
func (o *Object) Need(key string) *Node {
	v := o.Get(key)
	if v == nil {
		o.r.Errorf(o.Node.Pos, RuleMissingKey, "%s has no %q", o.what, key)
	}
	return v
}

// Text returns the value of a key that takes a string, "" if absent.
func (o *Object) Text(key string) string {
	return o.r.ScalarText(o.Get(key), o.what+"."+key)
}

// NeedText is Text for a required key.
func (o *Object) NeedText(key string) string {
	return o.r.ScalarText(o.Need(key), o.what+"."+key)
}

// ScalarText returns the text of a scalar, quoted or not; "" after reporting an error.
func (r *Reader) ScalarText(n *Node, what string) string {
	if n == nil {
		return ""
	}
	if n.Kind != Scalar {
		r.Errorf(n.Pos, RuleWrongValue, "%s must be a string, found %s", what, n.Describe())
		return ""
	}
	return n.Text
}

// Texts returns the value of a key that takes a list of strings.
func (o *Object) Texts(key string) []string {
	n := o.Get(key)
	if n == nil {
		return nil
	}
	if n.Kind != Sequence {
		o.r.Errorf(n.Pos, RuleWrongValue, "%s.%s must be a list of strings, found %s", o.what, key, n.Describe())
		return nil
	}
	var out []string
	for _, item := range n.Items {
		out = append(out, o.r.ScalarText(item, o.what+"."+key))
	}
	return out
}

// Boolean returns the value of a key that takes true or false, false if absent.
func (o *Object) Boolean(key string) bool {
	v, _ := o.Typed(key, plan.T(plan.Bool))
	return v.Bool()
}

// Typed returns the value of a key that takes a scalar of type t.
func (o *Object) Typed(key string, t plan.Type) (plan.Value, bool) {
	n := o.Get(key)
	if n == nil {
		return plan.Value{}, false
	}
	return o.r.Value(n, t, RuleWrongValue)
}

// Span returns the value of a key that takes a span such as 15m.
func (o *Object) Span(key string) (plan.Micros, bool) {
	n := o.Get(key)
	if n == nil {
		return 0, false
	}
	s, err := plan.ParseSpan(o.r.ScalarText(n, o.what+"."+key))
	if err != nil {
		o.r.Errorf(n.Pos, RuleWrongValue, "%s.%s: %v", o.what, key, err)
		return 0, false
	}
	return s, true
}

// Choice returns the value of a key that takes one of several words, the first if absent.
func (o *Object) Choice(key string, words ...string) string {
	n := o.Get(key)
	if n == nil {
		return words[0]
	}
	s := o.r.ScalarText(n, o.what+"."+key)
	if !slices.Contains(words, s) {
		o.r.Errorf(n.Pos, RuleWrongValue, "%s.%s is %q%s; it takes %s",
			o.what, key, s, diag.DidYouMean(s, words), strings.Join(words, " or "))
		return words[0]
	}
	return s
}

// Name returns the value of the required key "name", which must be an identifier.
func (o *Object) Name() string {
	n := o.Need("name")
	if n == nil {
		return ""
	}
	return o.r.Identifier(n, o.what+" name")
}

// Identifier returns the text of n, which must be usable as a name in expressions; "" after
// reporting an error.
func (r *Reader) Identifier(n *Node, what string) string {
	s := r.ScalarText(n, what)
	switch {
	case n.Kind != Scalar:
		return ""
	case !IsIdentifier(s):
		r.Errorf(n.Pos, RuleBadName, "%s %q is not an identifier; use letters, digits and underscores, not beginning with a digit", what, s)
		return ""
	case reservedNames[s]:
		r.Errorf(n.Pos, RuleReservedName, "%s %q is reserved; choose another", what, s)
		return ""
	}
	return s
}

func IsIdentifier(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// reservedNames have a meaning in every expression: those of this language, CEL's keywords
// and the namespaces of its libraries.
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
