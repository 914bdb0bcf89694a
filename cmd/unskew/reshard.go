package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/eventlog"
)

func newLogReshard(o *options) *cobra.Command {
	var n int
	c := &cobra.Command{
		Use:   "reshard SOURCE",
		Short: "Divide the log of a source into another number of shards",
		Long: `Divides the log of a source anew, into the number of shards that it declares or --shards. The events
that the log has stay where they are, in shards that take no more; new events go to new shards, which get
what the log remembers of ids. States, the archive and training sets need nothing.

Pushes to the source are refused as unavailable meanwhile, for seconds if the log remembers 100,000
ids. If the command is interrupted, run it again. Servers whose source declares another number
refuse pushes and apply nothing until they are restarted with the new one.

A log has at most 256 shards in all, those of before included.`,
		Example:           "  unskew log reshard transactions --shards 8",
		Args:              takes(1, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE:              func(c *cobra.Command, args []string) error { return o.reshard(c, args, n) },
	}
	c.Flags().IntVar(&n, "shards", 0, "divide it into `N` shards (default: as many as the source declares)")
	return c
}

// resharded is the result of reshard, as JSON.
type resharded struct {
	Source   string `json:"source"`
	Changed  bool   `json:"changed"`
	Shards   int    `json:"shards"`
	First    int    `json:"first_shard"` // number of the first shard that takes events
	IDs      int64  `json:"ids"`         // that were moved
	declared int
}

func (r *resharded) String() string {
	text := fmt.Sprintf("source %s: the log has %s already", r.Source, quantity(int64(r.Shards), "shard"))
	if r.Changed {
		text = fmt.Sprintf("source %s: new events go to %s from %d on, which know %s; the events that the log had stay where they are", r.Source, quantity(int64(r.Shards), "shard"), r.First, quantity(r.IDs, "id"))
	}
	if r.declared != 0 && r.declared != r.Shards {
		text += fmt.Sprintf("; write shards: %d, since the source declares %d", r.Shards, r.declared)
	}
	return text
}

func (o *options) reshard(c *cobra.Command, args []string, n int) (err error) {
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	sources, err := streams(p.Plan, args)
	if err != nil {
		return err
	}
	src := sources[0]
	if n == 0 && !c.Flags().Changed("shards") {
		if n = src.Shards; n == 0 {
			return fmt.Errorf("source %s declares no number of shards; give one: unskew log reshard %s --shards 8", src.Name, src.Name)
		}
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	bar := newProgress(c.ErrOrStderr(), o.quiet)
	bar.begin("moving ids of "+src.Name, "id", 0)
	r := resharded{Source: src.Name, declared: src.Shards}
	before, after, err := eventlog.Reshard(c.Context(), st.Log, src.Name, n, clock.Now(), func(ids int64) {
		bar.add(ids - r.IDs)
		r.IDs = ids
	})
	bar.end(quantity(r.IDs, "id"))
	if err != nil {
		return err
	}
	r.Changed, r.Shards, r.First = before != after, after.Active(), after.First
	if o.json {
		return printJSON(c, &r)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), &r)
	return err
}

// patience is how long validating waits for a log, which it can do without.
const patience = 2 * time.Second

// checkLogs finds sources that declare another number of shards than their logs have. Logs that are not there, or that
// another process has open, are left out.
func checkLogs(ctx context.Context, p *featuredefs.Project) (found diag.Diagnostics) {
	var declared []*plan.Source
	for _, src := range p.Plan.Sources {
		if src.Stream && src.Shards != 0 {
			declared = append(declared, src)
		}
	}
	of := backend.Of(p)
	of.Patience = patience
	if len(declared) == 0 {
		return nil
	}
	if of.Redis == nil {
		if _, err := os.Stat(filepath.Join(of.Dir, "log")); err != nil {
			return nil
		}
	} else {
		of.Redis.Timeout = patience
	}
	st, err := of.Open(ctx, nil)
	if err != nil {
		return nil
	}
	defer func() { _ = st.Close() }()
	layouts := eventlog.NewLayouts(st.Log)
	for _, src := range declared {
		var other *eventlog.ShardsError
		if err := layouts.Check(ctx, src); errors.As(err, &other) {
			found = append(found, diag.Diagnostic{Pos: src.Pos, Severity: diag.Error, Rule: featuredefs.RuleLogShards.ID, Message: other.Error()})
		}
	}
	return found
}
