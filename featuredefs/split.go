package featuredefs

import (
	"math"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

func (l *loader) parseSplit(n *yamldoc.Node) *plan.Split {
	o := l.Object(n, "split", "train", "validation", "test", "folds", "holdout", "embargo", "label_horizon")
	if o == nil {
		return nil
	}
	before := l.Errors
	s := &plan.Split{Train: l.share(o, "train"), Validation: l.share(o, "validation"), Test: l.share(o, "test")}
	if o.Get("folds") != nil {
		l.parseFolds(s, o)
	} else if sum := s.Train + s.Validation + s.Test; math.Abs(sum-1) > 1e-9 && l.Errors == before {
		l.Errorf(n.Pos, RuleSplit, "train, validation and test add up to %.6g; they must add up to 1", sum)
	}
	if h := o.Get("holdout"); h != nil {
		s.Holdout = l.parseHoldout(h)
	}
	s.Embargo, _ = o.Span("embargo")
	s.LabelHorizon, s.HorizonDeclared = o.Span("label_horizon")
	return s
}

// share reads the fraction of a part of a split.
func (l *loader) share(o *yamldoc.Object, key string) float64 {
	v, _ := o.Typed(key, plan.T(plan.Double))
	x := v.Double()
	if x < 0 || x != x {
		l.Errorf(o.Get(key).Pos, RuleSplit, "split.%s must be a fraction from 0 to 1", key)
		return 0
	}
	return x
}

func (l *loader) parseFolds(s *plan.Split, o *yamldoc.Object) {
	v, ok := o.Typed("folds", plan.T(plan.Int))
	if n := v.Int(); ok && (n < 2 || n > plan.MostFolds) {
		l.Errorf(o.Get("folds").Pos, RuleSplit, "split.folds is %d; it must be from 2 to %d", n, plan.MostFolds)
	}
	s.Folds = int(v.Int())
	for _, key := range []string{"train", "validation"} {
		if given := o.Get(key); given != nil {
			l.Errorf(given.Pos, RuleSplit, "folds have their own train and validation rows; remove %s: or folds:", key)
		}
	}
	if test := o.Get("test"); test != nil && s.Test >= 1 {
		l.Errorf(test.Pos, RuleSplit, "split.test leaves no rows for the folds; it must be less than 1")
	}
}

func (l *loader) parseHoldout(n *yamldoc.Node) *plan.Holdout {
	o := l.Object(n, "holdout", "entity", "fraction", "seed")
	if o == nil {
		return nil
	}
	h := &plan.Holdout{Entity: o.NeedText("entity"), Seed: o.Text("seed")}
	if e := o.Get("entity"); e != nil {
		h.Pos = e.Pos
	}
	if f := o.Need("fraction"); f != nil {
		v, ok := o.Typed("fraction", plan.T(plan.Double))
		if h.Fraction = v.Double(); ok && !(h.Fraction > 0 && h.Fraction < 1) {
			l.Errorf(f.Pos, RuleSplit, "holdout.fraction must be between 0 and 1: the share of the entities that are held out")
		}
	}
	return h
}
