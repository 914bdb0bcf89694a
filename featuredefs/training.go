package featuredefs

import (
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
	o := l.Object(n, "TrainingSet", "kind", "name", "service", "spine", "split")
	t := &trainingDecl{set: &plan.TrainingSet{Name: o.Name(), Pos: n.Pos}, serviceNode: o.Need("service")}
	if s := o.Need("spine"); s != nil {
		l.parseSpine(t, s)
	}
	if s := o.Get("split"); s != nil {
		t.set.Split = l.parseSplit(s)
	}
	t.broken = l.Errors > before
	l.training.add(&l.Reader, "training set", t.set.Name, n.Pos, t)
}

func (l *loader) parseSpine(t *trainingDecl, n *yamldoc.Node) {
	o := l.Object(n, "spine", "from", "csv", "sql", "time", "label", "label_known_at")
	if o == nil {
		return
	}
	t.labelNode = o.Get("label")
	t.set.Spine = plan.Spine{From: o.Text("from"), CSV: l.parseCSV(o, "spine"), SQL: o.Text("sql"), Time: o.NeedText("time"),
		Label: o.Text("label"), LabelKnownAt: o.Text("label_known_at"), RelationPos: relationPos(o), ColumnPos: map[string]plan.Pos{}}
	for _, key := range []string{"label_known_at", "label", "time"} {
		if c := o.Get(key); c != nil {
			t.set.Spine.ColumnPos[c.Text] = c.Pos
		}
	}
	if (o.Get("from") == nil) == (o.Get("sql") == nil) {
		l.Errorf(n.Pos, yamldoc.RuleMissingKey, "spine needs either from or sql")
	}
	if k := o.Get("label_known_at"); k != nil && t.labelNode == nil {
		l.Errorf(k.Pos, yamldoc.RuleMissingKey, "label_known_at needs label:")
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
	check(l, trainingRules, t)
	if l.Errors == before {
		l.project.Plan.Training = append(l.project.Plan.Training, t.set)
	}
}
