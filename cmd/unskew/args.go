package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// takes checks the number of arguments; the command's usage line names them.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return fmt.Errorf("an argument is missing; usage: %s", c.UseLine())
		case len(args) > most:
			return fmt.Errorf("unexpected argument %q; usage: %s", args[most], c.UseLine())
		}
		return nil
	}
}
