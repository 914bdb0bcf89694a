package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/eventlog"
)

func newLogRepair(o *options) *cobra.Command {
	var yes, accept bool
	c := &cobra.Command{
		Use:   "repair [SOURCE]",
		Short: "Find records that the log has lost, and go on without them",
		Long: `Looks at every record and every id in the logs of every stream source (or of one). A log that has
lost records, because of an eviction, a deleted key or a torn file, takes no more events: it answers
data_loss. If a copy of the log can be restored, restore it instead.

With --yes it puts a mark in the place of each lost record, so that all others keep their positions,
and forgets the ids of lost events, so that these can be pushed again. Whole records and ids stay.
Then push what was lost again, and rebuild the views that it names: states may have lost events.
Training leaves out what is lost and counts it.

Ids that are gone cannot be told from those of events that never came: such an event would count
twice if it is pushed again. With --accept-lost-ids the log goes on all the same.

Exit code 1 if anything is, or stays, damaged.`,
		Example:           "  unskew log repair\n  unskew log repair transactions --yes",
		Args:              takes(0, 1),
		ValidArgsFunction: first(o.completes(streamNames), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			return o.repairLogs(c, args, eventlog.RepairOptions{Change: yes, AcceptLostIDs: accept})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "repair it instead of only showing what is damaged")
	c.Flags().BoolVar(&accept, "accept-lost-ids", false, "take events again though ids are lost; with --yes")
	return c
}

// logDamage is what was found of a shard, as printed.
type logDamage struct {
	Source     string      `json:"source"`
	Shard      int         `json:"shard,omitempty"`
	Records    uint64      `json:"records"` // the position of the last one
	Lost       int64       `json:"lost"`
	Positions  [][2]uint64 `json:"lost_positions"` // first and last of each gap
	Marked     int64       `json:"lost_before"`    // found by earlier repairs
	Forgotten  int64       `json:"forgotten_ids"`
	Refillable int64       `json:"refillable_events"`
	Incomplete int64       `json:"incomplete_events"`
	LostIDs    int64       `json:"lost_ids"`
	Unreadable int64       `json:"unreadable_ids"`
	Repaired   bool        `json:"repaired"`
	Rebuild    []string    `json:"rebuild"` // views
}

// wrong reports whether the shard is damaged now.
func (d *logDamage) wrong(how eventlog.RepairOptions) bool {
	any := d.Lost > 0 || d.Forgotten > 0 || d.Refillable > 0
	return d.Unreadable > 0 || d.LostIDs > 0 && !(how.Change && how.AcceptLostIDs) || any && !how.Change
}

// someGaps is how many gaps are printed of each shard, but for JSON.
const someGaps = 5

func (d *logDamage) String() string {
	text := fmt.Sprintf("log of %s: %s", eventlog.Shards{Source: d.Source}.Name(d.Shard), quantity(int64(d.Records), "record"))
	if d.Marked > 0 {
		text += fmt.Sprintf(", %s lost before", count(d.Marked))
	}
	var parts []string
	add := func(n int64, format string, args ...any) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	var gaps []string
	for i, g := range d.Positions {
		switch {
		case i == someGaps:
			gaps = append(gaps, "…")
		case i > someGaps:
		case g[0] == g[1]:
			gaps = append(gaps, fmt.Sprint(g[0]))
		default:
			gaps = append(gaps, fmt.Sprintf("%d to %d", g[0], g[1]))
		}
	}
	forgotten := map[bool]string{true: "was forgotten", false: "is to be forgotten"}[d.Repaired]
	add(d.Lost, "%s lost (position %s)", quantity(d.Lost, "record"), strings.Join(gaps, ", "))
	add(d.Forgotten, "%s whose id %s, so that they can be pushed again", quantity(d.Forgotten, "event"), forgotten)
	add(d.Refillable, "%s of which what arrived later can be pushed again", quantity(d.Refillable, "event"))
	add(d.Incomplete, "%s of which only a later delivery is there; they are kept", quantity(d.Incomplete, "event"))
	add(d.LostIDs, "%s missing: events that had them would count twice (see --accept-lost-ids)", quantity(d.LostIDs, "id"))
	add(d.Unreadable, "%s that cannot be read: restore the log from a copy", quantity(d.Unreadable, "id"))
	if len(parts) == 0 {
		return text + ", nothing is missing"
	}
	text += "; " + strings.Join(parts, "; ")
	for i, v := range d.Rebuild {
		text += []string{"; push what was lost, then rebuild the views: ", " and "}[min(i, 1)] + "unskew materialize --full --view " + v
	}
	return text
}

func (o *options) repairLogs(c *cobra.Command, args []string, how eventlog.RepairOptions) (err error) {
	if how.AcceptLostIDs && !how.Change {
		return fmt.Errorf("--accept-lost-ids changes the log: give --yes, too")
	}
	p, err := o.load(c, nil)
	if err != nil {
		return err
	}
	sources, err := streams(p.Plan, args)
	if err != nil {
		return err
	}
	st, err := openStores(c, p)
	if err != nil {
		return err
	}
	defer closeWith(&err, st)
	all, wrong := []*logDamage{}, 0
	for _, src := range sources {
		shards, err := eventlog.NewLayouts(st.Log).Find(c.Context(), src.Name)
		if err != nil {
			return err
		}
		for k := range shards.N {
			found, err := eventlog.Repair(c.Context(), st.Log, shards.Name(k), how)
			if err != nil {
				return err
			}
			d := newLogDamage(p.Plan, src, k, found, how)
			if all = append(all, d); d.wrong(how) {
				wrong++
			}
			if !o.json {
				fmt.Fprintln(c.OutOrStdout(), d)
			}
		}
	}
	if o.json {
		err = printJSON(c, all)
	}
	if err == nil && wrong > 0 {
		err = &findings{"the log is damaged; to go on without what is lost, run: unskew log repair --yes"}
		if how.Change {
			err = &findings{"the log is damaged still"}
		}
	}
	return err
}

func newLogDamage(p *plan.Plan, src *plan.Source, shard int, found eventlog.Damage, how eventlog.RepairOptions) *logDamage {
	d := &logDamage{Source: src.Name, Shard: shard, Records: uint64(found.End), Lost: found.Lost.Count(), Positions: [][2]uint64{}, Marked: found.Marked, Forgotten: found.Forgotten,
		Refillable: found.Refillable, Incomplete: found.Incomplete, LostIDs: found.LostIDs, Unreadable: found.Unreadable, Repaired: how.Change, Rebuild: []string{}}
	for _, g := range found.Lost {
		d.Positions = append(d.Positions, [2]uint64{uint64(g.First), uint64(g.Last)})
	}
	for _, v := range p.Views {
		if v.Source == src && (d.Lost > 0 || d.Forgotten > 0) {
			d.Rebuild = append(d.Rebuild, v.Name)
		}
	}
	return d
}
