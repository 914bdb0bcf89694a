package kernel

import "fmt"

// Status says how a value came about, the same offline and online. Its numbers are part of
// the wire contract and of the training set's format.
type Status uint8

// The statuses of docs/semantics.md §5.
const (
	Present       Status = 1 // computed
	Empty         Status = 2 // none; the entity has visible events
	UnknownEntity Status = 3 // none; no event of the entity is visible
	Defaulted     Status = 4 // none, and the declared default took its place; the reason is kept
	Failed        Status = 5 // the expression failed
	// 6 is STALE, which the kernel does not know.
	Lost Status = 7 // unknown; the store has lost the entity's state
)

var statusNames = [...]string{1: "PRESENT", 2: "EMPTY", 3: "UNKNOWN_ENTITY", 4: "DEFAULTED", 5: "ERROR", 7: "LOST"}

func (s Status) String() string { return statusNames[s] }

// ParseStatus reads a status by its name.
func ParseStatus(name string) (Status, error) {
	for s, n := range statusNames {
		if n != "" && n == name {
			return Status(s), nil
		}
	}
	return 0, fmt.Errorf("there is no status %q", name)
}
