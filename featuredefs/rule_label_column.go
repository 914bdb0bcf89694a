package featuredefs

import (
	"slices"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
)

// labelColumn refuses features that read the label from the spine's own relation, unless the
// column has a known_at.
var labelColumn = rule[*trainingDecl]{
	diag.Rule{ID: "label-column", Severity: diag.Error, Purpose: "A feature may not read the label it helps to predict."},
	func(t *trainingDecl, report reportFunc) {
		if t.labelNode == nil {
			return
		}
		service, spine := t.set.Service, t.set.Spine
		for _, sf := range service.Features {
			v := service.Views[sf.Ref].View
			f, src := v.Features[sf.Feature], v.Source
			col, ok := src.Column(spine.Label)
			if ok && col.Known == nil && sameRelation(spine, src) && reads(v, f, spine.Label) {
				report(t.labelNode.Pos, "feature %s.%s reads %q, the label of this training set; say when it is known with known_at: in source %s, or leave it out",
					v.Name, f.Name, spine.Label, src.Name)
			}
		}
	},
}

func sameRelation(spine plan.Spine, src *plan.Source) bool {
	return spine.From != "" && spine.From == src.From || spine.SQL != "" && spine.SQL == src.SQL
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
