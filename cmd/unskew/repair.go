package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/offline"
)

func newRepair(o *options) *cobra.Command {
	var view string
	var check bool
	c := &cobra.Command{
		Use:   "repair",
		Short: "Find online state that the store has lost, and rebuild it",
		Long: `Compares the states in the online store with the index of entities that have one, and with their
checksums. What is missing or damaged, because of an eviction, a deleted key, a flipped bit or an
older copy, is served as LOST, never as a zero. This command rebuilds it from history, the
archive and the log, and only that, while servers go on. If nothing is lost it reads no history.

The files of the source must be those that the state was built from; if they changed, run
unskew materialize. With --check it only reports, and exits with code 1 if anything is lost.`,
		Example: "  unskew repair --check\n  unskew repair --view user_spend",
		Args:    takes(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return o.repair(c, view, check) },
	}
	c.Flags().StringVar(&view, "view", "", "only the view `NAME`")
	c.Flags().BoolVar(&check, "check", false, "only report what is lost")
	completeFlag(c, "view", o.completes(viewNames))
	return c
}

// repaired is the printed result for a view.
type repaired struct {
	View       string `json:"view"`
	Generation uint64 `json:"generation"` // 0: there is no state
	Entities   int64  `json:"entities"`   // whose state is whole
	SetAside   int64  `json:"set_aside"`
	Lost       int64  `json:"lost"`
	Damaged    int64  `json:"damaged"`
	IndexLost  bool   `json:"index_lost"`
	Repaired   int64  `json:"repaired"`
	Unknown    int64  `json:"without_history"`
	Events     int64  `json:"events"`
}

// wrong reports whether something is lost now.
func (r *repaired) wrong(check bool) bool {
	return r.Unknown > 0 || check && (r.Lost > 0 || r.Damaged > 0 || r.IndexLost)
}

func (r *repaired) String() string {
	if r.Generation == 0 {
		return fmt.Sprintf("view %s: it has no online state", r.View)
	}
	text := fmt.Sprintf("view %s: %s whole, ", r.View, quantity(r.Entities, "state"))
	switch {
	case r.IndexLost && r.Repaired == 0:
		text += "and a part of the index is lost, so that how many are missing is known only when they are rebuilt"
	case r.Lost == 0:
		text += "none lost"
	default:
		text += count(r.Lost) + " lost"
	}
	if r.Damaged > 0 {
		text += fmt.Sprintf(" (%s damaged)", count(r.Damaged))
	}
	if r.Repaired > 0 {
		text += fmt.Sprintf(", %s rebuilt from %s", count(r.Repaired), quantity(r.Events, "event"))
	}
	if r.Unknown > 0 {
		text += fmt.Sprintf("; of %s there is no event in history, and they stay lost: restore the log or the files", quantity(r.Unknown, "entity"))
	}
	if r.SetAside > 0 {
		text += fmt.Sprintf("; %s set aside (see unskew log dead-letters)", quantity(r.SetAside, "entity"))
	}
	return text
}

func (o *options) repair(c *cobra.Command, view string, check bool) (err error) {
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	views, err := chosenViews(p.Plan, view)
	if err != nil {
		return err
	}
	m := &materialization{o: o, reader: reader, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	if m.st, err = openStores(c, p); err != nil {
		return err
	}
	defer closeWith(&err, m.st)
	warn(c.ErrOrStderr(), m.st)
	done, wrong := []*repaired{}, 0
	for _, v := range views {
		r, err := m.repair(c.Context(), v, check)
		if err != nil {
			return fmt.Errorf("repair view %s: %w", v.Name, err)
		}
		if done = append(done, r); r.wrong(check) {
			wrong++
		}
		if !o.json {
			fmt.Fprintln(c.OutOrStdout(), r)
		}
	}
	if o.json {
		err = printJSON(c, done)
	}
	if err == nil && wrong > 0 {
		err = &findings{quantity(int64(wrong), "view") + " with lost state"}
		if check {
			err = &findings{quantity(int64(wrong), "view") + " with lost state; run: unskew repair"}
		}
	}
	return err
}

// repair repairs one view.
func (m *materialization) repair(ctx context.Context, v *plan.View, check bool) (_ *repaired, err error) {
	g, err := registry.Live(ctx, m.st.Store, v)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return &repaired{View: v.Name}, nil
	}
	if err != nil {
		return nil, err
	}
	m.to = g.Materialized
	inputs, err := m.inputs(ctx, v.Source)
	if err != nil {
		return nil, err
	}
	beside, err := backend.Temporary(clock.Now)
	if err != nil {
		return nil, err
	}
	defer closeWith(&err, beside)
	var counts offline.HistoryCounts
	r := m.rebuild(v, inputs, &counts, beside)
	r.DryRun = check
	m.progress.begin("repair", "events of "+v.Source.Name+" for "+v.Name, 0)
	found, err := r.Run(ctx)
	if err != nil {
		return nil, err
	}
	if found.Repaired > 0 {
		m.progress.end(quantity(found.Repaired, "state") + " of " + v.Name)
	}
	return &repaired{View: v.Name, Generation: found.Generation, Entities: found.Entities, SetAside: found.SetAside, Lost: found.Lost, Damaged: found.Damaged,
		IndexLost: found.IndexLost, Repaired: found.Repaired, Unknown: found.Unknown, Events: found.Events}, nil
}

// rebuild is a repair of a view that builds states in stores beside.
func (m *materialization) rebuild(v *plan.View, inputs [32]byte, counts *offline.HistoryCounts, beside *backend.Backend) offline.Repair {
	return offline.Repair{
		Backfill: m.backfill(v, inputs, counts), Scratch: beside.Store,
		CatchUp: func(ctx context.Context, only func(entity []byte) bool) error {
			return m.catchUp(ctx, v, beside.Store, only)
		},
	}
}
