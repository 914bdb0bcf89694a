package featuredefs

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
)

// CostLimit bounds what one evaluation of an expression may cost, in CEL's units;
// an ordinary feature costs less than 100.
const CostLimit = 10_000_000

// checkCosts refuses expressions that no request could afford, such as loops in loops
// over long lists.
func (l *loader) checkCosts() error {
	for _, v := range l.project.Plan.Views {
		for i := range v.Slots {
			s := &v.Slots[i]
			for _, e := range []*plan.Expr{s.Arg, s.By, s.Group, s.Filter} {
				if err := l.checkCost(e); err != nil {
					return err
				}
			}
		}
		if err := l.checkFeatureCosts(v.Features); err != nil {
			return err
		}
	}
	for _, s := range l.project.Plan.Services {
		if err := l.checkFeatureCosts(s.Derived); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) checkFeatureCosts(features []*plan.Feature) error {
	for _, f := range features {
		if err := l.checkCost(f.Expr); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) checkCost(e *plan.Expr) error {
	if e == nil {
		return nil
	}
	units, err := celenv.Cost(e)
	if err != nil {
		return err
	}
	// Where the model knows no bound there is one all the same: columns, request fields and
	// what is computed from them are no longer than the rows and requests that they came in.
	if units > CostLimit && units != celenv.UnknownCost {
		l.errorf(e.Pos, RuleCost, "one evaluation may cost %d units, more than the %d that are allowed; loop over shorter lists or not inside one another", units, CostLimit)
	}
	return nil
}
