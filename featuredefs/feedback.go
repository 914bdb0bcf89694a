package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// outcomesWindow is how long ids of outcomes are remembered: a job that sends the labels of a quarter again counts none twice.
const outcomesWindow = 90 * plan.Day

// parseFeedback declares the sources of a service to which callers log what a model predicted from its features, and
// what came of it.
func (l *loader) parseFeedback(s *plan.Service, o *yamldoc.Object) {
	if s.Name == "" {
		return // reported
	}
	if n := o.Get("predictions"); n != nil {
		s.Predictions = l.feedbackSource(n, &plan.Source{
			Name: s.Name + "_predictions", EventID: plan.PredictionID, EventTime: plan.PredictedAt, DedupWindow: defaultDedupWindow,
			Description: "What models predicted from answers of " + s.Name + ".",
		}, "FeatureService.predictions", nil, plan.ModelColumn)
	}
	if n := o.Get("outcomes"); n != nil {
		// Each outcome of a request may be known at another time, so each is a column that a later call can fill in.
		s.Outcomes = l.feedbackSource(n, &plan.Source{
			Name: s.Name + "_outcomes", EventID: plan.OutcomeID, EventTime: plan.ObservedAt, DedupWindow: outcomesWindow,
			Description: "What came of requests to " + s.Name + ".",
		}, "FeatureService.outcomes", &plan.Known{Kind: plan.KnownDelay})
	}
}

// feedbackSource declares a source with the columns of every one of its kind, texts besides these, and those of n.
func (l *loader) feedbackSource(n *yamldoc.Node, s *plan.Source, what string, known *plan.Known, texts ...string) *plan.Source {
	switch {
	case n.Kind != yamldoc.Mapping:
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s must be a mapping of columns like {score: double}, found %s", what, n.Describe())
		return nil
	case len(n.Entries) == 0:
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s is empty; name at least one column, like {score: double}", what)
		return nil
	}
	l.UniqueKeys(n)
	s.Stream, s.MaxAhead, s.Pos, s.RelationPos = true, defaultMaxAhead, n.Pos, n.Pos
	decl := &sourceDecl{source: s, n: n, used: map[string]bool{}, unusable: map[string]string{}, complete: true}
	add := func(at *yamldoc.Node, name string, t plan.Type, known *plan.Known) {
		decl.columns = append(decl.columns, &columnDecl{node: at, declared: true, SourceColumn: plan.SourceColumn{Field: plan.Field{Name: name, Type: t}, Known: known}})
	}
	add(n, s.EventID, plan.T(plan.String), nil)
	add(n, s.EventTime, plan.T(plan.Timestamp), nil)
	add(n, plan.RequestID, plan.T(plan.String), nil)
	add(n, plan.RequestRow, plan.T(plan.Int), nil)
	for _, name := range texts {
		add(n, name, plan.T(plan.String), nil)
	}
	own := map[string]bool{"now": true, "request": true}
	for _, c := range decl.columns {
		own[c.Name] = true
	}
	for _, e := range n.Entries {
		name := l.Identifier(e.Key, "column")
		if own[name] {
			l.Errorf(e.Key.Pos, yamldoc.RuleReservedName, "column %q is reserved; give it another name", name)
		}
		if t, ok := l.columnType(e.Value, plan.ColumnKinds); ok && name != "" {
			add(e.Key, name, t, known)
		}
	}
	l.sources.add(&l.Reader, "source", s.Name, n.Pos, decl)
	return s
}
