package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/registry"
)

func newGC(o *options) *cobra.Command {
	var grace string
	var yes bool
	c := &cobra.Command{
		Use:   "gc",
		Short: "Remove online state that is no longer read",
		Long: `Finds online state that none of the project's definitions reads: of definitions that changed or
were removed, of superseded builds, and of builds that crashed. It prints how much there is. With
--yes it removes what has been unused for longer than --grace.

The grace period begins when a run first finds the state unused. State that another server with
older definitions still reads, or that a materialization is just writing, also looks unused. So
run it with the newest definitions, and with a grace period longer than it takes to deploy them
everywhere.`,
		Example: "  unskew gc\n  unskew gc --yes --grace 30d",
		Args:    takes(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return o.gc(c, grace, yes) },
	}
	c.Flags().StringVar(&grace, "grace", "7d", "keep state that was first found unused less than `SPAN` ago")
	c.Flags().BoolVar(&yes, "yes", false, "remove unused state instead of only listing it")
	return c
}

// unused is unused state as printed.
type unused struct {
	Version    string `json:"version"` // of the definition
	Generation uint64 `json:"generation"`
	Gone       bool   `json:"gone"` // no definition has this version
	Keys       int64  `json:"keys"`
	Bytes      int64  `json:"bytes"`
	Since      string `json:"unused_since"`
	Due        bool   `json:"due"`     // unused for longer than the grace period
	Removed    bool   `json:"removed"` // by this run
}

func (u unused) String() string {
	what := "superseded, or its build did not end"
	if u.Gone {
		what = "of no definition"
	}
	then := "kept for now"
	switch {
	case u.Removed:
		then = "removed"
	case u.Due:
		then = "can go"
	}
	return fmt.Sprintf("version %s, generation %d (%s): %s, %s, unused since %s: %s",
		u.Version, u.Generation, what, quantity(u.Keys, "entry"), quantity(u.Bytes, "byte"), u.Since, then)
}

func (o *options) gc(c *cobra.Command, grace string, yes bool) (err error) {
	keep := plan.Micros(0)
	if grace != "0" {
		if keep, err = plan.ParseSpan(grace); err != nil {
			return fmt.Errorf("--grace: %w; 0 is none", err)
		}
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	now := clock.Now()
	found, err := registry.FindGarbage(c.Context(), st.Store, p.Plan.Views, now)
	if err != nil {
		return err
	}
	list := []unused{}
	for _, g := range found {
		u := unused{g.View.Short(), g.Number, g.Gone, g.Keys, g.Bytes, g.Since.String(), now-g.Since >= plan.EventTime(keep), false}
		if u.Due && yes {
			if err := registry.Collect(c.Context(), st.Store, g); err != nil {
				return fmt.Errorf("remove version %s, generation %d: %w", u.Version, u.Generation, err)
			}
			u.Removed = true
		}
		list = append(list, u)
	}
	if o.json {
		return printJSON(c, list)
	}
	return printUnused(c, list, yes)
}

func printUnused(c *cobra.Command, list []unused, yes bool) error {
	var all, due int64
	for _, u := range list {
		fmt.Fprintln(c.OutOrStdout(), u)
		if all += u.Bytes; u.Due {
			due += u.Bytes
		}
	}
	text := fmt.Sprintf("%s unused", quantity(all, "byte"))
	switch {
	case due > 0 && yes:
		text += fmt.Sprintf(", %s of them removed", count(due))
	case due > 0:
		text += fmt.Sprintf(", %s of them for longer than the grace period; nothing was removed, --yes does", count(due))
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), text)
	return err
}
