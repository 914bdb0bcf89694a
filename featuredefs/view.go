package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
	"github.com/unskew/unskew/internal/celenv"
)

// viewDecl is a FeatureView document before it becomes a plan.View.
type viewDecl struct {
	view     *plan.View
	n        *yamldoc.Node
	entity   *entityDecl
	source   *sourceDecl
	keys     *yamldoc.Node
	badKeys  bool
	where    *lang.Expression
	whereRef map[string]*lang.Reference
	lets     []*letDecl
	features featureList
	broken   bool
}

// letDecl is a named row expression.
type letDecl struct {
	name   string
	node   *yamldoc.Node
	x      *lang.Expression
	refs   map[string]*lang.Reference
	row    lang.Row
	broken bool
}

func (l *loader) parseView(n *yamldoc.Node) {
	before := l.Errors
	o := l.Object(n, "FeatureView", "kind", "name", "entity", "source", "keys", "where", "let", "features", "owner", "tags", "description")
	v := &viewDecl{n: n, view: &plan.View{
		Name: o.Name(), Owner: o.Text("owner"), Description: o.Text("description"), Pos: n.Pos,
	}}
	v.view.Tags = o.Texts("tags")
	o.Need("entity")
	o.Need("source")
	v.keys = o.Get("keys")
	if lets := o.Get("let"); lets != nil {
		l.parseLets(v, lets)
	}
	if features := o.Need("features"); features != nil {
		v.features = l.parseFeatures(features, "FeatureView.features")
		if features.Kind == yamldoc.Mapping && len(features.Entries) == 0 {
			l.Errorf(features.Pos, yamldoc.RuleWrongValue, "FeatureView.features is empty; a view computes at least one feature")
		}
	}
	v.broken = l.Errors > before
	l.views.add(&l.Reader, "view", v.view.Name, n.Pos, v)
}

func (l *loader) parseLets(v *viewDecl, n *yamldoc.Node) {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "FeatureView.let must be a mapping from names to row expressions, found %s", n.Describe())
		return
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		if name := l.Identifier(e.Key, "let"); name != "" && v.let(name) == nil {
			v.lets = append(v.lets, &letDecl{name: name, node: e.Value})
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

// resolveView resolves the view's references and marks the columns that it reads as used.
func (l *loader) resolveView(c *lang.Compiler, v *viewDecl) {
	l.resolveOrigin(v)
	words := lang.Vocabulary{Lets: map[string]bool{}, Features: v.features.names(), Aggregates: true}
	for _, d := range v.lets {
		words.Lets[d.name] = true
	}
	row := words
	row.Row, row.Aggregates = true, false
	if n, ok := v.n.Get("where"); ok && !n.IsNull() {
		row.What = "where"
		v.where, v.whereRef = l.resolveRow(c, v, n, row)
	}
	for _, d := range v.lets {
		row.What = "let " + d.name
		d.x, d.refs = l.resolveRow(c, v, d.node, row)
		d.broken = d.x == nil
	}
	for _, d := range v.features.list {
		l.resolveFeature(c, d, words)
		v.use(d.refs)
	}
}

// resolveOrigin resolves the view's entity and source.
func (l *loader) resolveOrigin(v *viewDecl) {
	if n, ok := v.n.Get("entity"); ok && !n.IsNull() {
		v.entity, _ = l.entities.lookup(&l.Reader, "entity", n)
	}
	if n, ok := v.n.Get("source"); ok && !n.IsNull() {
		v.source, _ = l.sources.lookup(&l.Reader, "source", n)
	}
	if v.entity == nil || v.source == nil || v.entity.broken {
		v.broken = true
		return
	}
	v.view.Entity, v.view.Source = v.entity.entity, v.source.source
	l.parseKeys(v)
}

// parseKeys sets the view's key columns: the entity's names unless renamed.
func (l *loader) parseKeys(v *viewDecl) {
	before := l.Errors
	renamed := l.parseRenames(v.keys, v.view.Entity, "FeatureView.keys")
	v.badKeys = l.Errors > before
	for _, k := range v.view.Entity.Keys {
		column := k.Name
		if n := renamed[k.Name]; n != nil {
			column = n.Text
		}
		v.view.KeyColumns = append(v.view.KeyColumns, column)
		v.source.use(column)
	}
	src := v.source.source
	if !slices.ContainsFunc(src.Keys, func(k []string) bool { return slices.Equal(k, v.view.KeyColumns) }) {
		src.Keys = append(src.Keys, v.view.KeyColumns)
	}
}

// parseRenames reads a mapping from keys of an entity to other names.
func (l *loader) parseRenames(n *yamldoc.Node, e *plan.Entity, what string) map[string]*yamldoc.Node {
	renamed := map[string]*yamldoc.Node{}
	if n == nil {
		return renamed
	}
	var keys []string
	for _, k := range e.Keys {
		keys = append(keys, k.Name)
	}
	if o := l.Object(n, what, keys...); o != nil {
		for _, k := range keys {
			if v := o.Get(k); v != nil && l.ScalarText(v, what+"."+k) != "" {
				renamed[k] = v
			}
		}
	}
	return renamed
}

// resolveRow parses a row expression and resolves its names; nil after reporting an error.
func (l *loader) resolveRow(c *lang.Compiler, v *viewDecl, n *yamldoc.Node, words lang.Vocabulary) (*lang.Expression, map[string]*lang.Reference) {
	x := c.Parse(n, words.What)
	if x == nil {
		v.broken = true
		return nil, nil
	}
	refs, ok := c.Resolve(x, words)
	v.use(refs)
	if !ok {
		v.broken = true
		return nil, nil
	}
	return x, refs
}

// use marks the columns that are read as used.
func (v *viewDecl) use(refs map[string]*lang.Reference) {
	if v.source == nil {
		return
	}
	for _, name := range referencesOf(refs, lang.ColumnName) {
		v.source.use(name)
	}
}

// compileView type-checks and splits the view, after its source's columns are known.
func (l *loader) compileView(c *lang.Compiler, v *viewDecl) {
	if v.source == nil || v.source.broken || v.entity == nil || v.entity.broken {
		v.broken = true
		return
	}
	before := l.Errors
	if v.badKeys {
		v.broken = true
	} else {
		l.checkKeys(v)
	}
	l.compileLets(c, v)
	split := lang.NewSplitter(v.view, l.compileWhere(c, v))
	order := l.inOrder(v.features)
	for _, i := range order {
		l.compileFeature(c, v, v.features.list[i], split)
	}
	for _, d := range v.features.list {
		v.broken = v.broken || d.broken
		v.view.Features = append(v.view.Features, d.feature)
	}
	if v.broken = v.broken || l.Errors > before; v.broken {
		return
	}
	v.view.Order = order
	plan.FingerprintView(v.view, celenv.Engine())
	l.project.Plan.Views = append(l.project.Plan.Views, v.view)
}

// checkKeys compares the types of the key columns with the entity's keys.
func (l *loader) checkKeys(v *viewDecl) {
	pos := v.n.Pos
	if v.keys != nil {
		pos = v.keys.Pos
	}
	for i, k := range v.view.Entity.Keys {
		name := v.view.KeyColumns[i]
		col, ok := v.view.Source.Column(name)
		switch {
		case !ok:
			l.Errorf(pos, lang.RuleUnknownName, "source %s has no column %q for the key of entity %s; name another under keys: {%s: COLUMN}",
				v.view.Source.Name, name, v.view.Entity.Name, k.Name)
		case !col.Type.Equal(k.Type):
			l.Errorf(pos, RuleKeyType, "column %q of source %s is %s, key %q of entity %s is %s; make them equal, or name another column under keys:",
				name, v.view.Source.Name, col.Type.WithArticle(), k.Name, v.view.Entity.Name, k.Type.WithArticle())
		case v.view.Source.Late(col):
			l.Errorf(pos, RuleKeyType, "column %q of source %s is known later than its row, but as key %q of entity %s it determines the event's entity; remove its known_at: and outcome:, or name another column under keys:",
				name, v.view.Source.Name, k.Name, v.view.Entity.Name)
		}
	}
}

// compileLets compiles the lets, each after those it uses.
func (l *loader) compileLets(c *lang.Compiler, v *viewDecl) {
	var names []string
	edges := map[string][]string{}
	for _, d := range v.lets {
		names = append(names, d.name)
		edges[d.name] = referencesOf(d.refs, lang.LetName)
	}
	sorted, cycles := topological(names, edges)
	for _, cycle := range cycles {
		l.reportCycle(v.let(cycle[0]).node, "lets", cycle)
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
			l.Errorf(d.node.Pos, RuleDuplicateName, "let %q has the name of a column of source %s; rename it", name, v.view.Source.Name)
		}
		row, ok := l.compileRow(c, v, d.x, d.refs)
		d.row, d.broken = row, !ok
	}
}

// compileWhere compiles the view's filter, if there is one.
func (l *loader) compileWhere(c *lang.Compiler, v *viewDecl) lang.Row {
	if v.where == nil {
		return lang.Row{}
	}
	where, ok := l.compileRow(c, v, v.where, v.whereRef)
	if !ok {
		v.broken = true
		return lang.Row{}
	}
	if e := where.Expr; e.Type.Kind != plan.Bool {
		l.Errorf(e.Pos, lang.RuleTypeMismatch, "where must be a bool, not %s; write a comparison", e.Type.WithArticle())
	}
	return where
}

// compileRow compiles an expression about one event; false after reporting an error.
func (l *loader) compileRow(c *lang.Compiler, v *viewDecl, x *lang.Expression, refs map[string]*lang.Reference) (lang.Row, bool) {
	meanings, ok := l.viewMeanings(v, refs)
	if !ok {
		return lang.Row{}, false
	}
	return c.CompileRow(x, meanings)
}

func (l *loader) compileFeature(c *lang.Compiler, v *viewDecl, d *featureDecl, split *lang.Splitter) {
	if d.broken {
		return
	}
	d.broken = true
	meanings, ok := l.viewMeanings(v, d.refs)
	if !ok {
		return
	}
	if expr := c.CompileFeature(d.x, meanings, split); expr != nil {
		l.finishFeature(d, expr)
	}
}

// viewMeanings resolves the names in an expression of a view. It is not ok after reporting an
// error, and if something referred to has errors.
func (l *loader) viewMeanings(v *viewDecl, refs map[string]*lang.Reference) (map[string]lang.Meaning, bool) {
	meanings := map[string]lang.Meaning{}
	allOK := true
	for _, internal := range sortedKeys(refs) {
		m, ok := l.viewMeaning(v, refs[internal])
		meanings[internal] = m
		allOK = allOK && ok
	}
	return meanings, allOK
}

func (l *loader) viewMeaning(v *viewDecl, r *lang.Reference) (lang.Meaning, bool) {
	m := lang.Meaning{Kind: r.Kind, Name: r.Name}
	switch r.Kind {
	case lang.ColumnName:
		return l.columnMeaning(v, r)
	case lang.LetName:
		d := v.let(r.Name)
		if d.broken {
			return m, false
		}
		m.Let, m.Type, m.Nullable = d.row, d.row.Expr.Type, true
	case lang.FeatureName:
		d := v.features.byName[r.Name]
		if d.broken || d.feature.Expr == nil {
			return m, false
		}
		m.Index, m.Type = d.index, d.feature.RefType()
	case lang.NowName:
		m.Type = plan.T(plan.Timestamp)
	default:
		l.strayInView(v, r)
		return m, false
	}
	return m, true
}

// columnMeaning returns a column that a row expression may read.
func (l *loader) columnMeaning(v *viewDecl, r *lang.Reference) (lang.Meaning, bool) {
	col, ok := v.view.Source.Column(r.Name)
	switch {
	case !ok && v.features.byName[r.Name] != nil && v.source.unusable[r.Name] == "":
		l.Errorf(r.Pos, RuleFeatureInRow, "%q is a feature, but %s reads columns; use the feature outside of aggregates", r.Name, r.Within)
		return lang.Meaning{}, false
	case !ok:
		l.unknownRowName(v, r)
		return lang.Meaning{}, false
	case col.Type.Kind == plan.Invalid:
		return lang.Meaning{}, false // reported at its declaration
	}
	if !l.checkOutcome(v, r, col) {
		return lang.Meaning{}, false
	}
	return lang.Meaning{Kind: lang.ColumnName, Name: r.Name, Type: col.Type, Nullable: true}, true
}

// unknownRowName reports an unknown column; lets are among the suggestions.
func (l *loader) unknownRowName(v *viewDecl, r *lang.Reference) {
	var lets []string
	for _, d := range v.lets {
		lets = append(lets, d.name)
	}
	if hint := diag.DidYouMean(r.Name, lets); hint != "" && diag.DidYouMean(r.Name, columnNames(v.view.Source)) == "" {
		l.Errorf(r.Pos, lang.RuleUnknownName, "there is no column or let %q%s", r.Name, hint)
		return
	}
	l.unknownColumn(v.source, r.Pos, r.Name)
}

// checkOutcome refuses columns known only after the fact, unless a known_at says when:
// outcomes, and the times at which columns became known.
func (l *loader) checkOutcome(v *viewDecl, r *lang.Reference, col *plan.SourceColumn) bool {
	if col.Known != nil {
		return true
	}
	if col.Outcome {
		l.Errorf(r.Pos, RuleOutcomeColumn, "column %q of source %s is an outcome, which is not known at the time of the event; add known_at: to say when it is known, or do not use it",
			r.Name, v.view.Source.Name)
		return false
	}
	for _, c := range v.view.Source.Columns {
		if c.Known != nil && c.Known.Kind == plan.KnownColumn && c.Known.Column == r.Name && r.Name != v.view.Source.Known.Column && r.Name != v.view.Source.EventTime {
			l.Errorf(r.Pos, RuleOutcomeColumn, "column %q is the time when %q became known, so it is not known earlier either; declare it with known_at: %s, or do not use it",
				r.Name, c.Name, r.Name)
			return false
		}
	}
	return true
}

// strayInView reports a name outside aggregates that is not a feature.
func (l *loader) strayInView(v *viewDecl, r *lang.Reference) {
	_, isColumn := v.view.Source.Column(r.Name)
	switch {
	case isColumn:
		l.Errorf(r.Pos, RuleBareColumn, "%q is a column, but a feature reads many events; aggregate it, for example latest(%s)", r.Name, r.Name)
	case v.let(r.Name) != nil:
		l.Errorf(r.Pos, RuleBareColumn, "%q is a row expression, but a feature reads many events; aggregate it, for example count().where(%s)", r.Name, r.Name)
	default:
		candidates := append(sortedKeys(v.features.names()), "now")
		l.Errorf(r.Pos, lang.RuleUnknownName, "there is no feature %q in this view%s", r.Name,
			diag.DidYouMean(r.Name, append(candidates, columnNames(v.view.Source)...)))
	}
}
