package ingest

// Pushed is the result of pushing one row. Position is the position of its record in the
// source's log; for a duplicate or a conflict it is that of the event with the same id, 0 if
// that event came from history.
type Pushed struct {
	Outcome  Outcome
	Shard    int // of the source's log
	Position uint64
	Message  string // why the row was rejected or conflicts
}

// Outcome says what became of a pushed row. The numbers are those of the wire contract.
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

// OutcomeOf converts a number of the wire contract. It is false for an unknown number, which a
// newer server may send.
func OutcomeOf(n int32) (Outcome, bool) {
	return Outcome(n), n > 0 && int(n) < len(outcomeNames)
}
