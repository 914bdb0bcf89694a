package featuredefs

import (
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// entityDecl is an Entity document.
type entityDecl struct {
	entity *plan.Entity
	broken bool
}

func (l *loader) parseEntity(n *node) {
	before := l.errors
	o := l.object(n, "Entity", "kind", "name", "keys", "description")
	e := &plan.Entity{Name: o.name(), Description: o.text("description")}
	if keys := o.need("keys"); keys != nil {
		e.Keys = l.parseFields(keys, "Entity keys", keyTypes)
	}
	l.entities.add(&l.reporter, "entity", e.Name, n.pos, &entityDecl{entity: e, broken: l.errors > before})
}

// keyTypes are the types with one representation for each value, which keys need.
var keyTypes = []plan.Kind{plan.Int, plan.String, plan.Bool, plan.Bytes, plan.Timestamp}

// parseFields reads a non-empty list of {name, type}.
func (l *loader) parseFields(n *node, what string, allowed []plan.Kind) []plan.Field {
	if n.kind != sequenceNode || len(n.items) == 0 {
		l.errorf(n.pos, RuleWrongValue, "%s must be a list like [{name: user_id, type: int}], found %s", what, n.describe())
		return nil
	}
	var fields []plan.Field
	seen := map[string]bool{}
	for _, item := range n.items {
		o := l.object(item, what, "name", "type")
		if o == nil {
			continue
		}
		f := plan.Field{Name: o.name()}
		if t := o.need("type"); t != nil {
			f.Type, _ = l.columnType(t, allowed)
		}
		if seen[f.Name] && f.Name != "" {
			l.errorf(item.pos, RuleDuplicateName, "%s hold %q twice; drop one", what, f.Name)
		}
		seen[f.Name] = true
		fields = append(fields, f)
	}
	return fields
}

// scalarKinds are the types a column can have.
var scalarKinds = []plan.Kind{plan.Bool, plan.Int, plan.Double, plan.String, plan.Bytes, plan.Timestamp, plan.Duration}

// columnType reads the name of one of the allowed types.
func (l *loader) columnType(n *node, allowed []plan.Kind) (plan.Type, bool) {
	names := make([]string, len(allowed))
	for i, k := range allowed {
		names[i] = k.String()
	}
	s := l.scalarText(n, "type")
	for i, name := range names {
		if name == s {
			return plan.T(allowed[i]), true
		}
	}
	if n.kind == scalarNode {
		l.errorf(n.pos, RuleWrongValue, "%q is not a type that fits here%s; use %s", s, didYouMean(s, names), strings.Join(names, ", "))
	}
	return plan.Type{}, false
}
