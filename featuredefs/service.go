package featuredefs

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// serviceDecl is a FeatureService document on its way to a plan.Service.
type serviceDecl struct {
	service *plan.Service
	n       *node
	items   []*node // under features:
	derived featureList
	request map[string]plan.Type
	roles   map[string]int // into service.Views
	broken  bool
}

func (l *loader) parseService(n *node) {
	before := l.errors
	o := l.object(n, "FeatureService", "kind", "name", "features", "request", "derived", "description")
	s := &serviceDecl{n: n, request: map[string]plan.Type{}, roles: map[string]int{}, service: &plan.Service{
		Name: o.name(), Description: o.text("description"), Pos: n.pos,
	}}
	if f := o.need("features"); f != nil {
		if f.kind != sequenceNode {
			l.errorf(f.pos, RuleWrongValue, "FeatureService.features must be a list of views and view.features, found %s", f.describe())
		}
		s.items = f.items
		if f.kind == sequenceNode && len(f.items) == 0 {
			l.errorf(f.pos, RuleWrongValue, "FeatureService.features is empty; a service reads at least one feature of a view")
		}
	}
	if r := o.get("request"); r != nil {
		l.parseRequest(s, r)
	}
	if d := o.get("derived"); d != nil {
		s.derived = l.parseFeatures(d, "FeatureService.derived")
	}
	s.broken = l.errors > before
	l.services.add(&l.reporter, "service", s.service.Name, n.pos, s)
}

func (l *loader) parseRequest(s *serviceDecl, n *node) {
	if n.kind != mappingNode {
		l.errorf(n.pos, RuleWrongValue, "FeatureService.request must be a mapping like {amount: double}, found %s", n.describe())
		return
	}
	l.uniqueKeys(n)
	for _, e := range n.entries {
		name := l.identifier(e.key, "request field")
		t, ok := l.columnType(e.value, scalarKinds)
		if _, twice := s.request[name]; name == "" || !ok || twice {
			continue
		}
		s.request[name] = t
		s.service.Request = append(s.service.Request, plan.Field{Name: name, Type: t})
	}
}

// compileService resolves the views and derived features of a service.
func (l *loader) compileService(c *compiler, s *serviceDecl) {
	before := l.errors
	for _, item := range s.items {
		l.serviceItem(s, item)
	}
	if s.broken = s.broken || l.errors > before; s.broken {
		return
	}
	l.serviceKeys(s)
	l.compileDerived(c, s)
	if s.broken = s.broken || l.errors > before; s.broken {
		return
	}
	plan.FingerprintService(s.service, celenv.Engine())
	l.project.Plan.Services = append(l.project.Plan.Services, s.service)
}

// itemDecl is an entry of a service's features: "view", "view.feature" or {view, as, keys}.
type itemDecl struct {
	n, view, keys *node
	role          string // "" unless renamed
}

func (l *loader) parseItem(n *node) (itemDecl, bool) {
	item := itemDecl{n: n, view: n}
	if n.kind == scalarNode {
		return item, true
	}
	o := l.object(n, "FeatureService.features", "view", "as", "keys")
	if o == nil {
		return item, false
	}
	if item.view = o.need("view"); item.view == nil {
		return item, false
	}
	if item.view.kind != scalarNode {
		l.scalarText(item.view, "view")
		return item, false
	}
	item.keys = o.get("keys")
	if as := o.get("as"); as != nil {
		item.role = l.identifier(as, "as")
		return item, item.role != ""
	}
	return item, true
}

// serviceItem adds a view, or one feature of it, in a role to the service.
func (l *loader) serviceItem(s *serviceDecl, n *node) {
	item, ok := l.parseItem(n)
	if !ok {
		return
	}
	name, feature, single := strings.Cut(item.view.text, ".")
	v, ok := l.views.byName[name]
	if !ok {
		l.errorf(item.view.pos, RuleUnknownName, "there is no view %q%s", name, didYouMean(name, l.views.names()))
		return
	}
	if v.broken {
		s.broken = true
		return
	}
	if item.role == "" {
		item.role = name
	}
	ref, ok := l.serviceRole(s, v, item)
	switch d := v.features.byName[feature]; {
	case !ok:
	case !single:
		for i := range v.view.Features {
			if !l.addServiceFeature(s, n, ref, i) {
				return // one complaint for a view that is there twice
			}
		}
	case d == nil:
		l.errorf(item.view.pos, RuleUnknownName, "view %s has no feature %q%s", name, feature, didYouMean(feature, sortedKeys(v.features.names())))
	default:
		l.addServiceFeature(s, n, ref, d.index)
	}
}

// serviceRole finds or adds the role in which the service reads a view.
func (l *loader) serviceRole(s *serviceDecl, v *viewDecl, item itemDecl) (int, bool) {
	before, role := l.errors, item.role
	renamed := l.parseRenames(item.keys, v.view.Entity, "keys")
	if l.errors > before {
		return 0, false
	}
	var keys []string
	for _, k := range v.view.Entity.Keys {
		name := k.Name
		if r := renamed[k.Name]; r != nil {
			name = r.text
		}
		keys = append(keys, name)
	}
	ref, ok := s.roles[role]
	if !ok {
		l.sameRole(s, v, item, keys)
		ref = len(s.service.Views)
		s.roles[role] = ref
		s.service.Views = append(s.service.Views, plan.ViewRef{View: v.view, As: role, Keys: keys})
		return ref, true
	}
	if r := s.service.Views[ref]; r.View != v.view || !slices.Equal(r.Keys, keys) {
		l.errorf(item.n.pos, RuleDuplicateName, "the name %q is taken by view %s with the keys %s; add as: with another name",
			role, r.View.Name, strings.Join(r.Keys, ", "))
		return 0, false
	}
	return ref, true
}

// sameRole warns of a second name for the same entity of a view: its values can only
// be those of the first.
func (l *loader) sameRole(s *serviceDecl, v *viewDecl, item itemDecl, keys []string) {
	for _, r := range s.service.Views {
		if r.View == v.view && slices.Equal(r.Keys, keys) {
			l.warnf(item.n.pos, RuleServiceKeys, "%s reads the entity that %s reads: view %s by %s; name other request keys under keys:, or drop it",
				item.role, r.As, v.view.Name, strings.Join(keys, ", "))
			return
		}
	}
}

// addServiceFeature reports whether the feature was new to the service.
func (l *loader) addServiceFeature(s *serviceDecl, n *node, ref, feature int) bool {
	r := s.service.Views[ref]
	name := r.As + "." + r.View.Features[feature].Name
	for _, f := range s.service.Features {
		if f.Name == name {
			l.errorf(n.pos, RuleDuplicateName, "feature %q is in the service already; drop one, or add as: with another name", name)
			return false
		}
	}
	s.service.Features = append(s.service.Features, plan.ServiceFeature{Name: name, Ref: ref, Feature: feature})
	return true
}

// serviceKeys collects the distinct request keys. One name has one type, as a
// key of several views and as a request field: it is one column of a spine.
func (l *loader) serviceKeys(s *serviceDecl) {
	types := map[string]plan.Type{}
	for _, r := range s.service.Views {
		for i, k := range r.View.Entity.Keys {
			name := r.Keys[i]
			if field, ok := s.request[name]; ok && !field.Equal(k.Type) {
				l.errorf(s.n.pos, RuleServiceKeys, "%q is %s as a request field and %s as a key of %s; rename the field, or the key under keys:",
					name, withArticle(field), withArticle(k.Type), r.As)
			}
			t, ok := types[name]
			if ok && !t.Equal(k.Type) {
				l.errorf(s.n.pos, RuleServiceKeys, "the key %q is %s for one view and %s for %s; rename one under keys:",
					name, withArticle(t), withArticle(k.Type), r.As)
			}
			if !ok {
				types[name] = k.Type
				s.service.Keys = append(s.service.Keys, plan.Field{Name: name, Type: k.Type})
			}
		}
	}
}

// vocabulary is what derived features can name.
func (s *serviceDecl) vocabulary() vocabulary {
	words := vocabulary{features: s.derived.names(), roles: map[string]map[string]bool{}, request: map[string]bool{}}
	for _, f := range s.service.Features {
		role, name, _ := strings.Cut(f.Name, ".")
		if words.roles[role] == nil {
			words.roles[role] = map[string]bool{}
		}
		words.roles[role][name] = true
	}
	for name := range s.request {
		words.request[name] = true
	}
	return words
}

func (l *loader) compileDerived(c *compiler, s *serviceDecl) {
	words := s.vocabulary()
	for _, d := range s.derived.list {
		if words.roles[d.name] != nil {
			l.errorf(d.keyNode.pos, RuleDuplicateName, "derived feature %q has the name of a view of the service; rename it", d.name)
		}
		c.resolveFeature(d, words)
	}
	order := c.inOrder(s.derived)
	for _, i := range order {
		l.compileDerivedFeature(c, s, s.derived.list[i])
	}
	for _, d := range s.derived.list {
		s.broken = s.broken || d.broken
		s.service.Derived = append(s.service.Derived, d.feature)
	}
	s.service.Order = order
}

func (l *loader) compileDerivedFeature(c *compiler, s *serviceDecl, d *featureDecl) {
	if d.broken {
		return
	}
	d.broken = true
	meanings := map[string]meaning{}
	for _, internal := range sortedKeys(d.refs) {
		m, ok := l.serviceMeaning(s, d.refs[internal])
		if !ok {
			return
		}
		meanings[internal] = m
	}
	tree := c.check(d.x, meanings)
	if tree == nil {
		return
	}
	t := &treeConverter{c: c, x: d.x, tree: tree, meanings: meanings}
	if expr := t.convert(tree.Expr()); expr != nil {
		l.finishFeature(d, expr)
	}
}

func (l *loader) serviceMeaning(s *serviceDecl, r *reference) (meaning, bool) {
	m := meaning{kind: r.kind, name: r.name}
	switch r.kind {
	case featureName:
		d := s.derived.byName[r.name]
		if d.broken || d.feature.Expr == nil {
			return m, false
		}
		m.index, m.typ = len(s.service.Features)+d.index, celenv.ToCEL(d.feature.RefType())
	case viewFeatureName:
		m.index = slices.IndexFunc(s.service.Features, func(f plan.ServiceFeature) bool { return f.Name == r.name })
		f := s.service.Features[m.index]
		m.typ = celenv.ToCEL(s.service.Views[f.Ref].View.Features[f.Feature].RefType())
	case requestName:
		m.typ = celenv.NullableToCEL(s.request[r.name])
	case nowName:
		m.typ = cel.TimestampType
	default:
		l.strayInService(s, r)
		return m, false
	}
	return m, true
}

// strayInService reports a name that a derived feature cannot see.
func (l *loader) strayInService(s *serviceDecl, r *reference) {
	if _, ok := s.request[r.name]; ok {
		l.errorf(r.pos, RuleUnknownName, "%q is a request field; write request.%s", r.name, r.name)
		return
	}
	for _, f := range s.service.Features {
		if _, feature, _ := strings.Cut(f.Name, "."); feature == r.name {
			l.errorf(r.pos, RuleUnknownName, "%q is a feature of a view; write %s", r.name, f.Name)
			return
		}
	}
	if r.name == "request" {
		l.errorf(r.pos, RuleUnknownName, "request is no value by itself; name a field of it that is declared under request:, like request.%s",
			append(sortedKeys(s.request), "amount")[0])
		return
	}
	candidates := append(sortedKeys(s.roles), sortedKeys(s.derived.names())...)
	l.errorf(r.pos, RuleUnknownName, "there is no name %q in this service%s; it sees view.feature, request.field, its derived features and now",
		r.name, didYouMean(r.name, append(candidates, "request", "now")))
}
