package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/logpos"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/online"
)

func newMaterialize(o *options) *cobra.Command {
	var view, to string
	var full bool
	c := &cobra.Command{
		Use:   "materialize",
		Short: "Build online state from history",
		Long: `Builds the online state of every view (or of one) from the whole history of its source
and makes it live atomically. Until then served values do not change, and the rest of an
interrupted build is never read. A view whose history has not changed since its last build
is not rebuilt, unless --full is set; its state already has the events pushed meanwhile.

--to leaves out rows of files that serving would not have known by then. It does not apply to
pushed events.`,
		Example: `  unskew materialize
  unskew materialize --view user_spend --full`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			return traced(c, func() error { return o.materialize(c, view, to, full) })
		},
	}
	c.Flags().StringVar(&view, "view", "", "only the view `NAME`")
	c.Flags().StringVar(&to, "to", "", "only data known before `TIME`, like 2025-01-31T00:00:00Z (default: everything)")
	c.Flags().BoolVar(&full, "full", false, "rebuild even when the history has not changed")
	completeFlag(c, "view", o.completes(viewNames))
	return c
}

// materialization is one run of the command.
type materialization struct {
	o        *options
	reader   *relation.Reader
	st       *backend.Backend
	to       plan.EventTime
	full     bool
	progress *progress
	which    string // of the views is being built, for the progress
	// registered are the sources whose event ids are in the log.
	registered []*plan.Source
}

func (o *options) materialize(c *cobra.Command, view, to string, full bool) (err error) {
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	m := &materialization{o: o, reader: reader, to: plan.Never, full: full, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	if to != "" {
		if m.to, err = plan.ParseTime(to); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	views, err := chosenViews(p.Plan, view)
	if err != nil {
		return err
	}
	if len(views) == 0 {
		return errors.New("there is nothing to materialize: the project has no view")
	}
	if m.st, err = openStores(c, p); err != nil {
		return err
	}
	defer closeWith(&err, m.st)
	warn(c.ErrOrStderr(), m.st)
	return m.run(c, views)
}

// chosenViews are the view with a name, or all if it is "".
func chosenViews(p *plan.Plan, name string) ([]*plan.View, error) {
	if name == "" {
		return p.Views, nil
	}
	v, err := pick("view", name, p.Views, func(v *plan.View) string { return v.Name })
	if err != nil {
		return nil, err
	}
	return []*plan.View{v}, nil
}

// materialized is the printed result for a view, including counts of its source's rows.
type materialized struct {
	View        string           `json:"view"`
	UpToDate    bool             `json:"up_to_date"`
	Generation  uint64           `json:"generation"`
	Rows        int64            `json:"rows"`
	Skipped     map[string]int64 `json:"skipped"`
	Filled      int64            `json:"filled"`
	Redelivered int64            `json:"redelivered"`
	Conflicts   int64            `json:"conflicts"`
	Events      int64            `json:"events"`
	Applied     int64            `json:"applied"`
	NullKeys    int64            `json:"null_keys"`
	Entities    int64            `json:"entities"`
	Bytes       int64            `json:"bytes"`
	RowErrors   int64            `json:"row_errors"`
	SetAside    int64            `json:"set_aside"`
}

func newMaterialized(v *plan.View, r *offline.BackfillResult, h offline.HistoryCounts) materialized {
	m := materialized{
		View: v.Name, UpToDate: r.UpToDate, Generation: r.Generation.Number,
		Rows: h.Rows, Skipped: h.ByReason(), Filled: h.Filled, Redelivered: h.Redelivered, Conflicts: h.Conflicts,
		Events: r.Events, Applied: r.Applied, NullKeys: r.NullKeys, Entities: r.Entities, Bytes: r.Bytes, SetAside: r.SetAside,
	}
	for _, n := range r.RowErrors {
		m.RowErrors += int64(n)
	}
	return m
}

func (m materialized) String() string {
	if m.UpToDate {
		return fmt.Sprintf("view %s: up to date (generation %d)", m.View, m.Generation)
	}
	text := fmt.Sprintf("view %s: %s into %s, %s (generation %d); source: %s", m.View, quantity(m.Applied, "event"),
		quantity(m.Entities, "entity"), quantity(m.Bytes, "byte"), m.Generation, sourceSummary(m.Rows, m.Skipped, m.Filled, m.Redelivered, m.Conflicts))
	if m.NullKeys > 0 {
		text += fmt.Sprintf(", %s without a key", count(m.NullKeys))
	}
	if m.SetAside > 0 {
		text += fmt.Sprintf("; %s set aside, because the state is too large (see unskew log dead-letters)", quantity(m.SetAside, "entity"))
	}
	if m.RowErrors > 0 {
		text += fmt.Sprintf("; %s left out because the filter or argument failed", quantity(m.RowErrors, "value"))
	}
	return text
}

func (m *materialization) run(c *cobra.Command, views []*plan.View) error {
	done := []materialized{}
	for i, v := range views {
		m.which = fmt.Sprintf("view %d of %d", i+1, len(views))
		r, err := m.view(c.Context(), v)
		if err != nil {
			return fmt.Errorf("materialize view %s: %w", v.Name, err)
		}
		done = append(done, *r)
		if !m.o.json {
			fmt.Fprintln(c.OutOrStdout(), r)
		}
	}
	if m.o.json {
		return printJSON(c, done)
	}
	return nil
}

// register adds the history's event ids to a stream source's log, so that pushing them again
// is a duplicate.
func (m *materialization) register(ctx context.Context, src *plan.Source) error {
	if !src.Stream || src.EventID == "" || slices.Contains(m.registered, src) {
		return nil
	}
	m.registered = append(m.registered, src)
	m.progress.begin("register", "event ids of "+src.Name, 0)
	var none logpos.Vector
	var n int64
	err := offline.RegisterIDs(ctx, m.st.Log, src, m.to, src.DedupWindow, func(ctx context.Context, f func(*kernel.Events) error) error {
		h := offline.History{Reader: m.reader, Source: src, Until: &none}
		for _, col := range src.Columns {
			h.Columns = append(h.Columns, col.Name)
		}
		_, err := h.Read(ctx, func(ev *kernel.Events) error {
			n += int64(ev.Batch.N)
			m.progress.add(int64(ev.Batch.N))
			return f(ev)
		})
		return err
	})
	if err == nil {
		m.progress.end(quantity(n, "event id") + " of " + src.Name)
	}
	return err
}

func (m *materialization) view(ctx context.Context, v *plan.View) (*materialized, error) {
	begin := clock.Now()
	inputs, err := m.inputs(ctx, v.Source)
	if err != nil {
		return nil, err
	}
	var counts offline.HistoryCounts
	b := m.backfill(v, inputs, &counts)
	b.Full = m.full
	b.CatchUp = func(ctx context.Context, store onlinestore.Store) error { return m.catchUp(ctx, v, store, nil) }
	b.Before = func(ctx context.Context) error {
		if err := m.register(ctx, v.Source); err != nil {
			return err
		}
		m.progress.begin("materialize", fmt.Sprintf("events into %s (%s)", v.Name, m.which), 0)
		return nil
	}
	r, err := b.Run(ctx)
	if err != nil {
		return nil, err
	}
	if !r.UpToDate {
		m.progress.end(quantity(r.Events, "event") + " into " + v.Name)
	}
	if v.Source.From != "" || v.Source.SQL != "" {
		// Also if the files had not changed: the state still has all of them.
		if err := ledger.Built(ctx, m.st.Store, v, clock.Now(), min(begin, m.to)); err != nil {
			return nil, err
		}
	}
	done := newMaterialized(v, r, counts)
	return &done, nil
}

// catchUp applies the log to the live state of a view in a store, of the entities that only accepts; nil: of all.
func (m *materialization) catchUp(ctx context.Context, v *plan.View, store onlinestore.Store, only func(entity []byte) bool) error {
	alone := &plan.Plan{Sources: []*plan.Source{v.Source}, Views: []*plan.View{v}}
	a, err := online.New(online.Config{Plan: alone, Log: m.st.Log, Store: store, Clock: clock.Now, Only: only})
	if err != nil {
		return err
	}
	return a.CatchUp(ctx)
}

// backfill is a build of a view, which counts the rows of its source.
func (m *materialization) backfill(v *plan.View, inputs [32]byte, counts *offline.HistoryCounts) offline.Backfill {
	return offline.Backfill{
		View: v, Store: m.st.Store, Log: m.st.Log, Clock: clock.Now, To: m.to, Inputs: inputs, Progress: m.progress.add,
		History: func(ctx context.Context, until logpos.Vector, workers int, f func(int, *kernel.Events) error) (err error) {
			h := offline.ViewHistory(m.reader, m.st.Log, until, v)
			h.To = &m.to
			*counts, err = h.ReadBy(ctx, workers, f)
			return err
		},
	}
}

// inputs identifies the history that a view is built from: the contents of the files and the
// time limit.
func (m *materialization) inputs(ctx context.Context, src *plan.Source) ([32]byte, error) {
	files, err := inputFiles(ctx, m.reader, src)
	if err != nil {
		return [32]byte{}, err
	}
	return inputsOf(src, files, m.to)
}

// inputFiles hashes the files of a source.
func inputFiles(ctx context.Context, from *relation.Reader, src *plan.Source) ([]relation.File, error) {
	if src.From == "" && src.SQL == "" {
		return nil, nil
	}
	return from.Files(ctx, relation.SourceRelation(src))
}

// inputsOf identifies files of a source up to a time.
func inputsOf(src *plan.Source, files []relation.File, to plan.EventTime) ([32]byte, error) {
	h := sha256.New()
	if src.From != "" || src.SQL != "" {
		for _, f := range files {
			fmt.Fprintf(h, "%q %d %s\n", f.Path, f.Size, f.SHA256)
		}
		if len(files) == 0 || slices.ContainsFunc(files, func(f relation.File) bool { return f.SHA256 == "" }) {
			// Data that cannot be hashed may have changed.
			fmt.Fprintln(h, clock.Now())
		}
	}
	if err := binary.Write(h, binary.BigEndian, int64(to)); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}
