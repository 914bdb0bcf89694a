package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Fact is something about a definition.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Facts are what a definition says, in words and types.
func (i *Item) Facts() []Fact {
	var facts []Fact
	say := func(name, format string, a ...any) {
		if text := fmt.Sprintf(format, a...); text != "" {
			facts = append(facts, Fact{name, text})
		}
	}
	switch x := i.plan.(type) {
	case *plan.Source:
		say("from", "%s", x.From)
		say("query", "%s", strings.TrimSpace(x.SQL))
		say("event time", "%s", x.EventTime)
		say("event id", "%s", x.EventID)
		say("known", "%v", x.Known)
		if x.Stream {
			say("pushed to", "yes; ids are remembered for %v", x.DedupWindow)
		}
	case *plan.SourceColumn:
		if x.Known != nil {
			say("known", "%v", *x.Known)
		}
		if x.Outcome {
			say("outcome", "known only after its event")
		}
	case *plan.Entity:
		say("keys", "%s", fields(x.Keys))
	case *plan.View:
		say("entity", "%s", x.Entity.Name)
		say("source", "%s", x.Source.Name)
		say("key columns", "%s", strings.Join(x.KeyColumns, ", "))
		say("columns read", "%s", strings.Join(x.Columns(), ", "))
	case *plan.Feature:
		i.featureFacts(x, say)
	case *plan.Service:
		say("keys", "%s", fields(x.Keys))
		say("request fields", "%s", fields(x.Request))
		say("outputs", "%d", len(x.Features)+len(x.Derived))
		for _, ref := range x.Views {
			if ref.As != ref.View.Name {
				say("role", "%s: view %s by %s", ref.As, ref.View.Name, strings.Join(ref.Keys, ", "))
			}
		}
	case *plan.TrainingSet:
		say("service", "%s", x.Service.Name)
		say("spine", "%s", strings.TrimSpace(x.Spine.From+x.Spine.SQL))
		if x.Spine.Served {
			say("spine", "what was served")
		}
		say("time", "%s", x.Spine.Time)
		say("label", "%s", x.Spine.Label)
		say("label known at", "%s", x.Spine.LabelKnownAt)
		say("as of", "%s", x.AsOf)
	}
	return facts
}

// featureFacts are those of a feature. The view of one that is not derived is the first that it uses.
func (i *Item) featureFacts(f *plan.Feature, say func(name, format string, a ...any)) {
	say("expression", "%v", f.Expr)
	view, ok := (*plan.View)(nil), false
	if len(i.Uses) > 0 {
		view, ok = i.Uses[0].plan.(*plan.View)
	}
	if ok && slices.Contains(view.Features, f) {
		said := map[int]bool{}
		f.Expr.Walk(func(x *plan.Expr) {
			if x.Kind == plan.Aggregate && !said[x.Index] {
				said[x.Index] = true
				a := view.Aggregates[x.Index]
				say("aggregate", "%v = %v over %v", x, &view.Slots[a.Slot], a.Window)
			}
		})
	}
	if f.Default != nil {
		say("default", "%v", *f.Default)
	}
	if f.OnErrorDefault {
		say("on error", "default")
	}
}
