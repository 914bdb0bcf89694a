package ingest

// Pushed is what became of one pushed row. Position is its place in the source's
// log; for a duplicate or a conflict that of the event with its id, 0 when that
// one is part of the history.
type Pushed struct {
	Outcome  Outcome
	Position uint64
	Message  string // why the row was rejected or conflicts
}

// Outcome is what became of a pushed row; its numbers are those of the wire contract.
type Outcome uint8

// The outcomes.
const (
	Appended  Outcome = 1
	Duplicate Outcome = 2 // the event with its id has all that it says: ignored
	Conflict  Outcome = 3 // it contradicts the event with its id: ignored, what was first stands
	Rejected  Outcome = 4 // nothing was stored
	Filled    Outcome = 5 // it brought late columns that the event with its id did not have
)

var outcomeNames = [...]string{"", "APPENDED", "DUPLICATE", "CONFLICT", "REJECTED", "FILLED"}

func (o Outcome) String() string { return outcomeNames[o] }

// OutcomeOf is the outcome with a number of the wire contract, if there is one: a newer
// server may answer with others.
func OutcomeOf(n int32) (Outcome, bool) {
	return Outcome(n), n > 0 && int(n) < len(outcomeNames)
}
