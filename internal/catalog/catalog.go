// Package catalog lists the definitions of a project, what each of them is made of, and what is
// made of it.
package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Kind is a kind of definition.
type Kind string

// The kinds, in the order in which they depend on each other. A column is one of a source; it is
// defined where its source is. A feature is one of a view, or a derived one of a service.
const (
	Source      Kind = "source"
	Column      Kind = "column"
	Entity      Kind = "entity"
	View        Kind = "view"
	Feature     Kind = "feature"
	Service     Kind = "service"
	TrainingSet Kind = "training set"
)

// Kinds are all of them.
var Kinds = []Kind{Source, Column, Entity, View, Feature, Service, TrainingSet}

// Item is a definition.
type Item struct {
	Kind        Kind     `json:"kind"`
	Name        string   `json:"name"` // of a column, SOURCE.COLUMN; of a feature, VIEW.FEATURE, or SERVICE.FEATURE if it is derived
	Type        string   `json:"type,omitempty"`
	Description string   `json:"description,omitempty"`
	Owner       string   `json:"owner,omitempty"` // of a feature without one, that of its view
	Tags        []string `json:"tags,omitempty"`  // of a feature, those of its view too
	Version     string   `json:"version,omitempty"`
	Defined     plan.Pos `json:"-"`
	// Uses and UsedBy are the definitions that this one depends on directly, and those that depend on it.
	Uses   []*Item `json:"-"`
	UsedBy []*Item `json:"-"`

	plan any
}

// Catalog has the definitions of a project.
type Catalog struct {
	Items  []*Item // by kind and name
	byPlan map[any]*Item
	byName map[string]*Item // of columns and features
}

// New makes the catalogue of a project. The plan must be compiled without errors.
func New(p *plan.Plan) *Catalog {
	c := &Catalog{byPlan: map[any]*Item{}, byName: map[string]*Item{}}
	for _, e := range p.Entities {
		c.add(e, Item{Kind: Entity, Name: e.Name, Type: fields(e.Keys), Description: e.Description, Defined: e.Pos})
	}
	for _, s := range p.Sources {
		c.addSource(s)
	}
	for _, v := range p.Views {
		c.addView(v)
	}
	for _, s := range p.Services {
		c.addService(s)
	}
	for _, t := range p.Training {
		c.add(t, Item{Kind: TrainingSet, Name: t.Name, Defined: t.Pos}, c.byPlan[t.Service])
	}
	slices.SortStableFunc(c.Items, func(a, b *Item) int {
		return cmp.Or(slices.Index(Kinds, a.Kind)-slices.Index(Kinds, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return c
}

// add adds an item that uses others; nil ones are left out.
func (c *Catalog) add(of any, i Item, uses ...*Item) *Item {
	item := &i
	item.plan = of
	c.Items = append(c.Items, item)
	c.byPlan[of] = item
	for _, u := range uses {
		if u != nil && !slices.Contains(item.Uses, u) {
			item.Uses, u.UsedBy = append(item.Uses, u), append(u.UsedBy, item)
		}
	}
	return item
}

// addSource adds a source and its columns, as used by it: a column comes from its source.
func (c *Catalog) addSource(s *plan.Source) {
	from := "files"
	switch {
	case s.SQL != "":
		from = "query"
	case s.From == "":
		from = "stream"
	}
	if s.Stream && from != "stream" {
		from += ", stream"
	}
	of := c.add(s, Item{Kind: Source, Name: s.Name, Type: from, Description: s.Description, Defined: s.Pos})
	for i := range s.Columns {
		col := &s.Columns[i]
		name := s.Name + "." + col.Name
		c.byName[name] = c.add(col, Item{Kind: Column, Name: name, Type: col.Type.String(), Defined: cmp.Or(s.ColumnPos[col.Name], s.Pos)}, of)
	}
}

func (c *Catalog) column(s *plan.Source, name string) *Item { return c.byName[s.Name+"."+name] }

func (c *Catalog) addView(v *plan.View) {
	uses := []*Item{c.byPlan[v.Entity], c.byPlan[v.Source]}
	for _, k := range v.KeyColumns {
		uses = append(uses, c.column(v.Source, k))
	}
	view := c.add(v, Item{Kind: View, Name: v.Name, Description: v.Description, Owner: v.Owner, Tags: v.Tags, Version: v.Fingerprint.String(), Defined: v.Pos}, uses...)
	for _, i := range v.Order { // a feature comes after those that it refers to
		f := v.Features[i]
		uses := []*Item{view}
		f.Expr.Walk(func(x *plan.Expr) {
			switch x.Kind {
			case plan.Aggregate:
				slot := &v.Slots[v.Aggregates[x.Index].Slot]
				for _, name := range append(plan.Columns(slot.Arg, slot.By, slot.Group, slot.Filter), slot.KnownColumns...) {
					uses = append(uses, c.column(v.Source, name))
				}
			case plan.FeatureRef:
				uses = append(uses, c.byPlan[v.Features[x.Index]])
			}
		})
		c.addFeature(f, v.Name, v.Owner, v.Tags, uses)
	}
}

func (c *Catalog) addFeature(f *plan.Feature, in, owner string, tags []string, uses []*Item) *Item {
	all := slices.Clone(f.Tags)
	for _, t := range tags {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return c.add(f, Item{Kind: Feature, Name: in + "." + f.Name, Type: f.Type.String(), Description: f.Description, Owner: cmp.Or(f.Owner, owner), Tags: all,
		Version: f.Fingerprint.String(), Defined: f.Pos}, uses...)
}

// addService adds a service and its derived features, which it uses as it does those of views.
func (c *Catalog) addService(s *plan.Service) {
	var uses []*Item
	for _, f := range s.Features {
		uses = append(uses, c.byPlan[s.Views[f.Ref].View.Features[f.Feature]])
	}
	for _, i := range s.Order {
		d := s.Derived[i]
		var of []*Item
		d.Expr.Walk(func(x *plan.Expr) {
			if x.Kind == plan.FeatureRef {
				f := s.Features[x.Index]
				of = append(of, c.byPlan[s.Views[f.Ref].View.Features[f.Feature]])
			}
		})
		uses = append(uses, c.addFeature(d, s.Name, "", nil, of))
	}
	c.add(s, Item{Kind: Service, Name: s.Name, Description: s.Description, Version: s.Fingerprint.String(), Defined: s.Pos}, uses...)
}

// fields are names and types.
func fields(list []plan.Field) string {
	var parts []string
	for _, f := range list {
		parts = append(parts, f.Name+" "+f.Type.String())
	}
	return strings.Join(parts, ", ")
}

// Named are the items with a name, which may be of several kinds. KIND:NAME names one of a kind.
func (c *Catalog) Named(name string) (found []*Item) {
	kind, rest, ok := strings.Cut(name, ":")
	for _, i := range c.Items {
		if i.Name == name || ok && i.Name == rest && (string(i.Kind) == kind || strings.ReplaceAll(string(i.Kind), " ", "-") == kind) {
			found = append(found, i)
		}
	}
	return found
}

// Filter chooses items; a zero value chooses all.
type Filter struct {
	Kind   Kind
	Owner  string
	Tag    string
	Search string // in the name, the description or a tag, in any case
}

// Find are the items that pass a filter. Columns are left out unless they are asked for by their kind or found by a search.
func (c *Catalog) Find(f Filter) (found []*Item) {
	text := strings.ToLower(f.Search)
	for _, i := range c.Items {
		matches := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
		switch {
		case f.Kind != "" && i.Kind != f.Kind:
		case i.Kind == Column && f.Kind == "" && text == "":
		case f.Owner != "" && i.Owner != f.Owner:
		case f.Tag != "" && !slices.Contains(i.Tags, f.Tag):
		case text != "" && !matches(i.Name) && !matches(i.Description) && !slices.ContainsFunc(i.Tags, matches):
		default:
			found = append(found, i)
		}
	}
	return found
}

// Upstream are an item and everything that it is made of, Downstream an item and everything that is made of it, each once.
func (i *Item) Upstream() []*Item   { return reach(i, func(x *Item) []*Item { return x.Uses }) }
func (i *Item) Downstream() []*Item { return reach(i, func(x *Item) []*Item { return x.UsedBy }) }

func reach(from *Item, next func(*Item) []*Item) []*Item {
	seen := map[*Item]bool{from: true}
	list := []*Item{from}
	for at := 0; at < len(list); at++ {
		for _, x := range next(list[at]) {
			if !seen[x] {
				seen[x] = true
				list = append(list, x)
			}
		}
	}
	return list
}
