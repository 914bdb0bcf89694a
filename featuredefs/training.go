package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/lang"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// trainingDecl is a TrainingSet document.
type trainingDecl struct {
	set         *plan.TrainingSet
	serviceNode *yamldoc.Node
	labelNode   *yamldoc.Node
	broken      bool
}

func (l *loader) parseTraining(n *yamldoc.Node) {
	before := l.Errors
	o := l.Object(n, "TrainingSet", "kind", "name", "service", "spine", "split", "as_of")
	t := &trainingDecl{set: &plan.TrainingSet{Name: o.Name(), Pos: n.Pos}, serviceNode: o.Need("service")}
	if s := o.Need("spine"); s != nil {
		l.parseSpine(t, s)
	}
	if s := o.Get("split"); s != nil {
		t.set.Split = l.parseSplit(s)
	}
	l.parseAsOf(t, o.Get("as_of"))
	t.broken = l.Errors > before
	l.training.add(&l.Reader, "training set", t.set.Name, n.Pos, t)
}

// parseAsOf reads what events of a training set count as known.
func (l *loader) parseAsOf(t *trainingDecl, n *yamldoc.Node) {
	switch {
	case n == nil:
	case n.Text == "final":
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "final values are only for measuring: use unskew train --as-of final")
	case n.Text != "known" && n.Text != "ledger":
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "as_of: is known, as the definitions say that serving knows events, or ledger, as servers recorded that it did")
	case n.Text == "ledger" && t.set.Spine.Served:
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "as_of: ledger has no meaning for values that were served")
	default:
		t.set.AsOf = n.Text
	}
}

func (l *loader) parseSpine(t *trainingDecl, n *yamldoc.Node) {
	o := l.Object(n, "spine", "from", "csv", "sql", "time", "label", "label_known_at", "served", "outcomes")
	if o == nil {
		return
	}
	t.labelNode = o.Get("label")
	if o.Boolean("served") {
		l.parseServedSpine(t, o)
		return
	}
	if k := o.Get("outcomes"); k != nil {
		l.Errorf(k.Pos, yamldoc.RuleWrongValue, "outcomes: is for a spine with served: true")
	}
	t.set.Spine = plan.Spine{From: o.Text("from"), CSV: l.parseCSV(o, "spine"), SQL: o.Text("sql"), Time: o.NeedText("time"),
		Label: o.Text("label"), LabelKnownAt: o.Text("label_known_at"), RelationPos: relationPos(o), ColumnPos: map[string]plan.Pos{}}
	for _, key := range []string{"label_known_at", "label", "time"} {
		if c := o.Get(key); c != nil {
			t.set.Spine.ColumnPos[c.Text] = c.Pos
		}
	}
	if (o.Get("from") == nil) == (o.Get("sql") == nil) {
		l.Errorf(n.Pos, yamldoc.RuleMissingKey, "spine needs either from or sql, or served: true")
	}
	if k := o.Get("label_known_at"); k != nil && t.labelNode == nil {
		l.Errorf(k.Pos, yamldoc.RuleMissingKey, "label_known_at needs label:")
	}
}

// parseServedSpine reads a spine of the rows that a server has recorded.
func (l *loader) parseServedSpine(t *trainingDecl, o *yamldoc.Object) {
	for _, key := range []string{"from", "csv", "sql", "time"} {
		if n := o.Get(key); n != nil {
			l.Errorf(n.Pos, yamldoc.RuleWrongValue, "a spine with served: true has the rows of the served log and their times; remove %s:", key)
		}
	}
	t.set.Spine = plan.Spine{Served: true, Label: o.Text("label"), LabelKnownAt: o.Text("label_known_at"), Outcomes: o.Text("outcomes"), RelationPos: o.Node.Pos}
	if n := o.Get("outcomes"); n != nil {
		t.set.Spine.RelationPos = n.Pos
		if t.labelNode == nil {
			l.Errorf(n.Pos, yamldoc.RuleMissingKey, "outcomes: needs label:, a column of the file")
		}
	}
	if n := o.Get("label_known_at"); n != nil && t.set.Spine.Outcomes == "" {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "when outcomes were known is in the log; label_known_at: is for a file of outcomes:")
	}
}

// checkServedLabel finds a label that is no outcome of the service.
func (l *loader) checkServedLabel(t *trainingDecl) {
	if s := t.set.Spine; !s.Served || s.Outcomes != "" || t.labelNode == nil {
		return
	}
	var names []string
	if of := t.set.Service.Outcomes; of != nil {
		for _, c := range of.Columns {
			if c.Known != nil {
				names = append(names, c.Name)
			}
		}
	}
	if !slices.Contains(names, t.set.Spine.Label) {
		l.Errorf(t.labelNode.Pos, lang.RuleUnknownName, "service %s has no outcome %q%s; declare it under outcomes: of the service, or name a file that has it in outcomes: of the spine",
			t.set.Service.Name, t.set.Spine.Label, diag.DidYouMean(t.set.Spine.Label, names))
	}
}

// compileTraining resolves the service.
func (l *loader) compileTraining(t *trainingDecl) {
	if t.serviceNode == nil {
		return
	}
	s, ok := l.services.lookup(&l.Reader, "service", t.serviceNode)
	if !ok || s.broken || t.broken {
		return
	}
	t.set.Service = s.service
	before := l.Errors
	l.checkServedLabel(t)
	check(l, trainingRules, t)
	if l.Errors == before {
		l.project.Plan.Training = append(l.project.Plan.Training, t.set)
	}
}
