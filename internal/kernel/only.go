package kernel

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Only restricts Read to the given features of the view and those that they refer to. The
// columns of the others have no rows, and aggregates that only those read are neither loaded
// nor merged. It must be called before the first Read.
func (k *View) Only(features []int) {
	wanted, aggregates := make([]bool, len(k.plan.Features)), make([]bool, len(k.plan.Aggregates))
	var want func(f int)
	want = func(f int) {
		if wanted[f] {
			return
		}
		wanted[f] = true
		k.plan.Features[f].Expr.Walk(func(e *plan.Expr) {
			switch e.Kind {
			case plan.Aggregate:
				aggregates[e.Index] = true
			case plan.FeatureRef:
				want(e.Index)
			}
		})
	}
	for _, f := range features {
		want(f)
	}
	k.outer.order = slices.DeleteFunc(slices.Clone(k.outer.order), func(f int) bool { return !wanted[f] })
	for g := range k.groups {
		k.groups[g].only(aggregates)
	}
	k.findWanted()
}

// findWanted lists the aggregates that are read.
func (k *View) findWanted() {
	k.wanted = k.wanted[:0]
	for g := range k.groups {
		for _, w := range k.groups[g].windows {
			for _, r := range w.aggs {
				k.wanted = append(k.wanted, r.agg)
			}
		}
	}
}

// only drops the aggregates that are not wanted, and then windows and slots without any.
func (g *group) only(wanted []bool) {
	clear(g.need)
	for w := range g.windows {
		g.windows[w].aggs = slices.DeleteFunc(g.windows[w].aggs, func(r groupRead) bool { return !wanted[r.agg] })
		for _, r := range g.windows[w].aggs {
			g.need[r.column] = true
		}
	}
	g.windows = slices.DeleteFunc(g.windows, func(w windowReaders) bool { return len(w.aggs) == 0 })
}
