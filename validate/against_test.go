package validate

import (
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/internal/celcost"
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: clicks
stream: true
event_time: ts
columns: {user_id: {type: int}, ts: {type: timestamp}, cost: {type: double}}
---
kind: FeatureView
name: user_clicks
entity: user
source: clicks
features:
  clicks_7d: count("7d")
  cost_7d: sum(cost, "7d")
---
kind: FeatureService
name: ads
features: [user_clicks]
request: {bid: double}
derived: {bid_ratio: request.bid / (user_clicks.cost_7d + 1.0)}
`

func TestAgainst(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"nothing", "", "", ""},
		{"a comment and a description", "  clicks_7d: count(\"7d\")", "  # all of them\n  clicks_7d: {expr: 'count( \"7d\" )', description: Clicks.}", ""},
		{"a new feature", "features:\n  clicks", "features:\n  clicks_1d: count(\"1d\")\n  clicks", ""},
		{"another window", `count("7d")`, `count("7d/exact")`, "[feature-changed]"},
		{"a filter", `sum(cost, "7d")`, `sum(cost, "7d").where(cost > 0.0)`, "the meaning of user_clicks.cost_7d has changed"},
		{"what a derived feature reads", `sum(cost, "7d")`, `sum(cost, "8d")`, "the meaning of bid_ratio has changed"},
		{"a feature gone", "  clicks_7d: count(\"7d\")\n", "", "no longer returns user_clicks.clicks_7d"},
		{"a service renamed", "name: ads", "name: adverts", "service ads was removed"},
		{"another type of field", "bid: double", "bid: int, other: int", "takes the request field bid as int"},
		{"a new field", "bid: double", "bid: double, floor: double", "now also needs the request field floor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := definitions
			if c.from != "" {
				text = strings.Replace(text, c.from, c.to, 1)
				if c.name == "another type of field" {
					text = strings.Replace(text, "request.bid /", "double(request.bid) /", 1)
				}
			}
			found := Against(defstest.Compile(t, definitions), defstest.Compile(t, text))
			var all strings.Builder
			for _, d := range found {
				all.WriteString(d.String() + "\n")
			}
			if c.want == "" && len(found) > 0 || !strings.Contains(all.String(), c.want) {
				t.Errorf("found %q, want %q", all.String(), c.want)
			}
		})
	}
}

// Every expression of a project has a cost, and the parts that cel-go runs are listed.
func TestProfiles(t *testing.T) {
	text := strings.Replace(definitions, "  clicks_7d: count(\"7d\")", "  clicks_7d: count(\"7d\").where(cost > 1.0)\n  words: 'latest(string(cost), \"7d\").orValue(\"\").split(\"e\")'", 1)
	profiles, err := Profiles(defstest.Compile(t, text))
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]int{}
	for _, p := range profiles {
		parts[p.Owner+" "+p.Part] = len(p.Fallbacks)
		if p.Units > celcost.Limit && p.Owner != "user_clicks.words" {
			t.Errorf("%s %s costs %d", p.Owner, p.Part, p.Units)
		}
	}
	for part, fallbacks := range map[string]int{
		"user_clicks.clicks_7d filter": 0, "user_clicks.clicks_7d result": 0, "user_clicks.words value": 0, "user_clicks.words result": 1,
		"user_clicks.cost_7d value": 0, "ads.bid_ratio result": 0,
	} {
		if n, ok := parts[part]; !ok || n != fallbacks {
			t.Errorf("%s: %d fallbacks (there: %v), want %d", part, n, ok, fallbacks)
		}
	}
}
