package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// takes checks the number of arguments; the usage line of a command names them.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("an argument is missing; write: %s", c.UseLine())
		case len(args) > most:
			return fmt.Errorf("unexpected argument %q; write: %s", args[most], c.UseLine())
		}
		return nil
	}
}
