package bench

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// ticks is the number of units per second in which Linux reports processor time, on every
// architecture.
const ticks = 100

// Spent is the processor time that a process has used so far, to a hundredth of a second; 0 if
// there is no /proc.
func Spent(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name in parentheses, which may contain any character.
	var state string
	var skip int64
	var user, system int64
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	if _, err := fmt.Sscan(rest, &state, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &user, &system); err != nil {
		return 0
	}
	return time.Duration(user+system) * time.Second / ticks
}
