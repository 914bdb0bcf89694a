package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/clock"
	"github.com/unskew/unskew/internal/entitykey"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/registry"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/online"
)

func newDeadLetters(o *options) *cobra.Command {
	c := &cobra.Command{
		Use:   "dead-letters",
		Short: "List, replay or drop the events and entities that were set aside",
		Long: `Lists what is in the log but in no state of a view, and why: events over a limit that was
introduced after they were logged, entities whose state is too large for the store, and entities
whose state the store has lost. They hold up nothing else. Every feature of such an entity reads as
ERROR, or LOST. The events stay in the log.

Once the cause is gone, replay puts what is missing into the states; drop notes that it will stay
missing. unskew repair rebuilds what is lost, unskew materialize --full everything. What was
replayed, dropped or repaired stays in the list, with that.

Exit code 1 if any is open.`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return o.deadLetters(c) },
	}
	c.AddCommand(newReplayLetters(o), newDropLetters(o))
	return c
}

func newReplayLetters(o *options) *cobra.Command {
	var chosen letterChoice
	c := &cobra.Command{
		Use:   "replay",
		Short: "Apply what was set aside and can be applied now",
		Long: `Takes the open dead letters whose cause is gone, because a limit was raised or a definition was
mended, and builds the states of their entities anew from history, the archive and the log, so that
every event counts once. Other states stay as they are; servers go on. What still cannot be applied
stays open, with the reason.

While states are replaced, their features read as LOST for a moment. If it is interrupted, run it
again. The files of the source must be those that the state was built from.

Exit code 1 if any of the chosen letters stays open.`,
		Example: "  unskew log dead-letters replay\n  unskew log dead-letters replay --view user_spend --position 1042",
		Args:    takes(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return o.replayLetters(c, chosen) },
	}
	chosen.flags(c, o)
	return c
}

func newDropLetters(o *options) *cobra.Command {
	var chosen letterChoice
	var by, reason string
	c := &cobra.Command{
		Use:   "drop",
		Short: "Note that what was set aside stays missing",
		Long: `Closes open dead letters: somebody has seen that these events are in no state and accepts it. Who,
when and why is kept with them. It changes no state, and the features of an entity that was set
aside still read as ERROR.`,
		Example: `  unskew log dead-letters drop --view user_spend --reason "test traffic of 3 May"`,
		Args:    takes(0, 0),
		RunE:    func(c *cobra.Command, _ []string) error { return o.dropLetters(c, chosen, by, reason) },
	}
	chosen.flags(c, o)
	c.Flags().StringVar(&reason, "reason", "", "why they may stay missing, as `TEXT`")
	c.Flags().StringVar(&by, "by", "", "who says so, as `NAME` (default: the user of the system)")
	return c
}

// letterChoice says which open letters a command is for.
type letterChoice struct {
	view      string
	positions []string
}

func (l *letterChoice) flags(c *cobra.Command, o *options) {
	c.Flags().StringVar(&l.view, "view", "", "only those of the view `NAME`")
	c.Flags().StringSliceVar(&l.positions, "position", nil, "only those at a `POSITION` of the log, or SHARD/POSITION; may be repeated")
	completeFlag(c, "view", o.completes(viewNames))
}

// place is a position in a shard.
type place struct {
	shard    int
	position uint64
}

func (l *letterChoice) places() (map[place]bool, error) {
	out := map[place]bool{}
	for _, text := range l.positions {
		shard, position, divided := strings.Cut(text, "/")
		if !divided {
			shard, position = "0", text
		}
		k, err := strconv.ParseUint(shard, 10, 8)
		p, err2 := strconv.ParseUint(position, 10, 56)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("--position %q: give a number, as unskew log dead-letters shows it, or SHARD/NUMBER", text)
		}
		out[place{int(k), p}] = true
	}
	return out, nil
}

// viewLetters are letters of a view's live generation.
type viewLetters struct {
	view       *plan.View
	generation registry.Generation
	letters    []registry.DeadLetter
}

// openOf finds the open letters that are chosen.
func (l *letterChoice) openOf(ctx context.Context, p *plan.Plan, store onlinestore.Store) (out []viewLetters, err error) {
	views, err := chosenViews(p, l.view)
	if err != nil {
		return nil, err
	}
	at, err := l.places()
	if err != nil {
		return nil, err
	}
	found := map[place]bool{}
	for _, v := range views {
		of, err := lettersOf(ctx, store, v)
		if err != nil {
			return nil, err
		}
		of.letters = slices.DeleteFunc(of.letters, func(d registry.DeadLetter) bool {
			here := place{d.Shard, d.Position}
			if d.Status() != registry.Open || len(at) > 0 && !at[here] {
				return true
			}
			found[here] = true
			return false
		})
		if len(of.letters) > 0 {
			out = append(out, of)
		}
	}
	for here := range at {
		if !found[here] {
			return nil, fmt.Errorf("--position: there is no open dead letter at position %d of shard %d; unskew log dead-letters lists them", here.position, here.shard)
		}
	}
	return out, nil
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
	Repaired bool   `json:"repaired"` // nothing is missing any more
	Status   string `json:"status"`   // open, repaired, replayed or dropped
	ClosedAt string `json:"closed_at,omitempty"`
	ClosedBy string `json:"closed_by,omitempty"`
	Why      string `json:"why,omitempty"` // it was dropped, or is still open after a replay
}

func newDeadLetter(v *plan.View, l registry.DeadLetter) deadLetter {
	d := deadLetter{View: v.Name, Source: v.Source.Name, Shard: l.Shard, Position: l.Position, At: l.At.String(), Entity: entitykey.Text(v.Entity, l.Entity), Reason: l.Reason,
		Repaired: !l.Missing(), Status: l.Status().String()}
	if c := l.Closed; c != nil {
		d.ClosedAt, d.ClosedBy, d.Why = c.At.String(), c.By, c.Why
	}
	return d
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
	text := fmt.Sprintf("view %s: %s, since %s (%s): %s", d.View, what, since, d.At, d.Reason)
	if d.ClosedAt != "" {
		text += fmt.Sprintf("; %s at %s", d.Status, d.ClosedAt)
	}
	if d.ClosedBy != "" {
		text += " by " + d.ClosedBy
	}
	switch {
	case d.Why == "":
	case d.Status == registry.Open.String():
		text += "; it stays open: " + d.Why
	default:
		text += ": " + d.Why
	}
	return text
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
		of, err := lettersOf(c.Context(), st.Store, v)
		if err != nil {
			return err
		}
		for _, l := range of.letters {
			all = append(all, newDeadLetter(v, l))
		}
	}
	return o.printLetters(c, all, quantity(int64(len(all)), "dead letter"))
}

// printLetters prints letters; that one of them is open is a finding.
func (o *options) printLetters(c *cobra.Command, all []deadLetter, summary string) error {
	if o.json {
		if err := printJSON(c, all); err != nil {
			return err
		}
	} else {
		for _, l := range all {
			fmt.Fprintln(c.OutOrStdout(), l)
		}
		fmt.Fprintln(c.OutOrStdout(), summary)
	}
	if slices.ContainsFunc(all, deadLetter.open) {
		return &findings{}
	}
	return nil
}

func (d deadLetter) open() bool { return d.Status == registry.Open.String() }

// lettersOf finds the dead letters of a view's live generation, if there is one.
func lettersOf(ctx context.Context, store onlinestore.Store, v *plan.View) (viewLetters, error) {
	g, err := registry.Live(ctx, store, v)
	if none := (*registry.NotMaterialized)(nil); errors.As(err, &none) {
		return viewLetters{view: v}, nil
	}
	if err != nil {
		return viewLetters{}, err
	}
	letters, err := registry.DeadLetters(ctx, store, g)
	return viewLetters{v, g, letters}, err
}

func (o *options) dropLetters(c *cobra.Command, chosen letterChoice, by, reason string) (err error) {
	if strings.TrimSpace(reason) == "" {
		return errors.New("--reason: say why what is missing may stay missing")
	}
	if len(by)+len(reason) > maxNote {
		return fmt.Errorf("--reason and --by have %d bytes, at most %d are allowed", len(by)+len(reason), maxNote)
	}
	if by == "" {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("who drops them is not known (%w); name somebody with --by", err)
		}
		by = u.Username
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
	open, err := chosen.openOf(c.Context(), p.Plan, st.Store)
	if err != nil {
		return err
	}
	how := registry.Closing{How: registry.Dropped, At: clock.Now(), By: by, Why: reason}
	all, n := []deadLetter{}, 0
	for _, of := range open {
		done, err := registry.CloseLetters(c.Context(), st.Store, of.generation, of.letters, how)
		if err != nil {
			return err
		}
		for i, l := range of.letters {
			if done[i] {
				l.Closed = &how
				all, n = append(all, newDeadLetter(of.view, l)), n+1
			}
		}
	}
	return o.printLetters(c, all, quantity(int64(n), "dead letter")+" dropped")
}

// maxNote bounds the bytes that are kept of who dropped letters, and why.
const maxNote = 4 << 10

func (o *options) replayLetters(c *cobra.Command, chosen letterChoice) (err error) {
	reader, err := o.openReader(0, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	p, err := o.load(c, reader)
	if err != nil {
		return err
	}
	m := &materialization{o: o, reader: reader, progress: newProgress(c.ErrOrStderr(), o.quiet)}
	if m.st, err = openStores(c, p); err != nil {
		return err
	}
	defer closeWith(&err, m.st)
	warn(c.ErrOrStderr(), m.st)
	open, err := chosen.openOf(c.Context(), p.Plan, m.st.Store)
	if err != nil {
		return err
	}
	all, n := []deadLetter{}, int64(0)
	for _, of := range open {
		replayed, err := m.replayLetters(c.Context(), of)
		if err != nil {
			return fmt.Errorf("replay dead letters of view %s: %w", of.view.Name, err)
		}
		for _, d := range replayed {
			if !d.open() {
				n++
			}
		}
		all = append(all, replayed...)
	}
	return o.printLetters(c, all, fmt.Sprintf("%s replayed, %d still open", quantity(n, "dead letter"), int64(len(all))-n))
}

// replayLetters builds the states of the entities of letters anew, closes the letters of which nothing is missing then, and says what
// became of each.
func (m *materialization) replayLetters(ctx context.Context, of viewLetters) ([]deadLetter, error) {
	entities, why := make([][]byte, len(of.letters)), make([]string, len(of.letters))
	var again [][]byte
	for i, l := range of.letters {
		var err error
		if entities[i], why[i], err = m.addressee(ctx, of.view, l); err != nil {
			return nil, err
		}
		if entities[i] != nil && why[i] == "" {
			again = append(again, entities[i])
		}
	}
	whole := map[string]bool{}
	if len(again) > 0 {
		if err := m.buildAgain(ctx, of, again, whole); err != nil {
			return nil, err
		}
	}
	how := registry.Closing{How: registry.Replayed, At: clock.Now()}
	var closed []registry.DeadLetter
	var place []int // in of.letters, of each of closed
	for i, l := range of.letters {
		switch {
		case why[i] != "":
		case entities[i] == nil || whole[string(entities[i])]: // without an entity in the view, it belongs to no state
			closed, place = append(closed, l), append(place, i)
		default:
			why[i] = "the state cannot be stored, or there is no event of the entity in history; see unskew repair"
		}
	}
	done, err := registry.CloseLetters(ctx, m.st.Store, of.generation, closed, how)
	if err != nil {
		return nil, err
	}
	for n, i := range place {
		if done[n] {
			of.letters[i].Closed = &how
		} else {
			why[i] = "another command changed it meanwhile"
		}
	}
	out := make([]deadLetter, len(of.letters))
	for i, l := range of.letters {
		out[i] = newDeadLetter(of.view, l)
		out[i].Why = why[i]
	}
	return out, nil
}

// addressee is the entity whose state lacks something according to a letter.
func (m *materialization) addressee(ctx context.Context, v *plan.View, l registry.DeadLetter) (entity []byte, why string, err error) {
	switch {
	case l.Entity != nil && !l.Truncated():
		return l.Entity, "", nil
	case l.Position == 0:
		return nil, "only the beginning of the key was kept; run: unskew materialize --full --view " + v.Name, nil
	}
	return online.Addressee(ctx, m.st.Log, v, l)
}

// buildAgain builds the states of entities anew and adds to whole those that have all their events then.
func (m *materialization) buildAgain(ctx context.Context, of viewLetters, again [][]byte, whole map[string]bool) (err error) {
	m.to = of.generation.Materialized
	inputs, err := m.inputs(ctx, of.view.Source)
	if err != nil {
		return err
	}
	beside, err := backend.Temporary(clock.Now)
	if err != nil {
		return err
	}
	defer closeWith(&err, beside)
	var counts offline.HistoryCounts
	r := m.rebuild(of.view, inputs, &counts, beside)
	r.Again = again
	m.progress.begin("replay", "events of "+of.view.Source.Name+" for "+of.view.Name, 0)
	found, err := r.Run(ctx)
	if err != nil {
		return err
	}
	m.progress.end(quantity(found.Repaired, "state") + " of " + of.view.Name)
	are, err := r.Whole(ctx, again)
	for i, entity := range again {
		if err == nil && are[i] {
			whole[string(entity)] = true
		}
	}
	return err
}
