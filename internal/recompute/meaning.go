package recompute

import (
	"fmt"
	"strings"
)

// Meaning says what a cause means, in Markdown with code and links that docs/parity.md can have.
type Meaning struct {
	Cause    Cause
	Happened string
	Decided  string // how it is decided
	Do       string
}

// Meanings are the causes in the order in which they are decided.
var Meanings = []Meaning{
	{Version, "the value was served by another version of the service, or from a build that is no longer live, and the definitions as they are now give another value",
		"the fingerprint or the build in the row is another one",
		"nothing after a release; if two servers have different definitions at one time, deploy the same to both"},
	{Lost, "the store had lost the entity's state, and said so",
		"the status is `LOST`",
		"`unskew repair`; see to it that the store evicts nothing"},
	{Default, "a default was served that the definition does not have",
		"both are `DEFAULTED` for the same reason, with different values",
		"find out what served it: it had the fingerprint of this definition"},
	{Source, "history was rewritten after it was materialized; or files and log have different content for an event",
		"the hash of the files is not that of the build; or one id has different values on both sides, or is missing in training",
		"correct the files or `unskew materialize`; never use an id for two events"},
	{Duplicate, "an event counts twice on one side: it is in the log and in files, in a source without ids",
		"an equal event is on both sides, and one more on one of them",
		"give the source an `event_id`, or keep pushed events out of the files"},
	{Clock, "a time is before one that it cannot be before",
		"T is before the time of the read; or serving saw an event before training does, and nothing was rewritten",
		"synchronize clocks; see [clocks](operations.md#clocks)"},
	{Lag, "the event was in the log by then, and not applied yet; or the table was not materialized again since",
		"its record was stored before T, at a position after that of the state; or the source has no stream, and its row became visible after the time up to which the view was materialized",
		"look at the [staleness](operations.md#views-that-are-behind) of the view; add appliers; materialize more often, or declare the schedule in `known_at`"},
	{Late, "the event came later than the definition says, or never: training sees it before serving could",
		"the files make it known before T; the log stored it at T or later, or has no record of it",
		"declare the delay in `known_at`, or push sooner; write files with the time of arrival"},
	{Outcome, "the same for a late column, such as a chargeback: the files know it before serving did",
		"as `late`, for the column",
		"declare when it is known: `known_at` of the column"},
	{Unknown, "no event that differs was found", "events of both sides were compared, and none is odd",
		"a bug in the comparison: please report it"},
	{Compute, "the same events give another value",
		"none of the other causes holds",
		"a bug or damaged memory: keep the log and the segment, and report it; `unskew materialize --full` builds the state anew"},
}

// Missing says why values are not compared.
type Missing struct {
	Reason  Reason
	Meaning string
	Data    string // whether they are still compared with training
}

// Missings are the reasons.
var Missings = []Missing{
	{otherVersion, "another version of the service served them", "yes; differences are `version`"},
	{otherBuild, "the build of the view is no longer live, so what it began with is not known", "yes; differences are `version`"},
	{otherFields, "that version had other keys or request fields", "no"},
	{keysHashed, "the entity is not known, because `hash_keys` hides it", "no"},
	{trimmed, "the log was trimmed, and there is no [archive](operations.md#the-size-of-the-log)", "no"},
	{noFiles, "`unskew-server --parity` cannot read the files of the source; `unskew serve` can", "no"},
	{setAside, "the entity was set aside, and was an error (`unskew log dead-letters`)", "no"},
	{manyOrders, "reads of one entity had so many orders of events that they take more than 64 replays", "yes; differences are `unknown`"},
}

// Documented are both lists as docs/parity.md shows them, by the names of their places there.
func Documented() map[string]string {
	var causes, reasons strings.Builder
	causes.WriteString("| cause | what happened | how it is decided | what to do |\n| --- | --- | --- | --- |\n")
	for _, m := range Meanings {
		fmt.Fprintf(&causes, "| `%s` | %s | %s | %s |\n", m.Cause, m.Happened, m.Decided, m.Do)
	}
	reasons.WriteString("| reason | meaning | still compared with training |\n| --- | --- | --- |\n")
	for _, m := range Missings {
		fmt.Fprintf(&reasons, "| `%s` | %s | %s |\n", m.Reason, m.Meaning, m.Data)
	}
	return map[string]string{"causes": causes.String(), "reasons": reasons.String()}
}
