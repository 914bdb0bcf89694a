package featuredefs_test

import (
	"path/filepath"
	"strings"
	"testing"
)

const flightsText = `
kind: Entity
name: airport
keys: [{name: origin, type: string}]
---
kind: Source
name: flights
stream: true
event_time: ts
columns:
  origin: {type: string}
  ts: {type: timestamp}
  landed: {type: timestamp}
  planned: {type: double}
  delay: {type: double, outcome: true}
  arrival: {type: double, outcome: true, known_at: landed}
---
kind: FeatureView
name: v
entity: airport
source: flights
features:
`

// A column that is known only after the event is refused wherever a feature could read it:
// in an argument, filter, group, or named expression. With a declared known time it is
// allowed, like a late row.
func TestW3_OutcomesAreRefused(t *testing.T) {
	for expr, refused := range map[string]string{
		`mean(delay, "7d")`:                        "delay",
		`count("7d").where(delay > 15.0)`:          "delay",
		`count("7d").by(string(delay))`:            "delay",
		`max_by(planned, delay, "7d")`:             "delay",
		`latest(landed)`:                           "landed",
		`mean(arrival, "7d")`:                      "",
		`count("7d").where(arrival > 15.0)`:        "",
		`mean(planned, "7d").orValue(0.0) > 100.0`: "",
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: flights\n")
		writeFile(t, filepath.Join(dir, "features/defs.yaml"), flightsText+"  f: '"+expr+"'\n")
		_, found := load(t, dir)
		text := render(t, found)
		switch {
		case refused == "" && len(found) > 0:
			t.Errorf("%s: %s", expr, text)
		case refused != "" && (!strings.Contains(text, `column "`+refused+`"`) || !strings.Contains(text, "[outcome-column]")):
			t.Errorf("%s: found %q, want the error that column %s is an outcome", expr, text, refused)
		}
	}
}
