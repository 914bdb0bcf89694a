package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
)

func newLog(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "log",
		Short: "Inspect, correct, archive, trim and divide the event log",
		Long:  `Inspects, corrects, archives, trims and divides the log of pushed events.`,
		Args:  takes(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLogStatus(o), newLogArchive(o), newLogTrim(o), newLogReshard(o), newDeadLetters(o), newSetBack(o))
	return c
}

func newDeadLetters(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "dead-letters",
		Short: "List the events and entities that were set aside",
		Long: `Lists what is in the log but in no state of a view, and why: events over a limit that was
introduced after they were logged, entities whose state is too large for the store, and entities
whose state the store has lost. They hold up nothing else. Every feature of such an entity reads as
ERROR, or LOST. The events stay in the log: after the definitions are changed, unskew materialize
--full rebuilds the states; unskew repair rebuilds those that are lost, which stay in the list as
repaired.

Exit code 1 if there are any that are not repaired.`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.deadLetters(c) },
	}
}

// deadLetter is a dead letter as printed.
type deadLetter struct {
	View     string `json:"view"`
	Source   string `json:"source"`
	Shard    int    `json:"shard,omitempty"`
	Position uint64 `json:"position"` // in the shard; 0: it was set aside when the view was materialized
	At       string `json:"at"`
	Entity   string `json:"entity,omitempty"`
	Reason   string `json:"reason"`
	Repaired bool   `json:"repaired"`
}

func newDeadLetter(v *plan.View, l registry.DeadLetter) deadLetter {
	return deadLetter{v.Name, v.Source.Name, l.Shard, l.Position, l.At.String(), entitykey.Text(v.Entity, l.Entity), l.Reason, l.Repaired()}
}

func (d deadLetter) String() string {
	what := "an event"
	if d.Entity != "" {
		what = d.Entity
	}
	since := "it was materialized"
	if d.Position > 0 {
		since = fmt.Sprintf("position %d of the log of %s", d.Position, eventlog.Shards{Source: d.Source}.Name(d.Shard))
	}
	return fmt.Sprintf("view %s: %s, since %s (%s): %s", d.View, what, since, d.At, d.Reason)
}

func (o *options) deadLetters(c *cobra.Command) (err error) {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	all := []deadLetter{}
	for _, v := range p.Plan.Views {
		found, err := lettersOf(c.Context(), st.Store, v)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if o.json {
		err = printJSON(c, all)
	} else {
		for _, l := range all {
			fmt.Fprintln(c.OutOrStdout(), l)
		}
		fmt.Fprintln(c.OutOrStdout(), quantity(int64(len(all)), "dead letter"))
	}
	if err == nil && slices.ContainsFunc(all, func(l deadLetter) bool { return !l.Repaired }) {
		err = &findings{}
	}
	return err
}

// lettersOf lists the dead letters of a view's live generation, if there is one.
func lettersOf(ctx context.Context, store onlinestore.Store, v *plan.View) ([]deadLetter, error) {
	g, err := registry.Live(ctx, store, v)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	letters, err := registry.DeadLetters(ctx, store, g)
	out := make([]deadLetter, len(letters))
	for i, l := range letters {
		out[i] = newDeadLetter(v, l)
	}
	return out, err
}
