package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/arrowparquet"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/eventlog"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/internal/version"
	"github.com/unskew/unskew/materializer/offline"
	"github.com/unskew/unskew/materializer/training"
)

// trainingJobs builds the training sets requested from a server.
type trainingJobs struct {
	*options
	project *atomic.Pointer[featuredefs.Project] // that is served
	log     eventlog.Log
	store   onlinestore.Store
	memory  int64 // like --memory of train
}

// openTraining opens the queue of training sets, next to the project's embedded stores.
func (o *options) openTraining(p *atomic.Pointer[featuredefs.Project], log eventlog.Log, store onlinestore.Store, memory, results int64, logger *slog.Logger) (*training.Queue, error) {
	t := &trainingJobs{options: o, project: p, log: log, store: store, memory: memory}
	dir, err := filepath.Abs(filepath.Join(backend.DataDir(p.Load()), "training")) // relative paths of spines are those of the project
	if err != nil {
		return nil, err
	}
	return training.Open(training.Config{
		Dir:   dir,
		Check: t.check, Build: t.build, Clock: time.Now, Log: logger,
		MaxResults: results,
		Arrow:      training.Arrow{Write: arrowparquet.Write, Read: arrowparquet.Read},
	})
}

func (t *trainingJobs) check(s training.Spec) error {
	if _, err := t.set(s, ""); err != nil {
		return &training.InvalidError{Reason: err.Error()}
	}
	return nil
}

// set resolves a spec; uploaded is the path of its uploaded spine.
func (t *trainingJobs) set(s training.Spec, uploaded string) (*plan.TrainingSet, error) {
	if s.Final && s.Ledger {
		return nil, errors.New("a training set is as of the ledger or final, not both")
	}
	if s.TrainingSet != "" {
		if s.Service+s.Spine+s.SpineFrom+s.Time+s.Label+s.LabelKnownAt != "" {
			return nil, errors.New("name a training set, or a service with its spine and time, not both")
		}
		return pick("training set", s.TrainingSet, t.project.Load().Plan.Training, func(t *plan.TrainingSet) string { return t.Name })
	}
	service, err := pick("service", s.Service, t.project.Load().Plan.Services, func(s *plan.Service) string { return s.Name })
	if err != nil {
		return nil, err
	}
	from := uploaded
	switch {
	case s.Time == "" || (s.Spine == "") == (s.SpineFrom == ""):
		return nil, errors.New("a training set of a service needs the time column and one of spine and spine_from")
	case s.SpineFrom != "" && !filepath.IsLocal(s.SpineFrom):
		return nil, fmt.Errorf("spine_from %q is outside the project; name a file inside it, or upload the spine", s.SpineFrom)
	case s.SpineFrom != "":
		from = s.SpineFrom
	}
	return &plan.TrainingSet{Name: service.Name, Service: service, Spine: plan.Spine{
		From: from, Time: s.Time, Label: s.Label, LabelKnownAt: s.LabelKnownAt,
	}}, nil
}

// build makes one training set.
func (t *trainingJobs) build(ctx context.Context, s training.Spec, uploaded, out string, progress func(training.Progress)) (err error) {
	set, err := t.set(s, uploaded)
	if err != nil {
		return err
	}
	defer growBy(t.memory, offline.HasQueries(set))()
	reader, err := t.openReader(t.memory, 0)
	if err != nil {
		return err
	}
	defer closeWith(&err, reader)
	defer unboundHeap()()
	var recorded offline.LedgerOf
	asOf := cmp.Or(asOfSpec(s), set.AsOf, "known")
	if err := checkAsOf(asOf, set); err != nil {
		return err
	}
	if asOf == "ledger" {
		if recorded, err = ledgersIn(ctx, t.store, set.Service); err != nil {
			return err
		}
	}
	spine := servedSpine{project: t.project.Load(), reader: reader, log: t.log, from: plan.Always, to: plan.Never, memory: t.memory}
	set, served, end, err := spine.of(ctx, set)
	if err != nil {
		return err
	}
	defer end()
	_, err = offline.Train(ctx, offline.Config{
		Reader: reader, Log: t.log, Project: t.project.Load().Name, Set: set, Out: out, WithStatus: s.WithStatus, Final: asOf == "final", Ledger: recorded, Served: servedOrNil(served),
		Memory: t.memory, Engine: celenv.Engine(), Version: version.Release, Command: []string{"TrainingService.CreateTrainingSet"},
		Progress: func(p offline.Progress) { progress(training.Progress{Phase: p.Phase, Done: p.Done, Total: p.Total}) },
	})
	return ofUpload(err, uploaded)
}

// asOfSpec is what a spec asks for; "" for what the training set says.
func asOfSpec(s training.Spec) string {
	switch {
	case s.Final:
		return "final"
	case s.Ledger:
		return "ledger"
	}
	return ""
}

// ofUpload names an uploaded spine as its sender knows it, instead of by its file.
func ofUpload(err error, path string) error {
	if err == nil || path == "" {
		return err
	}
	const name = "the uploaded spine"
	return errors.New(strings.NewReplacer(path, name, filepath.Base(path), name).Replace(err.Error()))
}
