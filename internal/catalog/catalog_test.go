package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/internal/catalog"
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: pays
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
  fee: {type: double}
  country: {type: string}
  late: {type: bool, outcome: true, known_at: late_at}
  late_at: {type: timestamp}
  unread: {type: string}
---
kind: FeatureView
name: pays
entity: user
source: pays
owner: team-a
tags: [money]
where: country != "XX"
let:
  net: amount - fee
features:
  n: count()
  net_7d: sum(net, "7d")
  per: {expr: net_7d / double(n + 1), owner: team-b, tags: [ratio]}
  lates: count().where(late)
---
kind: FeatureService
name: risk
features: [pays.per, {view: pays, as: payee, keys: {user_id: payee_id}}]
request: {amount: double}
derived:
  share: request.amount / (pays.per + 1.0)
---
kind: TrainingSet
name: march
service: risk
spine: {from: spine.parquet, time: at}
`

func load(t *testing.T) *catalog.Catalog {
	t.Helper()
	dir := t.TempDir()
	defstest.Write(t, dir, definitions)
	return catalog.New(defstest.Load(t, dir, featuredefs.Options{}).Plan)
}

func names(items []*catalog.Item) string {
	var out []string
	for _, i := range items {
		out = append(out, string(i.Kind)+":"+i.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func one(t *testing.T, c *catalog.Catalog, name string) *catalog.Item {
	t.Helper()
	found := c.Named(name)
	if len(found) != 1 {
		t.Fatalf("%s: %s", name, names(found))
	}
	return found[0]
}

// A column reaches what reads it in an argument, a filter, a let or the where of a view, directly or through other features.
func TestColumnsReachWhatReadsThem(t *testing.T) {
	c := load(t)
	const service = "service:risk training set:march"
	for column, want := range map[string]string{
		"unread":  "",
		"country": "feature:pays.lates feature:pays.n feature:pays.net_7d feature:pays.per feature:risk.share " + service,
		"fee":     "feature:pays.net_7d feature:pays.per feature:risk.share " + service,
		"late":    "feature:pays.lates " + service,
		"user_id": "feature:pays.lates feature:pays.n feature:pays.net_7d feature:pays.per feature:risk.share " + service + " view:pays",
	} {
		got := strings.TrimSpace(strings.Replace(" "+names(one(t, c, "pays."+column).Downstream())+" ", " column:pays."+column+" ", " ", 1))
		if got != want {
			t.Errorf("%s reaches %q, want %q", column, got, want)
		}
	}
	if got, want := names(one(t, c, "risk.share").Upstream()),
		"column:pays.amount column:pays.country column:pays.fee column:pays.user_id entity:user feature:pays.n feature:pays.net_7d feature:pays.per feature:risk.share source:pays view:pays"; got != want {
		t.Errorf("share is made of %q, want %q", got, want)
	}
}

func TestOwnersTagsAndNames(t *testing.T) {
	c := load(t)
	per, n := one(t, c, "pays.per"), one(t, c, "pays.n")
	if per.Owner != "team-b" || strings.Join(per.Tags, " ") != "ratio money" || n.Owner != "team-a" || strings.Join(n.Tags, " ") != "money" {
		t.Errorf("%+v, %+v", per, n)
	}
	if got := names(c.Named("pays")); got != "source:pays view:pays" {
		t.Errorf("pays: %s", got)
	}
	if got := names(c.Named("training-set:march")); got != "training set:march" {
		t.Errorf("training-set:march: %s", got)
	}
	for _, x := range []struct {
		f    catalog.Filter
		want string
	}{
		{catalog.Filter{Owner: "team-b"}, "feature:pays.per"},
		{catalog.Filter{Tag: "ratio"}, "feature:pays.per"},
		{catalog.Filter{Kind: catalog.Service}, "service:risk"},
		{catalog.Filter{Search: "LATE_AT"}, "column:pays.late_at"},
		{catalog.Filter{Search: "rati"}, "feature:pays.per"},
	} {
		if got := names(c.Find(x.f)); got != x.want {
			t.Errorf("%+v: %s, want %s", x.f, got, x.want)
		}
	}
	if got := names(c.Find(catalog.Filter{})); strings.Contains(got, "column:") || !strings.Contains(got, "entity:user") {
		t.Errorf("everything: %s", got)
	}
}

// Without columns, nothing is cut off: what read one is still connected to its source.
func TestGraphsWithoutColumnsAreConnected(t *testing.T) {
	c := load(t)
	for _, columns := range []bool{false, true} {
		g := c.Graph(c.Items, columns)
		reached := map[*catalog.Item]bool{one(t, c, "source:pays"): true, one(t, c, "entity:user"): true}
		for range g.Nodes {
			for _, e := range g.Edges {
				if reached[e.From] {
					reached[e.To] = true
				}
			}
		}
		for _, i := range g.Nodes {
			if !reached[i] {
				t.Errorf("columns %t: nothing leads to %s %s", columns, i.Kind, i.Name)
			}
			if !columns && i.Kind == catalog.Column {
				t.Errorf("column %s", i.Name)
			}
		}
	}
}
