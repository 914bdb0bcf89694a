package featuredefs_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/unskew/unskew/featuredefs/plan"
)

// However a null gets into an expression, it is refused, or the type in the plan is that
// of the values: the engine has no columns of nulls.
func TestNoTypeInAPlanIsThatOfNull(t *testing.T) {
	values := []string{
		"null", "%s", "vip ? null : %s", "vip ? %s : null", "vip ? null : (vip ? %s : null)", "vip ? (vip ? null : %s) : null",
		"[null, %s][0]", "[%s, null][0]", `{"a": null, "b": %s}["a"]`, `{"a": %s, "b": null}["b"]`, `{"a": null}.a`,
		"cel.bind(x, null, x)", "cel.bind(x, null, vip ? x : %[1]s)", "cel.bind(x, %s, vip ? null : x)", "[null].map(x, x)[0]", "[%s].map(x, vip ? null : x)[0]",
		"optional.of(null).orValue(%s)", "optional.of(%s).orValue(null)", "[?optional.of(null), optional.of(%s)][0]",
	}
	columns := map[string][]string{
		"amount":  {"sum(%s)", "latest(%s)", "latest_n(%s, 3)", "approx_quantile(%s, 0.5)", "max_by(country, %s)", "count(%s)", "count([%s])"},
		"country": {"count(%s)", "count().by(%s)", "distinct_count(%s)", "top_k(%s, 3)", `count().where((%s) == "x")`, "latest([%s])"},
		"ts":      {"max(%s)", "latest(%s)", "max_by(%s, qty)", "min_by(qty, %s)"},
		"wait":    {"sum(%s)", "count(%s)"},
		"vip":     {"any(%s)", "count().where(%s)"},
	}
	var views strings.Builder
	var texts []string
	for column, aggregates := range columns {
		for _, value := range values {
			if strings.Contains(value, "%") {
				value = fmt.Sprintf(value, column)
			}
			for _, aggregate := range aggregates {
				text := fmt.Sprintf(aggregate, value)
				fmt.Fprintf(&views, "---\nkind: FeatureView\nname: v%d\nentity: user\nsource: transactions\nfeatures:\n  f: |-\n    %s\n", len(texts), text)
				texts = append(texts, text)
			}
		}
	}
	p, _ := load(t, projectOf(t, &txtar.Archive{Files: []txtar.File{{Name: "features/views.yaml", Data: []byte(views.String())}}}))
	for _, v := range p.Plan.Views { // those without an error
		for _, s := range v.Slots {
			for _, x := range []*plan.Expr{s.Arg, s.By, s.Group, s.Filter, {Type: s.Type}} {
				if x != nil && mentionsNull(x.Type) {
					i, _ := strconv.Atoi(v.Name[1:])
					t.Errorf("%s has a slot of type %v", texts[i], x.Type)
				}
			}
		}
	}
	if n := len(p.Plan.Views); n < 50 || n == len(texts) {
		t.Errorf("%d of %d expressions are accepted", n, len(texts))
	}
}

func mentionsNull(t plan.Type) bool {
	return t.Kind == plan.Null || t.Elem != nil && mentionsNull(*t.Elem) || t.Key != nil && mentionsNull(*t.Key)
}
