package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/eventlog"
)

func newSetBack(o *options) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "set-back SOURCE",
		Short: "Correct the times of events stored while the clock was ahead",
		Long: `An event is known no earlier than the log stored it, and the log's time never goes back. An
event stored while the clock was a month ahead would hide all later events for a month. So a log
whose newest event is ahead of the clock accepts no more events.

Once the clock is right, set-back corrects the log: storage times after now (or --to) become that
time. No event is removed, and later events get the clock's time. States built from the wrong times
must be rebuilt with unskew materialize --full; set-back prints the commands.`,
		Example:           "  unskew log set-back transactions",
		Args:              takes(1, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(c *cobra.Command, args []string) error { return o.setBack(c, args[0], to) },
	}
	c.Flags().StringVar(&to, "to", "", "no event counts as stored after `TIME`, like 2025-01-31T00:00:00Z (default: now)")
	return c
}

// setBackResult is the result of set-back, as JSON.
type setBackResult struct {
	Source  string   `json:"source"`
	Changed bool     `json:"changed"`
	Newest  string   `json:"newest,omitempty"` // when the newest event was stored, before the correction
	To      string   `json:"to"`
	Views   []string `json:"views"` // to be rebuilt
}

func (o *options) setBack(c *cobra.Command, source, to string) (err error) {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	src, err := pick("source", source, p.Plan.Sources, func(s *plan.Source) string { return s.Name })
	if err != nil {
		return err
	}
	at := clock.Now()
	if to != "" {
		if at, err = plan.ParseTime(to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		if at > clock.Now() {
			return fmt.Errorf("--to %v is in the future; give a time in the past", at)
		}
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	r := setBackResult{Source: src.Name, To: at.String(), Views: []string{}}
	shards, err := eventlog.NewLayouts(st.Log).Find(c.Context(), src.Name)
	if err != nil {
		return err
	}
	newest, err := shards.Newest(c.Context(), st.Log)
	if err != nil {
		return err
	}
	if newest != plan.Always {
		r.Newest = newest.String()
	}
	for k := range shards.N {
		changed, err := st.Log.SetBack(c.Context(), shards.Name(k), at)
		if err != nil {
			return err
		}
		r.Changed = r.Changed || changed
	}
	for _, v := range p.Plan.Views {
		if v.Source == src && r.Changed {
			r.Views = append(r.Views, v.Name)
		}
	}
	if o.json {
		return printJSON(c, r)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), r)
	return err
}

func (r setBackResult) String() string {
	switch {
	case r.Newest == "":
		return fmt.Sprintf("source %s: the log is empty", r.Source)
	case !r.Changed:
		return fmt.Sprintf("source %s: the newest event was stored at %s, which is not after %s; nothing was changed", r.Source, r.Newest, r.To)
	}
	text := fmt.Sprintf("source %s: the newest event was stored at %s; no event counts as stored after %s now", r.Source, r.Newest, r.To)
	for i, v := range r.Views {
		text += []string{"; rebuild the views: ", " and "}[min(i, 1)] + "unskew materialize --full --view " + v
	}
	return text
}
