package main

import (
	"fmt"
	"time"
)

type verdict string

const (
	isCaught verdict = "caught"
	isMissed verdict = "MISSED"
	isBroken verdict = "BROKEN" // it does not compile, or its tests do not end
)

// outcome is the result of testing a mutant.
type outcome struct {
	mutant
	verdict verdict
	took    time.Duration
	detail  string // the test that caught it, or why it is broken
}

// String is the printed line.
func (o outcome) String() string {
	detail := o.detail
	if o.verdict == isMissed {
		detail = o.breaks
	}
	return fmt.Sprintf("%s %-5s %-28s %5.1fs  %s", o.verdict, o.tag, o.name, o.took.Seconds(), detail)
}
