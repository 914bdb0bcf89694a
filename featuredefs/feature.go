package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// featureDecl is a feature of a view or a derived feature of a service.
type featureDecl struct {
	name        string
	index       int // into the features, or derived features, of its owner
	keyNode     *node
	exprNode    *node
	defaultNode *node
	onError     *node // where on_error: default stands
	feature     *plan.Feature
	x           *expression
	refs        map[string]*reference
	broken      bool
}

// featureList is features in the order of their definition, by name.
type featureList struct {
	list   []*featureDecl
	byName map[string]*featureDecl
}

// names is the set of the list's names.
func (f *featureList) names() map[string]bool {
	set := map[string]bool{}
	for _, d := range f.list {
		set[d.name] = true
	}
	return set
}

// parseFeatures reads a mapping from names to expressions or to long forms.
func (l *loader) parseFeatures(n *node, what string) featureList {
	features := featureList{byName: map[string]*featureDecl{}}
	if n.kind != mappingNode {
		l.errorf(n.pos, RuleWrongValue, "%s must be a mapping from names to expressions, found %s", what, n.describe())
		return features
	}
	l.uniqueKeys(n)
	for _, e := range n.entries {
		name := l.identifier(e.key, "feature")
		if name == "" || features.byName[name] != nil {
			continue
		}
		d := l.parseFeature(name, e)
		d.index = len(features.list)
		features.list = append(features.list, d)
		features.byName[name] = d
	}
	return features
}

func (l *loader) parseFeature(name string, e entry) *featureDecl {
	d := &featureDecl{name: name, keyNode: e.key, feature: &plan.Feature{Name: name, Pos: e.key.pos}}
	if e.value.kind == scalarNode {
		d.exprNode = e.value
		return d
	}
	before := l.errors
	o := l.object(e.value, "feature "+name, "expr", "default", "on_error", "description", "tags", "owner")
	if o == nil {
		d.broken = true
		return d
	}
	d.exprNode = o.need("expr")
	if v, ok := o.n.get("default"); ok {
		d.defaultNode = v
	}
	if o.choice("on_error", "error", "default") == "default" {
		d.onError = o.get("on_error")
		d.feature.OnErrorDefault = true
	}
	d.feature.Description, d.feature.Owner, d.feature.Tags = o.text("description"), o.text("owner"), o.texts("tags")
	d.broken = l.errors > before
	return d
}

// resolveFeature parses a feature and finds the names it uses.
func (c *compiler) resolveFeature(d *featureDecl, words vocabulary) {
	if d.exprNode == nil {
		d.broken = true
		return
	}
	words.what = "feature " + d.name
	if d.x = c.parseExpression(d.exprNode, words.what); d.x == nil {
		d.broken = true
		return
	}
	refs, ok := c.resolve(d.x, words)
	d.refs = refs
	d.broken = d.broken || !ok
}

// inOrder is the features such that each comes after those it refers to.
// Features that refer to themselves in a circle are reported and broken.
func (c *compiler) inOrder(features featureList) []int {
	names, edges := make([]string, len(features.list)), map[string][]string{}
	for i, d := range features.list {
		names[i] = d.name
		edges[d.name] = referencesOf(d.refs, featureName)
	}
	sorted, cycles := topological(names, edges)
	for _, cycle := range cycles {
		d := features.byName[cycle[0]]
		c.reportCycle(d.keyNode, "features", cycle)
	}
	var order []int
	for _, name := range sorted {
		order = append(order, features.byName[name].index)
	}
	for _, d := range features.list {
		d.broken = d.broken || !slices.Contains(order, d.index)
	}
	return order
}

func (c *compiler) reportCycle(n *node, what string, cycle []string) {
	c.r.errorf(n.pos, RuleCycle, "%s refer to each other in a circle: %s; take one of the references out",
		what, strings.Join(append(cycle, cycle[0]), " → "))
}

// referencesOf lists the names of a kind among refs, sorted.
func referencesOf(refs map[string]*reference, kind nameKind) []string {
	var names []string
	for _, internal := range sortedKeys(refs) {
		if r := refs[internal]; r.kind == kind {
			names = append(names, r.name)
		}
	}
	return names
}

// topological orders names such that each follows those its edges lead to,
// otherwise as given. Names on a cycle, and those that lead to one, are left out;
// each cycle is returned once.
func topological(names []string, edges map[string][]string) (sorted []string, cycles [][]string) {
	const (
		unseen = iota
		open
		good
		bad
	)
	state := map[string]int{}
	var path []string
	var visit func(name string) bool
	visit = func(name string) bool {
		switch state[name] {
		case good, bad:
			return state[name] == good
		case open:
			cycles = append(cycles, slices.Clone(path[slices.Index(path, name):]))
			return false
		}
		state[name] = open
		path = append(path, name)
		ok := true
		for _, to := range edges[name] {
			ok = visit(to) && ok
		}
		path = path[:len(path)-1]
		state[name] = bad
		if ok {
			state[name] = good
			sorted = append(sorted, name)
		}
		return ok
	}
	for _, name := range names {
		visit(name)
	}
	return sorted, cycles
}

// finishFeature settles the type and default of a feature whose expression is compiled.
func (l *loader) finishFeature(d *featureDecl, expr *plan.Expr) {
	f := d.feature
	f.Expr, f.Type = expr, expr.Type.Unwrap()
	if !featureType(expr.Type) {
		l.errorf(d.exprNode.pos, RuleFeatureType,
			"feature %s is %s; a feature is a scalar, a list or string-keyed map of scalars, or an optional of those", d.name, withArticle(expr.Type))
		d.broken = true
		return
	}
	before := l.errors
	l.parseDefault(d)
	d.broken = l.errors > before
}

func (l *loader) parseDefault(d *featureDecl) {
	f := d.feature
	switch {
	case d.defaultNode == nil && d.onError != nil:
		l.errorf(d.onError.pos, RuleDefault, "on_error: default needs a default")
	case d.defaultNode == nil:
	case f.Expr.Type.Kind != plan.Optional && !f.OnErrorDefault:
		l.errorf(d.defaultNode.pos, RuleDefault, "feature %s is never none, so its default would never be used; drop it, or say on_error: default", d.name)
	case d.defaultNode.isNull():
		l.errorf(d.defaultNode.pos, RuleDefault, "a default of null is no default; drop it")
	default:
		v, err := value(d.defaultNode, f.Type)
		if err != nil {
			reportValue(&l.reporter, d.defaultNode, RuleDefault, err)
			return
		}
		f.Default = &v
	}
}
