package featuredefs

import "github.com/unskew/unskew/featuredefs/diag"

// RuleStreamID is the rule of streamWithoutID.
var RuleStreamID = diag.Rule{ID: "stream-without-id", Severity: diag.Warning, Purpose: "Events that come from history and as pushes are told apart by an id."}

// streamWithoutID warns about sources without ids that are both a relation and a stream.
var streamWithoutID = rule[*sourceDecl]{RuleStreamID, func(d *sourceDecl, report reportFunc) {
	s := d.source
	if (s.From != "" || s.SQL != "") && s.Stream && s.EventID == "" {
		stream, _ := d.n.Get("stream")
		report(stream.Pos, "an event of source %s that is both pushed and in the history counts twice, and so does one that is pushed twice; name the column with a unique id in event_id:", s.Name)
	}
}}
