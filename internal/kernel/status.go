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
)

var statusNames = [...]string{"", "PRESENT", "EMPTY", "UNKNOWN_ENTITY", "DEFAULTED", "ERROR"}

func (s Status) String() string { return statusNames[s] }

// ParseStatus reads a status by its name.
func ParseStatus(name string) (Status, error) {
	for s, n := range statusNames {
		if s > 0 && n == name {
			return Status(s), nil
		}
	}
	return 0, fmt.Errorf("there is no status %q", name)
}
