package featuredefs

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// entityDecl is an Entity document.
type entityDecl struct {
	entity *plan.Entity
	broken bool
}

func (l *loader) parseEntity(n *yamldoc.Node) {
	before := l.Errors
	o := l.Object(n, "Entity", "kind", "name", "keys", "description")
	e := &plan.Entity{Name: o.Name(), Description: o.Text("description"), Pos: n.Pos}
	if keys := o.Need("keys"); keys != nil {
		e.Keys = l.parseFields(keys, "Entity keys", keyTypes)
	}
	l.entities.add(&l.Reader, "entity", e.Name, n.Pos, &entityDecl{entity: e, broken: l.Errors > before})
}

// keyTypes are the types that keys can have: those with one representation for each value.
var keyTypes = []plan.Kind{plan.Int, plan.String, plan.Bool, plan.Bytes, plan.Timestamp}

// parseFields reads a non-empty list of {name, type}.
func (l *loader) parseFields(n *yamldoc.Node, what string, allowed []plan.Kind) []plan.Field {
	if n.Kind != yamldoc.Sequence || len(n.Items) == 0 {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s must be a list like [{name: user_id, type: int}], found %s", what, n.Describe())
		return nil
	}
	var fields []plan.Field
	seen := map[string]bool{}
	for _, item := range n.Items {
		o := l.Object(item, what, "name", "type")
		if o == nil {
			continue
		}
		f := plan.Field{Name: o.Name()}
		if t := o.Need("type"); t != nil {
			f.Type, _ = l.columnType(t, allowed)
		}
		if seen[f.Name] && f.Name != "" {
			l.Errorf(item.Pos, RuleDuplicateName, "%s contain %q twice; remove one", what, f.Name)
		}
		seen[f.Name] = true
		fields = append(fields, f)
	}
	return fields
}

// columnType reads a type name; only the given types are allowed.
func (l *loader) columnType(n *yamldoc.Node, allowed []plan.Kind) (plan.Type, bool) {
	names := make([]string, len(allowed))
	for i, k := range allowed {
		names[i] = k.String()
	}
	s := l.ScalarText(n, "type")
	for i, name := range names {
		if name == s {
			return plan.T(allowed[i]), true
		}
	}
	if n.Kind == yamldoc.Scalar {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%q is not a type that is allowed here%s; use %s", s, diag.DidYouMean(s, names), strings.Join(names, ", "))
	}
	return plan.Type{}, false
}
