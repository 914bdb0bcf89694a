package main

import "github.com/spf13/cobra"

func newLog(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "Inspect, correct, repair, archive, trim and divide the event log",
		Long:  `Inspects, corrects, repairs, archives, trims and divides the log of pushed events.`,
		Args:  takes(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLogStatus(o), newLogArchive(o), newLogTrim(o), newLogReshard(o), newDeadLetters(o), newSetBack(o), newLogRepair(o))
	return c
}
