package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/explain"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/internal/ui"
	"github.com/unskew/unskew/validate/parity"
)

// The fault that the demo plants: a departure is delivered so much later than it should, and flights are asked for from so long before it to so long
// after.
const (
	lateBy      = 6 * plan.Hour
	askedBefore = 4 * plan.Hour
	askedAfter  = 14 * plan.Hour
	askedRows   = 150
	demoPage    = "parity.html"
)

// lateEvent is an event that is delivered late.
type lateEvent struct {
	view   *plan.View
	id     string
	time   plan.EventTime
	entity string
}

// lateEventOf chooses the newest event that an explained value has.
func lateEventOf(v *plan.View, e *explain.Explanation) (*lateEvent, error) {
	for _, x := range slices.Backward(e.Events) {
		if x.Parts[0].LeftOut == explain.Used {
			t, err := plan.ParseTime(x.Time)
			return &lateEvent{v, x.ID, t, e.Entity}, err
		}
	}
	return nil, fmt.Errorf("%s.%s of %s has no event", e.View, e.Feature, e.Entity)
}

// plantFault asks a second server, to which one event is delivered late, and has what it recorded computed again. The result is a page in the folder.
func (d *demo) plantFault(out string) error {
	l := d.late
	d.say("7. A fault, planted: event %s of source %s, at %s, reaches a second server %v late; what it answers is recorded and computed again", l.id, l.view.Source.Name, l.time, lateBy)
	rows, err := d.rowsAround(out, l)
	if err != nil {
		return err
	}
	second, err := d.secondServer()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "unskew-served-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	served := servedlog.New(servedlog.Config{Dir: dir, Rate: 1})
	recording, stop := context.WithCancel(context.WithoutCancel(d.c.Context()))
	ended := make(chan error, 1)
	go func() { ended <- served.Run(recording) }()
	flush := sync.OnceValue(func() error { stop(); return <-ended })
	show := &replayProgress{progress: d.progress, rows: int64(len(rows))}
	_, err = parity.Replay(d.c.Context(), parity.Config{
		Plan: second.project.Plan, Service: second.set.Service, Rows: rows, History: d.history, Open: backend.Of(d.project).Scratch, From: l.time - plan.EventTime(askedBefore), Progress: show.hear, Served: served,
		Late: func(src *plan.Source, id string) plan.Micros {
			if src.Name == l.view.Source.Name && id == l.id {
				return lateBy
			}
			return 0
		},
		Done: func(ctx context.Context, on *backend.Backend) error {
			show.finish()
			if err := flush(); err != nil {
				return err
			}
			return second.recompute(ctx, on, dir, filepath.Join(out, demoPage))
		},
	})
	return errors.Join(err, flush())
}

// secondServer is the demo with a project of its own, in which every source is a stream: the replay pushes them all.
func (d *demo) secondServer() (*demo, error) {
	p, found, err := d.o.compile(d.c.Context(), d.reader, nil)
	if err != nil {
		return nil, err
	}
	if found.HasErrors() {
		return nil, &findings{}
	}
	for _, src := range p.Plan.Sources {
		src.Stream = true
	}
	replay, second := *d.replay, *d
	replay.project, second.replay = p, &replay
	replay.set, err = pick("training set", demoSet, p.Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
	return &second, err
}

// rowsAround are rows of the training set about the time of an event, in order of time.
func (d *demo) rowsAround(out string, l *lateEvent) ([]parity.Row, error) {
	all, err := parity.ReadTrainingSet(d.c.Context(), out, d.manifest, d.set, l.time-plan.EventTime(askedBefore), 0)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r parity.Row) bool { return r.At >= l.time+plan.EventTime(askedAfter) })
	n := min(askedRows, len(all))
	rows := make([]parity.Row, n)
	for i := range rows {
		rows[i] = all[i*len(all)/n]
	}
	return rows, nil
}

// recompute computes again what was recorded, and writes the page.
func (d *demo) recompute(ctx context.Context, on *backend.Backend, dir, path string) (err error) {
	s := d.set.Service
	units, closeUnits, err := recompute.Find(dir, s.Name, plan.Always, plan.Never)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeUnits()) }()
	from := past{d.reader, on.Log}
	cfg := recompute.Config{Service: s, Units: units, From: plan.Always, To: plan.Never, Log: on.Log, History: from.history}
	if cfg.Builds, err = recompute.FindBuilds(ctx, on.Store, s, nil); err != nil {
		return err
	}
	r, err := recompute.Run(ctx, cfg)
	if err != nil {
		return err
	}
	w := d.c.OutOrStdout()
	fmt.Fprintf(w, "compute parity: %s\ndata parity: %s\n", tallied(&r.Compute), tallied(&r.Data))
	if r.Compute.Different > 0 || r.Data.Causes[recompute.Late] != r.Data.Different || r.Data.Different == 0 {
		return errors.New("the planted fault was not found, or something else was; please report it")
	}
	p := &ui.Parity{Project: d.project.Name, Origin: ui.Served, Plan: d.project.Plan, Reports: []*recompute.Report{r}, Notes: []string{
		fmt.Sprintf("This is the demo, with a planted fault: the event %s of source %s (%s), which happened at %s, was delivered to this server %v late. Nothing else is wrong.", d.late.id, d.late.view.Source.Name, d.late.entity, d.late.time, lateBy),
		fmt.Sprintf("Without the fault, %s flights of December were asked for before: of %s values, %s were not those of the training set.", count(int64(d.report.Rows)), count(int64(d.report.Compared)), count(int64(d.report.Different))),
	}}
	x := explainable(d.project, d.reader, on.Log, on.Store)
	x.Served = dir
	if err := (pageExplainer{x}).explainAll(ctx, p, 2, d.progress); err != nil {
		return err
	}
	for _, why := range p.Explained {
		if why.Failed != "" {
			return fmt.Errorf("explain: %s", why.Failed)
		}
	}
	return p.WriteFile(path)
}
