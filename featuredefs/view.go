package featuredefs

import (
	"cel.dev/cel-go/cel"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// viewDecl is a FeatureView document on its way to a plan.View.
type viewDecl struct {
	view     *plan.View
	n        *node
	entity   *entityDecl
	source   *sourceDecl
	keys     *node
	badKeys  bool
	where    *expression
	whereRef map[string]*reference
	lets     []*letDecl
	features featureList
	broken   bool
}

// letDecl is a named row expression.
type letDecl struct {
	name   string
	node   *node
	x      *expression
	refs   map[string]*reference
	expr   *plan.Expr
	text   checked
	broken bool
}

func (l *loader) parseView(n *node) {
	before := l.errors
	o := l.object(n, "FeatureView", "kind", "name", "entity", "source", "keys", "where", "let", "features", "owner", "tags", "description")
	v := &viewDecl{n: n, view: &plan.View{
		Name: o.name(), Owner: o.text("owner"), Description: o.text("description"), Pos: n.pos,
	}}
	v.view.Tags = o.texts("tags")
	o.need("entity")
	o.need("source")
	v.keys = o.get("keys")
	if lets := o.get("let"); lets != nil {
		l.parseLets(v, lets)
	}
	if features := o.need("features"); features != nil {
		v.features = l.parseFeatures(features, "FeatureView.features")
		if features.kind == mappingNode && len(features.entries) == 0 {
			l.errorf(features.pos, RuleWrongValue, "FeatureView.features is empty; a view computes at least one feature")
		}
	}
	v.broken = l.errors > before
	l.views.add(&l.reporter, "view", v.view.Name, n.pos, v)
}

func (l *loader) parseLets(v *viewDecl, n *node) {
	if n.kind != mappingNode {
		l.errorf(n.pos, RuleWrongValue, "FeatureView.let must be a mapping from names to row expressions, found %s", n.describe())
		return
	}
	l.uniqueKeys(n)
	for _, e := range n.entries {
		if name := l.identifier(e.key, "let"); name != "" && v.let(name) == nil {
			v.lets = append(v.lets, &letDecl{name: name, node: e.value})
		}
	}
}

func (v *viewDecl) let(name string) *letDecl {
	for _, d := range v.lets {
		if d.name == name {
			return d
		}
	}
	return nil
}

// resolveView finds what the view refers to and tells its source which columns it reads.
func (l *loader) resolveView(c *compiler, v *viewDecl) {
	l.resolveOrigin(v)
	words := vocabulary{lets: map[string]bool{}, features: v.features.names(), aggregates: true}
	for _, d := range v.lets {
		words.lets[d.name] = true
	}
	row := words
	row.row, row.aggregates = true, false
	if n, ok := v.n.get("where"); ok && !n.isNull() {
		row.what = "where"
		v.where, v.whereRef = l.resolveRow(c, v, n, row)
	}
	for _, d := range v.lets {
		row.what = "let " + d.name
		d.x, d.refs = l.resolveRow(c, v, d.node, row)
		d.broken = d.x == nil
	}
	for _, d := range v.features.list {
		c.resolveFeature(d, words)
		v.use(d.refs)
	}
}

// resolveOrigin looks up the view's entity and source.
func (l *loader) resolveOrigin(v *viewDecl) {
	if n, ok := v.n.get("entity"); ok && !n.isNull() {
		v.entity, _ = l.entities.lookup(&l.reporter, "entity", n)
	}
	if n, ok := v.n.get("source"); ok && !n.isNull() {
		v.source, _ = l.sources.lookup(&l.reporter, "source", n)
	}
	if v.entity == nil || v.source == nil || v.entity.broken {
		v.broken = true
		return
	}
	v.view.Entity, v.view.Source = v.entity.entity, v.source.source
	l.parseKeys(v)
}

// parseKeys fills the view's key columns: the entity's names unless renamed.
func (l *loader) parseKeys(v *viewDecl) {
	before := l.errors
	renamed := l.parseRenames(v.keys, v.view.Entity, "FeatureView.keys")
	v.badKeys = l.errors > before
	for _, k := range v.view.Entity.Keys {
		column := k.Name
		if n := renamed[k.Name]; n != nil {
			column = n.text
		}
		v.view.KeyColumns = append(v.view.KeyColumns, column)
		v.source.use(column)
	}
}

// parseRenames reads a mapping from keys of an entity to other names.
func (l *loader) parseRenames(n *node, e *plan.Entity, what string) map[string]*node {
	renamed := map[string]*node{}
	if n == nil {
		return renamed
	}
	var keys []string
	for _, k := range e.Keys {
		keys = append(keys, k.Name)
	}
	if o := l.object(n, what, keys...); o != nil {
		for _, k := range keys {
			if v := o.get(k); v != nil && l.scalarText(v, what+"."+k) != "" {
				renamed[k] = v
			}
		}
	}
	return renamed
}

// resolveRow parses a row expression and finds the names it uses; nil after a report.
func (l *loader) resolveRow(c *compiler, v *viewDecl, n *node, words vocabulary) (*expression, map[string]*reference) {
	x := c.parseExpression(n, words.what)
	if x == nil {
		v.broken = true
		return nil, nil
	}
	refs, ok := c.resolve(x, words)
	v.use(refs)
	if !ok {
		v.broken = true
		return nil, nil
	}
	return x, refs
}

// use tells the source which columns are read.
func (v *viewDecl) use(refs map[string]*reference) {
	if v.source == nil {
		return
	}
	for _, name := range referencesOf(refs, columnName) {
		v.source.use(name)
	}
}

// compileView type-checks and splits the view, once its source's columns are known.
func (l *loader) compileView(c *compiler, v *viewDecl) {
	if v.source == nil || v.source.broken || v.entity == nil || v.entity.broken {
		v.broken = true
		return
	}
	before := l.errors
	if v.badKeys {
		v.broken = true
	} else {
		l.checkKeys(v)
	}
	l.compileLets(c, v)
	where, guards := l.compileWhere(c, v)
	split := newSplitter(v.view, where)
	order := c.inOrder(v.features)
	for _, i := range order {
		l.compileFeature(c, v, v.features.list[i], split, guards)
	}
	for _, d := range v.features.list {
		v.broken = v.broken || d.broken
		v.view.Features = append(v.view.Features, d.feature)
	}
	if v.broken = v.broken || l.errors > before; v.broken {
		return
	}
	v.view.Order = order
	plan.FingerprintView(v.view, celenv.Engine())
	l.project.Plan.Views = append(l.project.Plan.Views, v.view)
}

// checkKeys compares the types of the key columns with the entity's keys.
func (l *loader) checkKeys(v *viewDecl) {
	pos := v.n.pos
	if v.keys != nil {
		pos = v.keys.pos
	}
	for i, k := range v.view.Entity.Keys {
		name := v.view.KeyColumns[i]
		col, ok := v.view.Source.Column(name)
		switch {
		case !ok:
			l.errorf(pos, RuleUnknownName, "source %s has no column %q for the key of entity %s; name another under keys: {%s: COLUMN}",
				v.view.Source.Name, name, v.view.Entity.Name, k.Name)
		case !col.Type.Equal(k.Type):
			l.errorf(pos, RuleKeyType, "column %q of source %s is %s, key %q of entity %s is %s; make them equal, or name another column under keys:",
				name, v.view.Source.Name, withArticle(col.Type), k.Name, v.view.Entity.Name, withArticle(k.Type))
		}
	}
}

// compileLets makes the row expressions of lets, each after those it uses.
func (l *loader) compileLets(c *compiler, v *viewDecl) {
	var names []string
	edges := map[string][]string{}
	for _, d := range v.lets {
		names = append(names, d.name)
		edges[d.name] = referencesOf(d.refs, letName)
	}
	sorted, cycles := topological(names, edges)
	for _, cycle := range cycles {
		c.reportCycle(v.let(cycle[0]).node, "lets", cycle)
	}
	for _, d := range v.lets {
		d.broken = true
	}
	for _, name := range sorted {
		d := v.let(name)
		if d.x == nil {
			continue
		}
		if _, isColumn := v.view.Source.Column(name); isColumn {
			l.errorf(d.node.pos, RuleDuplicateName, "let %q has the name of a column of source %s; rename it", name, v.view.Source.Name)
		}
		d.x.row = true
		d.expr, d.text = l.compileRow(c, v, d.x, d.refs)
		d.broken = d.expr == nil
	}
}

// compileWhere makes the view's filter, nil without one, and its text as a guard.
func (l *loader) compileWhere(c *compiler, v *viewDecl) (*plan.Expr, []guard) {
	if v.where == nil {
		return nil, nil
	}
	expr, text := l.compileRow(c, v, v.where, v.whereRef)
	if expr == nil {
		v.broken = true
		return nil, nil
	}
	if expr.Type.Kind != plan.Bool {
		l.errorf(expr.Pos, RuleTypeMismatch, "where must be a bool, not %s; compare with something", withArticle(expr.Type))
	}
	return expr, []guard{{text, true}}
}

// compileRow checks and converts an expression about one event; nil after a report.
func (l *loader) compileRow(c *compiler, v *viewDecl, x *expression, refs map[string]*reference) (*plan.Expr, checked) {
	meanings, ok := l.viewMeanings(v, refs)
	if !ok {
		return nil, checked{}
	}
	tree := c.check(x, meanings)
	if tree == nil {
		return nil, checked{}
	}
	t := &treeConverter{c: c, x: x, tree: tree, meanings: meanings}
	return t.convert(tree.Expr()), checked{tree.Expr(), tree, meanings}
}

func (l *loader) compileFeature(c *compiler, v *viewDecl, d *featureDecl, split *splitter, guards []guard) {
	if d.broken {
		return
	}
	d.broken = true
	meanings, ok := l.viewMeanings(v, d.refs)
	if !ok {
		return
	}
	tree := c.check(d.x, meanings, guards...)
	if tree == nil {
		return
	}
	t := &treeConverter{c: c, x: d.x, tree: tree, meanings: meanings}
	t.aggregate = func(call *aggregateCall, typ plan.Type) *plan.Expr { return split.leaf(t, call, typ) }
	if expr := t.convert(tree.Expr()); expr != nil {
		l.finishFeature(d, expr)
	}
}

// viewMeanings finds what the names of an expression in a view mean. It is not
// ok after a report, and when something it refers to is broken.
func (l *loader) viewMeanings(v *viewDecl, refs map[string]*reference) (map[string]meaning, bool) {
	meanings := map[string]meaning{}
	allOK := true
	for _, internal := range sortedKeys(refs) {
		m, ok := l.viewMeaning(v, refs[internal])
		meanings[internal] = m
		allOK = allOK && ok
	}
	return meanings, allOK
}

func (l *loader) viewMeaning(v *viewDecl, r *reference) (meaning, bool) {
	m := meaning{kind: r.kind, name: r.name}
	switch r.kind {
	case columnName:
		return l.columnMeaning(v, r)
	case letName:
		d := v.let(r.name)
		if d.broken {
			return m, false
		}
		m.let, m.text, m.typ = d.expr, d.text, celenv.NullableToCEL(d.expr.Type)
	case featureName:
		d := v.features.byName[r.name]
		if d.broken || d.feature.Expr == nil {
			return m, false
		}
		m.index, m.typ = d.index, celenv.ToCEL(d.feature.RefType())
	case nowName:
		m.typ = cel.TimestampType
	default:
		l.strayInView(v, r)
		return m, false
	}
	return m, true
}

// columnMeaning is a column that a row expression may read.
func (l *loader) columnMeaning(v *viewDecl, r *reference) (meaning, bool) {
	col, ok := v.view.Source.Column(r.name)
	switch {
	case !ok && v.features.byName[r.name] != nil:
		l.errorf(r.pos, RuleFeatureInRow, "%q is a feature, and %s reads columns; refer to the feature outside of aggregates", r.name, r.within)
		return meaning{}, false
	case !ok:
		l.unknownRowName(v, r)
		return meaning{}, false
	case col.Type.Kind == plan.Invalid:
		return meaning{}, false // reported at its declaration
	}
	if !l.checkOutcome(v, r, col) {
		return meaning{}, false
	}
	return meaning{kind: columnName, name: r.name, typ: celenv.NullableToCEL(col.Type)}, true
}

// unknownRowName reports a name that is no column, with lets among the suggestions.
func (l *loader) unknownRowName(v *viewDecl, r *reference) {
	var lets []string
	for _, d := range v.lets {
		lets = append(lets, d.name)
	}
	if hint := didYouMean(r.name, lets); hint != "" && didYouMean(r.name, columnNames(v.view.Source)) == "" {
		l.errorf(r.pos, RuleUnknownName, "there is no column or let %q%s", r.name, hint)
		return
	}
	l.unknownColumn(v.source, r.pos, r.name)
}

// checkOutcome refuses columns known only after the fact: outcomes, and the
// times at which columns became known, unless they say when they are known.
func (l *loader) checkOutcome(v *viewDecl, r *reference, col *plan.SourceColumn) bool {
	if col.Known != nil {
		return true
	}
	if col.Outcome {
		l.errorf(r.pos, RuleOutcomeColumn, "column %q of source %s is an outcome, which is not known yet when the event is; say when with known_at:, or leave it out",
			r.name, v.view.Source.Name)
		return false
	}
	for _, c := range v.view.Source.Columns {
		if c.Known != nil && c.Known.Kind == plan.KnownColumn && c.Known.Column == r.name && r.name != v.view.Source.Known.Column && r.name != v.view.Source.EventTime {
			l.errorf(r.pos, RuleOutcomeColumn, "column %q is when %q became known, so it is not known before either; declare it with known_at: %s, or leave it out",
				r.name, c.Name, r.name)
			return false
		}
	}
	return true
}

// strayInView reports a name outside aggregates that is no feature.
func (l *loader) strayInView(v *viewDecl, r *reference) {
	_, isColumn := v.view.Source.Column(r.name)
	switch {
	case isColumn:
		l.errorf(r.pos, RuleBareColumn, "%q is a column, and a feature has many events; aggregate it, for example latest(%s)", r.name, r.name)
	case v.let(r.name) != nil:
		l.errorf(r.pos, RuleBareColumn, "%q is a row expression, and a feature has many events; aggregate it, for example count().where(%s)", r.name, r.name)
	default:
		candidates := append(sortedKeys(v.features.names()), "now")
		l.errorf(r.pos, RuleUnknownName, "there is no feature %q in this view%s", r.name,
			didYouMean(r.name, append(candidates, columnNames(v.view.Source)...)))
	}
}
