package gen

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// ServiceName is the service of ServiceDefinitions. It reads the view in two roles: as
// ViewName, and as OtherRole, whose keys have the names of the entity's with the prefix
// OtherRole.
const (
	ServiceName = "s"
	OtherRole   = "other"
)

// ServiceDefinitions draws Definitions and a service over the view, with request fields
// and derived features.
func ServiceDefinitions(t *rapid.T, maxFeatures int) string {
	text, made := view(t, maxFeatures)
	var b strings.Builder
	b.WriteString(text)
	var keys []string
	for i := range strings.Count(text, "{name: key") {
		keys = append(keys, fmt.Sprintf("key%d: %skey%d", i, OtherRole, i))
	}
	fmt.Fprintf(&b, "---\nkind: FeatureService\nname: %s\nfeatures:\n  - %s\n  - {view: %s, as: %s, keys: {%s}}\n",
		ServiceName, ViewName, ViewName, OtherRole, strings.Join(keys, ", "))
	b.WriteString("request: {price: double, units: int, word: string, since: timestamp}\nderived:\n")
	g := &features{t: t, prefix: "d", leaf: requestField}
	for _, f := range made {
		g.made = append(g.made, typed{ViewName + "." + f.text, f.kind}, typed{OtherRole + "." + f.text, f.kind})
	}
	for range 1 + below(maxFeatures).Draw(t, "derived") {
		if chance(t, 3, "pass on") {
			fmt.Fprintf(&b, "  p%d: %s\n", g.n, quote(among(t, g.made, "reference").text))
		}
		b.WriteString(g.next())
	}
	return b.String()
}

func requestField(t *rapid.T) typed {
	return among(t, []typed{
		{"request.price", "double"},
		{"request.units", "int"},
		{"request.word", "string"},
		{"request.since", "timestamp"},
		{"request.price * double(request.units)", "double"},
		{"request.word == null ? 'no word' : request.word", "string"},
		{"request.units > 1 || request.price > 0.5", "bool"},
	}, "request field")
}
