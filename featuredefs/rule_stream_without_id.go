package featuredefs

import "github.com/unskew/unskew/featuredefs/diag"

// RuleStreamID is of streamWithoutID.
var RuleStreamID = diag.Rule{ID: "stream-without-id", Severity: diag.Warning, Purpose: "Events that come from history and as pushes are told apart by an id."}

// streamWithoutID warns of sources that are both a relation and a stream without ids.
var streamWithoutID = rule[*sourceDecl]{RuleStreamID, func(d *sourceDecl, report reportFunc) {
	s := d.source
	if (s.From != "" || s.SQL != "") && s.Stream && s.EventID == "" {
		stream, _ := d.n.Get("stream")
		report(stream.Pos, "an event of source %s that is pushed and in the history too counts twice, as does one that is pushed twice; name the column that tells, with event_id:", s.Name)
	}
}}
