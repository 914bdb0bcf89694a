package featuredefs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/unskew/unskew/featuredefs/plan"
)

// nested is x wrapped in depth lists.
func nested(x string, depth int) string {
	return strings.Repeat("[", depth) + x + strings.Repeat("]", depth)
}

// The values that an aggregate stores may be nested as deeply as a stored value and no deeper,
// whatever the aggregate and whatever causes the depth. Values that are only read are not
// stored.
func TestAggregatesKeepWhatCanBeStored(t *testing.T) {
	const half = plan.MaxDepth / 2
	for _, f := range []struct{ lets, expr string }{
		{"", `count(%s, "7d").where(vip)`},
		{"", `latest(%s, "7d").hasValue() ? 1 : 0`},
		{"", `size(max_by(%s, qty).orValue([]))`},
		{"let: {inner: '" + nested("amount", half) + "'}", `count(INNER)`},
		{"", `count({"a": MAP})`},
	} {
		for _, extra := range []int{0, 1} {
			depth := plan.MaxDepth + extra
			expr := strings.NewReplacer("%s", nested("amount", depth), "INNER", nested("inner", depth-half),
				"MAP", nested("optional.of(amount)", depth-2)).Replace(f.expr)
			view := fmt.Sprintf("kind: FeatureView\nname: spend\nentity: user\nsource: transactions\n%s\nfeatures:\n  a: '%s'\n", f.lets, expr)
			_, found := load(t, projectOf(t, &txtar.Archive{Files: []txtar.File{{Name: "features/view.yaml", Data: []byte(view)}}}))
			want := "an aggregate stores values with at most 100 levels of lists, maps and optionals, and these have 101; aggregate an element of them [aggregate-call]"
			text := render(t, found)
			switch {
			case extra == 0 && len(found) > 0:
				t.Errorf("%s at depth %d: %s", f.expr, depth, text)
			case extra == 1 && (len(found) != 1 || !strings.Contains(text, want)):
				t.Errorf("%s at depth %d: found %q", f.expr, depth, text)
			}
		}
	}
	view := "kind: FeatureView\nname: spend\nentity: user\nsource: transactions\nfeatures:\n  a: 'count().where(" +
		nested("vip", plan.MaxDepth+1) + strings.Repeat("[0]", plan.MaxDepth+1) + ")'\n"
	if _, found := load(t, projectOf(t, &txtar.Archive{Files: []txtar.File{{Name: "features/view.yaml", Data: []byte(view)}}})); len(found) > 0 {
		t.Errorf("a filter that reads a deep list: %s", render(t, found))
	}
}
