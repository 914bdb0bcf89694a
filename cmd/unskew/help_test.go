package main

import (
	"regexp"
	"strings"
	"testing"
)

// unnamed matches a flag whose value has no name, only a Go type.
var unnamed = regexp.MustCompile(`--\S+ (string|int|stringArray|duration) `)

// Help fits into a terminal; long descriptions end with a full stop, short ones do not.
func TestHelp(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || !strings.HasSuffix(c.Long, ".") {
			t.Errorf("%s: a short help without a full stop, and a long one: %q", c.Name(), c.Short)
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(line) > 111 {
				t.Errorf("%s: a line of %d columns: %s", c.Name(), len(line), line)
			}
		}
		for line := range strings.Lines(c.LocalFlags().FlagUsages()) {
			if unnamed.MatchString(line) {
				t.Errorf("%s: name in backquotes what it takes: %s", c.Name(), line)
			}
		}
	}
}
