package featuredefs

import (
	"math"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// trainingDecl is a TrainingSet document.
type trainingDecl struct {
	set         *plan.TrainingSet
	serviceNode *node
	labelNode   *node
	broken      bool
}

func (l *loader) parseTraining(n *node) {
	before := l.errors
	o := l.object(n, "TrainingSet", "kind", "name", "service", "spine", "split")
	t := &trainingDecl{set: &plan.TrainingSet{Name: o.name(), Pos: n.pos}, serviceNode: o.need("service")}
	if s := o.need("spine"); s != nil {
		l.parseSpine(t, s)
	}
	if s := o.get("split"); s != nil {
		t.set.Split = l.parseSplit(s)
	}
	t.broken = l.errors > before
	l.training.add(&l.reporter, "training set", t.set.Name, n.pos, t)
}

func (l *loader) parseSpine(t *trainingDecl, n *node) {
	o := l.object(n, "spine", "from", "sql", "time", "label", "label_known_at")
	if o == nil {
		return
	}
	t.labelNode = o.get("label")
	t.set.Spine = plan.Spine{From: o.text("from"), SQL: o.text("sql"), Time: o.needText("time"),
		Label: o.text("label"), LabelKnownAt: o.text("label_known_at")}
	if (o.get("from") == nil) == (o.get("sql") == nil) {
		l.errorf(n.pos, RuleMissingKey, "spine takes either from or sql")
	}
	if k := o.get("label_known_at"); k != nil && t.labelNode == nil {
		l.errorf(k.pos, RuleMissingKey, "label_known_at needs a label")
	}
}

func (l *loader) parseSplit(n *node) *plan.Split {
	o := l.object(n, "split", "train", "validation", "test", "embargo")
	if o == nil {
		return nil
	}
	parts := make([]float64, 3)
	sum := 0.0
	for i, key := range []string{"train", "validation", "test"} {
		v, _ := o.typed(key, plan.T(plan.Double))
		parts[i] = v.Double()
		if parts[i] < 0 || parts[i] != parts[i] {
			l.errorf(o.get(key).pos, RuleSplit, "split.%s must be a share from 0 to 1", key)
		}
		sum += parts[i]
	}
	if math.Abs(sum-1) > 1e-9 {
		l.errorf(n.pos, RuleSplit, "train, validation and test add up to %.6g; they must add up to 1", sum)
	}
	s := &plan.Split{Train: parts[0], Validation: parts[1], Test: parts[2]}
	s.Embargo, _ = o.span("embargo")
	return s
}

// compileTraining resolves the service and looks for a label among its inputs.
func (l *loader) compileTraining(t *trainingDecl) {
	if t.serviceNode == nil {
		return
	}
	s, ok := l.services.lookup(&l.reporter, "service", t.serviceNode)
	if !ok || s.broken || t.broken {
		return
	}
	t.set.Service = s.service
	before := l.errors
	if t.labelNode != nil {
		for _, f := range s.service.Features {
			v := s.service.Views[f.Ref].View
			l.checkLabel(t, v, v.Features[f.Feature])
		}
	}
	if l.errors == before {
		l.project.Plan.Training = append(l.project.Plan.Training, t.set)
	}
}

// checkLabel refuses a feature that reads the label's column of the relation that
// the spine is taken from, unless the column says when it is known.
func (l *loader) checkLabel(t *trainingDecl, v *plan.View, f *plan.Feature) {
	spine, src := t.set.Spine, v.Source
	sameRelation := spine.From != "" && spine.From == src.From || spine.SQL != "" && spine.SQL == src.SQL
	if col, ok := src.Column(spine.Label); !sameRelation || !ok || col.Known != nil {
		return
	}
	if reads(v, f, spine.Label) {
		l.errorf(t.labelNode.pos, RuleLabelColumn, "feature %s.%s reads %q, the label of this training set; say when it is known with known_at: in source %s, or leave it out",
			v.Name, f.Name, spine.Label, src.Name)
	}
}

// reads reports whether f reads a column, itself or through other features.
func reads(v *plan.View, f *plan.Feature, column string) bool {
	found := false
	f.Expr.Walk(func(e *plan.Expr) {
		switch e.Kind {
		case plan.Aggregate:
			s := v.Slots[v.Aggregates[e.Index].Slot]
			found = found || slices.Contains(plan.Columns(s.Arg, s.By, s.Group, s.Filter), column)
		case plan.FeatureRef:
			found = found || reads(v, v.Features[e.Index], column)
		}
	})
	return found
}
