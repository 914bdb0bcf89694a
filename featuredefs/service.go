package featuredefs

import (
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/celenv"
)

// serviceDecl is a FeatureService document before it becomes a plan.Service.
type serviceDecl struct {
	service *plan.Service
	n       *yamldoc.Node
	items   []*yamldoc. // under features:
		Node
	derived featureList
	request map[string]plan.Type
	roles   map[string]int // into service.Views
	broken  bool
}

func (l *loader) parseService(n *yamldoc.Node) {
	before := l.Errors
	o := l.Object(n, "FeatureService", "kind", "name", "features", "request", "derived", "predictions", "outcomes", "description")
	s := &serviceDecl{n: n, request: map[string]plan.Type{}, roles: map[string]int{}, service: &plan.Service{
		Name: o.Name(), Description: o.Text("description"), Pos: n.Pos,
	}}
	if f := o.Need("features"); f != nil {
		if f.Kind != yamldoc.Sequence {
			l.Errorf(f.Pos, yamldoc.RuleWrongValue, "FeatureService.features must be a list of views and view.features, found %s", f.Describe())
		}
		s.items = f.Items
		if f.Kind == yamldoc.Sequence && len(f.Items) == 0 {
			l.Errorf(f.Pos, yamldoc.RuleWrongValue, "FeatureService.features is empty; a service reads at least one feature of a view")
		}
	}
	if r := o.Get("request"); r != nil {
		l.parseRequest(s, r)
	}
	if d := o.Get("derived"); d != nil {
		s.derived = l.parseFeatures(d, "FeatureService.derived")
	}
	l.parseFeedback(s.service, o)
	s.broken = l.Errors > before
	l.services.add(&l.Reader, "service", s.service.Name, n.Pos, s)
}

func (l *loader) parseRequest(s *serviceDecl, n *yamldoc.Node) {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "FeatureService.request must be a mapping like {amount: double}, found %s", n.Describe())
		return
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		name := l.Identifier(e.Key, "request field")
		t, ok := l.columnType(e.Value, plan.ColumnKinds)
		if _, twice := s.request[name]; name == "" || !ok || twice {
			continue
		}
		s.request[name] = t
		s.service.Request = append(s.service.Request, plan.Field{Name: name, Type: t})
	}
}

// compileService resolves the views and derived features of a service.
func (l *loader) compileService(c *lang.Compiler, s *serviceDecl) {
	before := l.Errors
	for _, item := range s.items {
		l.serviceItem(s, item)
	}
	if s.broken = s.broken || l.Errors > before; s.broken {
		return
	}
	l.serviceKeys(s)
	l.compileDerived(c, s)
	if s.broken = s.broken || l.Errors > before; s.broken {
		return
	}
	plan.FingerprintService(s.service, celenv.Engine())
	l.project.Plan.Services = append(l.project.Plan.Services, s.service)
}

// itemDecl is an entry of a service's features: "view", "view.feature" or {view, as, keys}.
type itemDecl struct {
	n, view, keys *yamldoc.Node
	role          string // "" unless renamed
}

func (l *loader) parseItem(n *yamldoc.Node) (itemDecl, bool) {
	item := itemDecl{n: n, view: n}
	if n.Kind == yamldoc.Scalar {
		return item, true
	}
	o := l.Object(n, "FeatureService.features", "view", "as", "keys")
	if o == nil {
		return item, false
	}
	if item.view = o.Need("view"); item.view == nil {
		return item, false
	}
	if item.view.Kind != yamldoc.Scalar {
		l.ScalarText(item.view, "view")
		return item, false
	}
	item.keys = o.Get("keys")
	if as := o.Get("as"); as != nil {
		item.role = l.Identifier(as, "as")
		return item, item.role != ""
	}
	return item, true
}

// serviceItem adds a view in a role, or one of its features, to the service.
func (l *loader) serviceItem(s *serviceDecl, n *yamldoc.Node) {
	item, ok := l.parseItem(n)
	if !ok {
		return
	}
	name, feature, single := strings.Cut(item.view.Text, ".")
	v, ok := l.views.byName[name]
	if !ok && l.Unread(name) {
		s.broken = true
		return
	}
	if !ok {
		l.Errorf(item.view.Pos, lang.RuleUnknownName, "there is no view %q%s", name, diag.DidYouMean(name, l.views.names()))
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
				return // report a view that is listed twice only once
			}
		}
	case d == nil:
		l.Errorf(item.view.Pos, lang.RuleUnknownName, "view %s has no feature %q%s", name, feature, diag.DidYouMean(feature, sortedKeys(v.features.names())))
	default:
		l.addServiceFeature(s, n, ref, d.index)
	}
}

// serviceRole finds or adds the role in which the service reads a view.
func (l *loader) serviceRole(s *serviceDecl, v *viewDecl, item itemDecl) (int, bool) {
	before, role := l.Errors, item.role
	renamed := l.parseRenames(item.keys, v.view.Entity, "keys")
	if l.Errors > before {
		return 0, false
	}
	var keys []string
	for _, k := range v.view.Entity.Keys {
		name := k.Name
		if r := renamed[k.Name]; r != nil {
			name = r.Text
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
		l.Errorf(item.n.Pos, RuleDuplicateName, "the name %q is taken by view %s with the keys %s; add as: with another name",
			role, r.View.Name, strings.Join(r.Keys, ", "))
		return 0, false
	}
	return ref, true
}

// sameRole warns about two roles for the same entity of a view, because their values are
// always equal.
func (l *loader) sameRole(s *serviceDecl, v *viewDecl, item itemDecl, keys []string) {
	for _, r := range s.service.Views {
		if r.View == v.view && slices.Equal(r.Keys, keys) {
			l.Warnf(item.n.Pos, RuleServiceKeys, "%s reads the entity that %s reads: view %s by %s; name other request keys under keys:, or remove it",
				item.role, r.As, v.view.Name, strings.Join(keys, ", "))
			return
		}
	}
}

// addServiceFeature reports whether the feature is new to the service.
func (l *loader) addServiceFeature(s *serviceDecl, n *yamldoc.Node, ref, feature int) bool {
	r := s.service.Views[ref]
	name := r.As + "." + r.View.Features[feature].Name
	for _, f := range s.service.Features {
		if f.Name == name {
			l.Errorf(n.Pos, RuleDuplicateName, "feature %q is already in the service; remove one, or add as: with another name", name)
			return false
		}
	}
	s.service.Features = append(s.service.Features, plan.ServiceFeature{Name: name, Ref: ref, Feature: feature})
	return true
}

// serviceKeys collects the distinct request keys. A name must have the same type as a key of
// every view and as a request field, because it is one column of a spine.
func (l *loader) serviceKeys(s *serviceDecl) {
	types := map[string]plan.Type{}
	for _, r := range s.service.Views {
		for i, k := range r.View.Entity.Keys {
			name := r.Keys[i]
			if field, ok := s.request[name]; ok && !field.Equal(k.Type) {
				l.Errorf(s.n.Pos, RuleServiceKeys, "%q is %s as a request field and %s as a key of %s; rename the field, or the key under keys:",
					name, field.WithArticle(), k.Type.WithArticle(), r.As)
			}
			t, ok := types[name]
			if ok && !t.Equal(k.Type) {
				l.Errorf(s.n.Pos, RuleServiceKeys, "the key %q is %s for one view and %s for %s; rename one under keys:",
					name, t.WithArticle(), k.Type.WithArticle(), r.As)
			}
			if !ok {
				types[name] = k.Type
				s.service.Keys = append(s.service.Keys, plan.Field{Name: name, Type: k.Type})
			}
		}
	}
}

// vocabulary is what derived features may refer to.
func (s *serviceDecl) vocabulary() lang.Vocabulary {
	words := lang.Vocabulary{Features: s.derived.names(), Roles: map[string]map[string]bool{}, Request: map[string]bool{}}
	for _, f := range s.service.Features {
		role, name, _ := strings.Cut(f.Name, ".")
		if words.Roles[role] == nil {
			words.Roles[role] = map[string]bool{}
		}
		words.Roles[role][name] = true
	}
	for name := range s.request {
		words.Request[name] = true
	}
	return words
}

func (l *loader) compileDerived(c *lang.Compiler, s *serviceDecl) {
	words := s.vocabulary()
	for _, d := range s.derived.list {
		if words.Roles[d.name] != nil {
			l.Errorf(d.keyNode.Pos, RuleDuplicateName, "derived feature %q has the name of a view of the service; rename it", d.name)
		}
		l.resolveFeature(c, d, words)
	}
	order := l.inOrder(s.derived)
	for _, i := range order {
		l.compileDerivedFeature(c, s, s.derived.list[i])
	}
	for _, d := range s.derived.list {
		s.broken = s.broken || d.broken
		s.service.Derived = append(s.service.Derived, d.feature)
	}
	s.service.Order = order
}

func (l *loader) compileDerivedFeature(c *lang.Compiler, s *serviceDecl, d *featureDecl) {
	if d.broken {
		return
	}
	d.broken = true
	meanings := map[string]lang.Meaning{}
	for _, internal := range sortedKeys(d.refs) {
		m, ok := l.serviceMeaning(s, d.refs[internal])
		if !ok {
			return
		}
		meanings[internal] = m
	}
	if expr := c.CompileFeature(d.x, meanings, nil); expr != nil {
		l.finishFeature(d, expr)
	}
}

func (l *loader) serviceMeaning(s *serviceDecl, r *lang.Reference) (lang.Meaning, bool) {
	m := lang.Meaning{Kind: r.Kind, Name: r.Name}
	switch r.Kind {
	case lang.FeatureName:
		d := s.derived.byName[r.Name]
		if d.broken || d.feature.Expr == nil {
			return m, false
		}
		m.Index, m.Type = len(s.service.Features)+d.index, d.feature.RefType()
	case lang.ViewFeatureName:
		m.Index = slices.IndexFunc(s.service.Features, func(f plan.ServiceFeature) bool { return f.Name == r.Name })
		f := s.service.Features[m.Index]
		m.Type = s.service.Views[f.Ref].View.Features[f.Feature].RefType()
	case lang.RequestName:
		m.Type, m.Nullable = s.request[r.Name], true
	case lang.NowName:
		m.Type = plan.T(plan.Timestamp)
	default:
		l.strayInService(s, r)
		return m, false
	}
	return m, true
}

// strayInService reports a name that a derived feature cannot use.
func (l *loader) strayInService(s *serviceDecl, r *lang.Reference) {
	if _, ok := s.request[r.Name]; ok {
		l.Errorf(r.Pos, lang.RuleUnknownName, "%q is a request field; write request.%s", r.Name, r.Name)
		return
	}
	for _, f := range s.service.Features {
		if _, feature, _ := strings.Cut(f.Name, "."); feature == r.Name {
			l.Errorf(r.Pos, lang.RuleUnknownName, "%q is a feature of a view; write %s", r.Name, f.Name)
			return
		}
	}
	if r.Name == "request" {
		l.Errorf(r.Pos, lang.RuleUnknownName, "request is not a value by itself; name a field of it that is declared under request:, like request.%s",
			append(sortedKeys(s.request), "amount")[0])
		return
	}
	candidates := append(sortedKeys(s.roles), sortedKeys(s.derived.names())...)
	l.Errorf(r.Pos, lang.RuleUnknownName, "there is no name %q in this service%s; write view.feature, request.field, a derived feature or now",
		r.Name, diag.DidYouMean(r.Name, append(candidates, "request", "now")))
}
