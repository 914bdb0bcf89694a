package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// featureDecl is a feature of a view or a derived feature of a service.
type featureDecl struct {
	name        string
	index       int // index in the features or derived features of its owner
	keyNode     *yamldoc.Node
	exprNode    *yamldoc.Node
	defaultNode *yamldoc.Node
	onError     *yamldoc. // position of on_error: default
			Node
	feature *plan.Feature
	x       *lang.Expression
	refs    map[string]*lang.Reference
	broken  bool
}

// featureList is features in order of definition, with an index by name.
type featureList struct {
	list   []*featureDecl
	byName map[string]*featureDecl
}

// names returns the set of names.
func (f *featureList) names() map[string]bool {
	set := map[string]bool{}
	for _, d := range f.list {
		set[d.name] = true
	}
	return set
}

// parseFeatures reads a mapping from names to expressions or long forms.
func (l *loader) parseFeatures(n *yamldoc.Node, what string) featureList {
	features := featureList{byName: map[string]*featureDecl{}}
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s must be a mapping from names to expressions, found %s", what, n.Describe())
		return features
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		name := l.Identifier(e.Key, "feature")
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

func (l *loader) parseFeature(name string, e yamldoc.Entry) *featureDecl {
	d := &featureDecl{name: name, keyNode: e.Key, feature: &plan.Feature{Name: name, Pos: e.Key.Pos}}
	if e.Value.Kind == yamldoc.Scalar {
		d.exprNode = e.Value
		return d
	}
	before := l.Errors
	o := l.Object(e.Value, "feature "+name, "expr", "default", "on_error", "description", "tags", "owner")
	if o == nil {
		d.broken = true
		return d
	}
	d.exprNode = o.Need("expr")
	if v, ok := o.Node.Get("default"); ok {
		d.defaultNode = v
	}
	if o.Choice("on_error", "error", "default") == "default" {
		d.onError = o.Get("on_error")
		d.feature.OnErrorDefault = true
	}
	d.feature.Description, d.feature.Owner, d.feature.Tags = o.Text("description"), o.Text("owner"), o.Texts("tags")
	d.broken = l.Errors > before
	return d
}

// resolveFeature parses a feature and resolves the names it uses.
func (l *loader) resolveFeature(c *lang.Compiler, d *featureDecl, words lang.Vocabulary) {
	if d.exprNode == nil {
		d.broken = true
		return
	}
	words.What = "feature " + d.name
	if d.x = c.Parse(d.exprNode, words.What); d.x == nil {
		d.broken = true
		return
	}
	refs, ok := c.Resolve(d.x, words)
	d.refs = refs
	d.broken = d.broken || !ok
}

// inOrder sorts the features so that each comes after those it refers to. Cycles are reported
// and left out.
func (l *loader) inOrder(features featureList) []int {
	names, edges := make([]string, len(features.list)), map[string][]string{}
	for i, d := range features.list {
		names[i] = d.name
		edges[d.name] = referencesOf(d.refs, lang.FeatureName)
	}
	sorted, cycles := topological(names, edges)
	for _, cycle := range cycles {
		d := features.byName[cycle[0]]
		l.reportCycle(d.keyNode, "features", cycle)
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

func (l *loader) reportCycle(n *yamldoc.Node, what string, cycle []string) {
	l.Errorf(n.Pos, RuleCycle, "%s refer to each other in a cycle: %s; remove one of the references",
		what, strings.Join(append(cycle, cycle[0]), " → "))
}

// referencesOf returns the sorted names of one kind among refs.
func referencesOf(refs map[string]*lang.Reference, kind lang.NameKind) []string {
	var names []string
	for _, internal := range sortedKeys(refs) {
		if r := refs[internal]; r.Kind == kind {
			names = append(names, r.Name)
		}
	}
	return names
}

// topological sorts names so that each follows those its edges lead to, and otherwise keeps
// their order. Names on a cycle, or that lead to one, are left out; each cycle is returned
// once.
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

// finishFeature sets the type and default of a feature whose expression is compiled.
func (l *loader) finishFeature(d *featureDecl, expr *plan.Expr) {
	f := d.feature
	f.Expr, f.Type = expr, expr.Type.Unwrap()
	if !featureType(expr.Type) {
		l.Errorf(d.exprNode.Pos, lang.RuleFeatureType,
			"feature %s is %s; a feature is a scalar, a list or string-keyed map of scalars, or an optional of those", d.name, expr.Type.WithArticle())
		d.broken = true
		return
	}
	before := l.Errors
	l.parseDefault(d)
	d.broken = l.Errors > before
}

func (l *loader) parseDefault(d *featureDecl) {
	f := d.feature
	switch {
	case d.defaultNode == nil && d.onError != nil:
		l.Errorf(d.onError.Pos, RuleDefault, "on_error: default needs default: as well")
	case d.defaultNode == nil:
	case f.Expr.Type.Kind != plan.Optional && !f.OnErrorDefault:
		l.Errorf(d.defaultNode.Pos, RuleDefault, "feature %s is never none, so its default would never be used; remove it, or add on_error: default", d.name)
	case d.defaultNode.IsNull():
		l.Errorf(d.defaultNode.Pos, RuleDefault, "a default cannot be null; remove it")
	default:
		v, ok := l.Value(d.defaultNode, f.Type, RuleDefault)
		if !ok {
			return
		}
		f.Default = &v
	}
}

// featureType reports whether a feature can have type t: a scalar, a list of
// scalars, a map from strings to scalars, or an optional of those.
func featureType(t plan.Type) bool {
	t = t.Unwrap()
	switch t.Kind {
	case plan.List:
		return isFeatureScalar(*t.Elem)
	case plan.Map:
		return t.Key.Kind == plan.String && isFeatureScalar(*t.Elem)
	}
	return isFeatureScalar(t)
}

// isFeatureScalar excludes uint: no column, request field or store has it.
func isFeatureScalar(t plan.Type) bool { return slices.Contains(plan.ColumnKinds, t.Kind) }
